"""The workbench: sample completions, show them to annotators, and collect their rankings."""

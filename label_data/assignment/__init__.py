"""Assign prompts to annotators as tasks, and store their rankings."""

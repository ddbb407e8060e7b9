"""File formats: turn rows into prompts with completions and rankings, and back."""

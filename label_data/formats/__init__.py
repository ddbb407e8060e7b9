"""File formats: how rows become prompts with completions and rankings, and back."""

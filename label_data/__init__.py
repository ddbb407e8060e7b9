"""Keeps what people said: prompts, completions, rankings, and the comparisons they imply."""

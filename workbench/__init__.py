"""Samples completions, shows them to annotators, and asks which is better."""

"""Rows in and out of the store: projects, annotators, prompts, rankings, jobs."""

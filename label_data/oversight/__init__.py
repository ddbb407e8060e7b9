"""Oversee a project: progress, browsing, checks and copies of the store."""

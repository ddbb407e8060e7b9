"""Formats of public data sets: read their rows."""

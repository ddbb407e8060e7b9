"""Rows from and to files: within limits, and whole or not at all."""

"""Formats of other trainers: write their files, and read them back."""

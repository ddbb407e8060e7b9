"""Versions: immutable, hashed data sets."""

"""Serve rewards over HTTP."""

"""Commands of python -m label_data."""

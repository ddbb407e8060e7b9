"""The commands of python -m label_data."""

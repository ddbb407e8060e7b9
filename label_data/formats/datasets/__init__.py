"""Public data sets: how their rows are read."""

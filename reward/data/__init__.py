"""The data to train on: the two sides of a split, of current rankings or of a version of the data."""

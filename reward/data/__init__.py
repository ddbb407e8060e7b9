"""The training side and the held-out side of a split."""

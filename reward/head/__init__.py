"""The linear head: fit it, estimate its uncertainty, train a reward model with it, and find suspect rankings."""

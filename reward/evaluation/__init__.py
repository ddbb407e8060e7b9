"""Evaluate any reward model on any rankings, compare two models, and score RewardBench."""

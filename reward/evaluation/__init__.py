"""Evaluate any reward model on any rankings, compare two, score RewardBench."""

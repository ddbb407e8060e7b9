"""RewardModel: load, save, score, with the uncertainty of each reward."""

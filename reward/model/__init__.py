"""RewardModel: load it, save it, and score completions with it, with the uncertainty of each reward."""

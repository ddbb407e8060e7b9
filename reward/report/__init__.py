"""What a report on a reward model holds: measures, baselines, words, plots."""

"""The report on a reward model: measures, baselines, sentences, plots and the model card."""

"""Human preferences: prompts, completions, rankings, and the comparisons that rankings imply. Needs no model."""

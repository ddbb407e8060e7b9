"""Names of the files in the folder of a model, and in the folder of an unfinished run."""

from pathlib import Path

# In the folder of a model

REPORT_FILE = "report.json"
PROVENANCE_FILE = "workbench.json"
"""What the model was made from: hashes of the data and the base model, the seed, and versions of packages."""
LEARNED_FILE = "learned_from.txt"
"""One line per training prompt: the hash of its first turn, as in `Side.clusters`."""
COMPARISONS_FILE = "comparisons.jsonl"
"""The rewards of both completions of every held-out comparison."""
SUSPECTS_FILE = "disagreements.jsonl"
"""The suspect rankings: the held-out rankings that the model contradicts most."""
UNCERTAINTY_FILE = Path("uncertainty", "head.safetensors")
"""In a folder of its own, because some servers load every safetensors file beside the configuration."""
LOG_FILE = "log.jsonl"
"""One line of JSON for each step of fine-tuning and each evaluation; also in the folder of an unfinished run."""

# In the folder of an unfinished run

UNFINISHED = ".unfinished"
"""Appended to the name of the model's folder to name the folder of its unfinished run."""
SETTINGS_FILE = "settings.json"
"""The settings of the run and its project."""

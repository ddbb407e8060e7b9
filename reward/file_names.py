"""Names of the files in a model's folder, and in the folder of a run."""

from pathlib import Path

LEARNED_FILE = "learned_from.txt"
"""A line for every prompt that the model learned from: the hash of its first turn, as in `Side.clusters`."""


REPORT_FILE, PROVENANCE_FILE = "report.json", "workbench.json"
"""In the folder of a model: this report, and what it was made from."""


UNFINISHED = ".unfinished"
"""What the folder of a run is called, after the folder that it is to become."""


SETTINGS_FILE = "settings.json"
"""In the folder of a run that is not finished: its settings, and whose rankings it learns from."""


LOG_FILE = "log.jsonl"
"""In the folder of a run: a line of JSON for every step of fine-tuning and every look at the validation prompts."""


COMPARISONS_FILE, SUSPECTS_FILE = "comparisons.jsonl", "disagreements.jsonl"


UNCERTAINTY_FILE = Path("uncertainty", "head.safetensors")
"""Inside a model's folder. In a folder of its own: some servers load every safetensors file beside the settings."""

"""Train a reward model on rankings, evaluate it on held-out prompts, and score completions with it."""

import os

# By default torch's threads spin while they wait for each other. On cores shared with the pages, computing features
# then took seven times the CPU time and up to six times as long. Torch reads the variable once, when it is first
# imported.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

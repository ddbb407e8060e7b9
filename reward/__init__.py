"""Train a reward model on rankings, evaluate it on held-out prompts, and score completions with it."""

import os

# By default torch's threads wait for each other by spinning, which on cores shared with the pages took seven times the
# CPU time for features and up to six times as long. The variable is read once, when torch is first imported.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

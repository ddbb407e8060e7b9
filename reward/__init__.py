"""Learns a reward from rankings, judges it honestly, and scores with it."""

import os

# torch's threads wait for one another by spinning, which on cores shared with the page made features seven times
# dearer and up to six times slower; asleep they cost nothing. Read once, when torch is first imported.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

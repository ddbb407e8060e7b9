"""One file a format: its sample record on top, then how it is read and written."""

from label_data.formats import groups, hh_rlhf, prompts, trl

READERS = {module.NAME: module.read for module in (hh_rlhf, trl, groups, prompts)}
"""Format -> read(path, left_out): yields groups, and counts by reason what it leaves out."""
WRITERS = {module.NAME: module.write for module in (trl, groups)}
"""Format -> write(path, groups, left_out): returns how many rows it wrote, and counts what it leaves out."""

"""TRL's preference rows as plain texts, for models without a chat template. JSON lines or Parquet.

{"prompt": "Can pigs fly?", "chosen": "No.", "rejected": "Yes."}

A text has no turns, so only prompts of one user's message are written; others are left out with a count. Read by
trl.py.

Source: https://huggingface.co/docs/trl/dataset_formats, preference type, standard format; TRL 1.16
"""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa

from label_data.formats.datasets.hh_rlhf import TURN
from label_data.formats.pair_rows import Preferred, preferred, write_pairs
from label_data.records import Group
from label_data.store.bare_groups import BareGroup

NAME = "trl-text"
SCHEMA = pa.schema(dict.fromkeys(("prompt", "chosen", "rejected"), pa.string()))
TURNS = "comparison whose prompt has several turns, which a text can't tell apart"


def write(
    path: Path, groups: Iterable[Group | BareGroup], left_out: Counter[str] | None = None, with_margin: bool = False
) -> int:
    """Write a row for each comparison and return how many; what a text has no place for is counted in `left_out`."""
    left_out = Counter() if left_out is None else left_out
    return write_preferred(path, preferred(groups, left_out), left_out, with_margin)


def write_preferred(
    path: Path, pairs: Iterable[Preferred], left_out: Counter[str] | None = None, with_margin: bool = False
) -> int:
    """Write a row for each pair, with its margin if asked, and return how many."""
    return write_pairs(path, pairs, left_out, SCHEMA, _row, with_margin)


def _row(pair: Preferred, left_out: Counter[str]) -> dict[str, Any] | None:
    *before, asked = orjson.loads(pair.prompt)
    if before or TURN.match(asked["content"]):
        left_out[TURNS] += 1
        return None
    return {"prompt": asked["content"], "chosen": pair.chosen, "rejected": pair.rejected}

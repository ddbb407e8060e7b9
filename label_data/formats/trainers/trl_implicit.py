r"""TRL's preference rows without a prompt: two whole conversations that begin alike. JSON lines or Parquet.

{"chosen":   [{"role": "user", "content": "Can pigs fly?"}, {"role": "assistant", "content": "No."}],
 "rejected": [{"role": "user", "content": "Can pigs fly?"}, {"role": "assistant", "content": "Yes."}]}

TRL recommends this shape for reward models, the explicit one (trl.py, which reads both) for DPO.

Source: https://huggingface.co/docs/trl/dataset_formats, preference type, implicit prompt; TRL 1.16
"""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa

from label_data.formats.pair_rows import MESSAGES, Preferred, conversation, preferred, write_pairs
from label_data.records import Group
from label_data.store.bare_groups import BareGroup

NAME = "trl-implicit"
SCHEMA = pa.schema(dict.fromkeys(("chosen", "rejected"), MESSAGES))


def write(
    path: Path, groups: Iterable[Group | BareGroup], left_out: Counter[str] | None = None, with_margin: bool = False
) -> int:
    """Write a row for each comparison and return how many; what a pair has no place for is counted in `left_out`."""
    left_out = Counter() if left_out is None else left_out
    return write_preferred(path, preferred(groups, left_out), left_out, with_margin)


def write_preferred(
    path: Path, pairs: Iterable[Preferred], left_out: Counter[str] | None = None, with_margin: bool = False
) -> int:
    """Write a row for each pair, with its margin if asked, and return how many."""
    return write_pairs(path, pairs, left_out, SCHEMA, _row, with_margin)


def _row(pair: Preferred, left_out: Counter[str]) -> dict[str, Any]:
    return {
        "chosen": conversation(pair.prompt, pair.chosen),
        "rejected": conversation(pair.prompt, pair.rejected),
    }

"""What NVIDIA NeMo-RL's reward and DPO trainers take: two completions, ranks 0 and 1. JSON lines or Parquet.

{"context": [{"role": "user", "content": "Can pigs fly?"}],
 "completions": [{"rank": 0, "completion": [{"role": "assistant", "content": "No."}]},
                 {"rank": 1, "completion": [{"role": "assistant", "content": "Yes."}]}]}

Read by nemo_rl.py, which writes and reads rankings of any number. It has no margin.

Source: https://github.com/NVIDIA-NeMo/RL, nemo_rl/data/processors.py, preference_preprocessor (commit 006a7dadfd): it
stops at more than two completions and at ties
"""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from label_data.formats.pair_rows import Preferred, as_is, preferred, said, write_pairs
from label_data.formats.trainers.nemo_rl import SCHEMA
from label_data.records import Group
from label_data.store.bare_groups import BareGroup

NAME = "nemo-rl-pairs"


def write(path: Path, groups: Iterable[Group | BareGroup], left_out: Counter[str] | None = None) -> int:
    """Write a row for each comparison and return how many; what there is no place for is counted in `left_out`."""
    left_out = Counter() if left_out is None else left_out
    return write_preferred(path, preferred(groups, left_out), left_out)


def write_preferred(path: Path, pairs: Iterable[Preferred], left_out: Counter[str] | None = None) -> int:
    """Write a row for each pair and return how many."""
    return write_pairs(path, pairs, left_out, SCHEMA, _row)


def _row(pair: Preferred, left_out: Counter[str]) -> dict[str, Any]:
    sides = enumerate((pair.chosen, pair.rejected))
    return {
        "context": as_is(pair.prompt),
        "completions": [{"rank": rank, "completion": [said(completion)]} for rank, completion in sides],
    }

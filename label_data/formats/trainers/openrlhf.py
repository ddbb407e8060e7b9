r"""What OpenRLHF trains on: two whole conversations a row, and a margin. JSON lines (.jsonl) or Parquet.

{"chosen":   [{"role": "user", "content": "Can pigs fly?"}, {"role": "assistant", "content": "No."}],
 "rejected": [{"role": "user", "content": "Can pigs fly?"}, {"role": "assistant", "content": "Yes."}], "margin": 2.0}

Its reward and DPO trainers take this with apply_chat_template on, chosen_key chosen, rejected_key rejected and no
prompt_key: the prompt is then all turns but the last. `margin` is read where it stands, 0 elsewhere, and used with the
margin loss switched on. The rows are those of trl_implicit.py, and read as those. It goes by the file's last ending
and takes .gz for the name of a data set.

Source: https://github.com/OpenRLHF/OpenRLHF, openrlhf/datasets/reward_dataset.py, preprocess_data and RewardDataset,
and datasets/utils.py, blending_datasets; version 0.11.2, whose loader read what is written here
(benchmarks/compatibility/other_trainers.py)
"""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from label_data.files.whole import check_ending
from label_data.formats.pair_rows import Preferred
from label_data.formats.trainers.trl_implicit import write as write_whole
from label_data.formats.trainers.trl_implicit import write_preferred as write_whole_preferred
from label_data.records import Group
from label_data.store.bare_groups import BareGroup

NAME = "openrlhf"
ENDINGS = (".jsonl", ".parquet")


def write(
    path: Path, groups: Iterable[Group | BareGroup], left_out: Counter[str] | None = None, with_margin: bool = False
) -> int:
    """Write a row for each comparison and return how many; what a pair has no place for is counted in `left_out`."""
    check_ending(path, ENDINGS)
    return write_whole(path, groups, left_out, with_margin)


def write_preferred(
    path: Path, pairs: Iterable[Preferred], left_out: Counter[str] | None = None, with_margin: bool = False
) -> int:
    """Write a row for each pair, with its margin if asked, and return how many."""
    check_ending(path, ENDINGS)
    return write_whole_preferred(path, pairs, left_out, with_margin)

"""RewardBench 1 and 2: completions known to be right or wrong, which a reward model should tell apart.

{"id": 1, "prompt": "Can pigs fly?", "chosen": "No.", "chosen_model": "x", "rejected": "Yes.", "rejected_model": "y",
 "subset": "alpacaeval-easy"}
{"id": "1", "prompt": "Can pigs fly?", "chosen": ["No."], "rejected": ["Yes.", "On Sundays.", "42."], "num_correct": 1,
 "num_incorrect": 3, "total_completions": 4, "models": ["x", "y", "y", "z"], "subset": "Factuality"}

All right completions are tied in the first place and all wrong ones in the second, so a right and a wrong completion
make a comparison. The category is the subset. `models` names the policies of the right completions, then of the wrong
ones.

Source: Lambert et al. 2024, arXiv:2403.13787; Malik et al. 2025, arXiv:2506.01937
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from label_data.files.rows_in import Row
from label_data.formats.ranked_rows import RowRanking, messages_of, ranked_group, read_groups
from label_data.records import Group
from label_data.sentences import Sentence, say

NAME = "rewardbench"
REWARDBENCH_2 = say("label_data.datasets.is_rewardbench2")
KNOWN = (
    *("prompt", "chosen", "rejected", "subset", "chosen_model", "rejected_model", "models"),
    *("num_correct", "num_incorrect", "num_rejected", "total_completions"),
)


def recognise(fields: Mapping[str, Any]) -> Sentence | None:
    """Return what a file is whose first row has these fields, or None if it is not in this format."""
    if {"chosen", "rejected", "num_correct", "total_completions"} <= fields.keys():
        return REWARDBENCH_2
    known = {"chosen", "rejected", "chosen_model", "rejected_model", "subset"} <= fields.keys()
    if known:
        return say("label_data.datasets.is_rewardbench1")
    return None


def read(path: Path, left_out: Counter[Sentence] | None = None) -> Iterator[Group]:
    """Yield one group a row; see `read_groups`."""
    return read_groups(path, left_out, KNOWN, _groups)


def _groups(row: Row, source: str, left_out: Counter[Sentence]) -> Iterator[Group]:
    many = isinstance(row.fields.get("chosen"), list)
    right, wrong = (row.texts(side) if many else [row.text(side)] for side in ("chosen", "rejected"))
    if many:
        policies = row.texts("models") or [""] * (len(right) + len(wrong))
    else:
        policies = [row.text("chosen_model", ""), row.text("rejected_model", "")]
    if len(policies) != len(right) + len(wrong):
        problem = say("label_data.datasets.models", names=len(policies), completions=len(right) + len(wrong))
        row.refuse("models", problem)
    places = range(len(policies))
    order = tuple(tied for tied in (tuple(places[: len(right)]), tuple(places[len(right) :])) if tied)
    completions = list(zip([*right, *wrong], policies, strict=True))
    messages = messages_of(row, "prompt", left_out)
    return ranked_group(messages, completions, [RowRanking(NAME, order)], left_out, source, row.text("subset", ""))

"""RewardBench 1 and 2: completions known to be right or wrong, which a reward model should tell apart.

{"id": 1, "prompt": "Can pigs fly?", "chosen": "No.", "chosen_model": "x", "rejected": "Yes.", "rejected_model": "y",
 "subset": "alpacaeval-easy"}
{"id": "1", "prompt": "Can pigs fly?", "chosen": ["No."], "rejected": ["Yes.", "On Sundays.", "42."], "num_correct": 1,
 "num_incorrect": 3, "total_completions": 4, "models": ["x", "y", "y", "z"], "subset": "Factuality"}

All right completions are tied in the first place, all wrong ones in the second: only the comparisons between the two
are said. The category is the subset. `models` names the policies of the right ones, then of the wrong ones.

Source: Lambert et al. 2024, arXiv:2403.13787; Malik et al. 2025, arXiv:2506.01937
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from label_data.files.rows_in import Row
from label_data.formats.verdicts import Verdict, judged, messages_of, read_judged
from label_data.records import Group

NAME = "rewardbench"
KNOWN = (
    *("prompt", "chosen", "rejected", "subset", "chosen_model", "rejected_model", "models"),
    *("num_correct", "num_incorrect", "num_rejected", "total_completions"),
)


def says(fields: Mapping[str, Any]) -> str:
    """Say what a file is whose first row has these fields, or nothing if it is none of this format."""
    if {"chosen", "rejected", "num_correct", "total_completions"} <= fields.keys():
        return "RewardBench 2"
    known = {"chosen", "rejected", "chosen_model", "rejected_model", "subset"} <= fields.keys()
    return "RewardBench 1" if known else ""


def read(path: Path, left_out: Counter[str] | None = None) -> Iterator[Group]:
    """Yield a group a row; see `read_judged`."""
    return read_judged(path, left_out, KNOWN, _groups)


def _groups(row: Row, source: str, left_out: Counter[str]) -> Iterator[Group]:
    many = isinstance(row.fields.get("chosen"), list)
    right, wrong = (row.texts(side) if many else [row.text(side)] for side in ("chosen", "rejected"))
    if many:
        policies = row.texts("models") or [""] * (len(right) + len(wrong))
    else:
        policies = [row.text("chosen_model", ""), row.text("rejected_model", "")]
    if len(policies) != len(right) + len(wrong):
        row.refuse("models", f"{len(policies)} names for {len(right) + len(wrong)} completions", "Write one for each.")
    places = range(len(policies))
    order = tuple(tied for tied in (tuple(places[: len(right)]), tuple(places[len(right) :])) if tied)
    answers = list(zip([*right, *wrong], policies, strict=True))
    asked = messages_of(row, "prompt", left_out)
    return judged(asked, answers, [Verdict(NAME, order)], left_out, source, row.text("subset", ""))

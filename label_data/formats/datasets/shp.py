"""Stanford Human Preferences: two replies to a Reddit post, of which one got more votes though it is not the older.

{"post_id": "x1", "domain": "askbaking_train", "history": "Can I freeze dough?", "human_ref_A": "Yes.",
 "human_ref_B": "No.", "labels": 1, "score_A": 12, "score_B": 3, "seconds_difference": 900.0}

Nobody compared the two: the order is made of votes, so each ranking has the source "derived" and an annotator that says
so. `labels` is 1 if A has more votes and 0 if B has.

Source: Ethayarajh et al. 2022, arXiv:2110.08420; https://huggingface.co/datasets/stanfordnlp/SHP
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from label_data.files.rows_in import Row, described
from label_data.formats.verdicts import Verdict, judged, leaning, read_judged
from label_data.records import Group, Message

NAME = "shp"
VOTES = "votes on Reddit (SHP)"
KNOWN = ("domain", "history", "human_ref_A", "human_ref_B", "labels")


def says(fields: Mapping[str, Any]) -> str:
    """Say what a file is whose first row has these fields, or nothing if it is none of this format."""
    return "SHP, ordered by votes on Reddit" if set(KNOWN) <= fields.keys() else ""


def read(path: Path, left_out: Counter[str] | None = None) -> Iterator[Group]:
    """Yield a group a row; see `read_judged`."""
    return read_judged(path, left_out, KNOWN, _groups)


def _groups(row: Row, source: str, left_out: Counter[str]) -> Iterator[Group]:
    label = row.whole("labels")
    if label not in (0, 1):
        row.refuse("labels", described(row.fields.get("labels")), "Write 1 if A is preferred, 0 if B is.")
    verdict = Verdict(VOTES, **leaning(-1 if label else 1), said={"source": "derived"})
    answers = [(row.text("human_ref_A"), ""), (row.text("human_ref_B"), "")]
    return judged([Message("user", row.text("history"))], answers, [verdict], left_out, source, row.text("domain", ""))

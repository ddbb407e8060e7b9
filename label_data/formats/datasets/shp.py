"""Stanford Human Preferences: two replies to a Reddit post; one got more votes although it is not older.

{"post_id": "x1", "domain": "askbaking_train", "history": "Can I freeze dough?", "human_ref_A": "Yes.",
 "human_ref_B": "No.", "labels": 1, "score_A": 12, "score_B": 3, "seconds_difference": 900.0}

Nobody compared the two replies: the order follows the votes, so each ranking has the source "derived", and its
annotator's name says so. `labels` is 1 if A has more votes and 0 if B has.

Source: Ethayarajh et al. 2022, arXiv:2110.08420; https://huggingface.co/datasets/stanfordnlp/SHP
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from label_data.files.rows_in import Row, described
from label_data.formats.ranked_rows import RowRanking, preference, ranked_group, read_groups
from label_data.records import Group, Message
from label_data.sentences import Sentence, say

NAME = "shp"
VOTES = "votes on Reddit (SHP)"
KNOWN = ("domain", "history", "human_ref_A", "human_ref_B", "labels")


def recognise(fields: Mapping[str, Any]) -> Sentence | None:
    """Return what a file is whose first row has these fields, or None if it is not in this format."""
    if set(KNOWN) <= fields.keys():
        return say("label_data.datasets.is_shp")
    return None


def read(path: Path, left_out: Counter[Sentence] | None = None) -> Iterator[Group]:
    """Yield one group a row; see `read_groups`."""
    return read_groups(path, left_out, KNOWN, _groups)


def _groups(row: Row, source: str, left_out: Counter[Sentence]) -> Iterator[Group]:
    label = row.whole("labels")
    if label not in (0, 1):
        row.refuse("labels", say("label_data.datasets.shp_label", found=described(row.fields.get("labels"))))
    ranking = RowRanking(VOTES, **preference(-1 if label else 1), extra={"source": "derived"})
    messages = [Message("user", row.text("history"))]
    completions = [(row.text("human_ref_A"), ""), (row.text("human_ref_B"), "")]
    return ranked_group(messages, completions, [ranking], left_out, source, row.text("domain", ""))

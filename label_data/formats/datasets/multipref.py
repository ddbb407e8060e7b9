"""MultiPref: two completions, compared by two experts and two crowd workers.

{"comparison_id": "c1", "prompt_id": "p1", "text": "Can pigs fly?", "completion_a": "No.", "completion_b": "Yes.",
 "model_a": "gpt-4-turbo", "model_b": "llama-2-70b", "source": "wildchat", "category": "Open QA",
 "normal_worker_annotations": [{"evaluator": "w1", "overall_pref": "A-is-clearly-better", "time_spent": 61}],
 "expert_worker_annotations": [{"evaluator": "e1", "overall_pref": "Tie", "time_spent": 120}]}

The ranking is the overall preference: slightly better is strength 1, clearly better 2. Preferences by helpfulness,
truthfulness and harmlessness, confidences and reasons are left out with a count. An annotator's name begins with
"expert" or "normal".

Source: Miranda et al. 2024, arXiv:2410.19133; https://huggingface.co/datasets/allenai/multipref
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from label_data.files.rows_in import Row
from label_data.formats.pairs import count_unknown
from label_data.formats.ranked_rows import SAME_SCALE, RowRanking, preference, ranked_group, read_groups
from label_data.records import Group, Message
from label_data.sentences import Sentence, say

NAME = "multipref"
PREFERENCES = {
    "A-is-clearly-better": -2,
    "A-is-slightly-better": -1,
    "Tie": 0,
    "B-is-slightly-better": 1,
    "B-is-clearly-better": 2,
}
WORKERS = {"normal_worker_annotations": "normal", "expert_worker_annotations": "expert"}
AN_ANNOTATION = say("label_data.datasets.an_annotation")
KNOWN = ("text", "completion_a", "completion_b", "model_a", "model_b", "category", *WORKERS)


def recognise(fields: Mapping[str, Any]) -> Sentence | None:
    """Return what a file is whose first row has these fields, or None if it is not in this format."""
    if {"completion_a", "completion_b", *WORKERS} <= fields.keys():
        return say("label_data.datasets.is_multipref")
    return None


def read(path: Path, left_out: Counter[Sentence] | None = None) -> Iterator[Group]:
    """Yield one group a row; see `read_groups`."""
    return read_groups(path, left_out, KNOWN, _groups)


def _groups(row: Row, source: str, left_out: Counter[Sentence]) -> Iterator[Group]:
    rankings = []
    for name, kind in WORKERS.items():
        for annotation in row.inner(name):
            count_unknown(annotation, ("evaluator", "overall_pref", "time_spent"), left_out, AN_ANNOTATION)
            choice = annotation.text("overall_pref")
            if choice not in PREFERENCES:
                values = ", ".join(PREFERENCES)
                annotation.refuse(
                    "overall_pref", say("label_data.datasets.not_one_of", value=choice[:60], values=values)
                )
            annotator, seconds = f"{kind} {annotation.text('evaluator')}", annotation.number("time_spent")
            rankings.append(
                RowRanking(annotator, **preference(PREFERENCES[choice], SAME_SCALE), extra={"seconds": seconds})
            )
    messages = [Message("user", row.text("text"))]
    completions = [(row.text(f"completion_{side}"), row.text(f"model_{side}", "")) for side in "ab"]
    return ranked_group(messages, completions, rankings, left_out, source, row.text("category", ""))

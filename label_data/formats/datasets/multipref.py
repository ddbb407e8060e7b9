"""MultiPref: two completions, judged by two experts and two crowd workers each.

{"comparison_id": "c1", "prompt_id": "p1", "text": "Can pigs fly?", "completion_a": "No.", "completion_b": "Yes.",
 "model_a": "gpt-4-turbo", "model_b": "llama-2-70b", "source": "wildchat", "category": "Open QA",
 "normal_worker_annotations": [{"evaluator": "w1", "overall_pref": "A-is-clearly-better", "time_spent": 61}],
 "expert_worker_annotations": [{"evaluator": "e1", "overall_pref": "Tie", "time_spent": 120}]}

The ranking is the overall preference: slightly better is strength 1, clearly better 2. Preferences by helpfulness,
truthfulness and harmlessness, confidences and reasons are left out with a count. An annotator's name says which of the
two groups it is from.

Source: Miranda et al. 2024, arXiv:2410.19133; https://huggingface.co/datasets/allenai/multipref
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from label_data.files.rows_in import Row
from label_data.formats.pairs import count_unknown
from label_data.formats.verdicts import AS_IT_IS, Verdict, judged, leaning, read_judged
from label_data.records import Group, Message

NAME = "multipref"
LEANING = {
    "A-is-clearly-better": -2,
    "A-is-slightly-better": -1,
    "Tie": 0,
    "B-is-slightly-better": 1,
    "B-is-clearly-better": 2,
}
WORKERS = {"normal_worker_annotations": "normal", "expert_worker_annotations": "expert"}
KNOWN = ("text", "completion_a", "completion_b", "model_a", "model_b", "category", *WORKERS)


def says(fields: Mapping[str, Any]) -> str:
    """Say what a file is whose first row has these fields, or nothing if it is none of this format."""
    return "MultiPref" if {"completion_a", "completion_b", *WORKERS} <= fields.keys() else ""


def read(path: Path, left_out: Counter[str] | None = None) -> Iterator[Group]:
    """Yield a group a row; see `read_judged`."""
    return read_judged(path, left_out, KNOWN, _groups)


def _groups(row: Row, source: str, left_out: Counter[str]) -> Iterator[Group]:
    verdicts = []
    for name, kind in WORKERS.items():
        for one in row.inner(name):
            count_unknown(one, ("evaluator", "overall_pref", "time_spent"), left_out, "an annotation")
            preference = one.text("overall_pref")
            if preference not in LEANING:
                one.refuse("overall_pref", repr(preference[:60]), f"Write one of {', '.join(LEANING)}.")
            lean = leaning(LEANING[preference], AS_IT_IS)
            verdicts.append(
                Verdict(f"{kind} {one.text('evaluator')}", **lean, said={"seconds": one.number("time_spent")})
            )
    answers = [(row.text(f"completion_{side}"), row.text(f"model_{side}", "")) for side in "ab"]
    return judged([Message("user", row.text("text"))], answers, verdicts, left_out, source, row.text("category", ""))

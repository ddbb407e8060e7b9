r"""NVIDIA's HelpSteer2 preference and HelpSteer3 preference: two completions, and each annotator's preference -3 to 3.

{"split": "train", "prompt": "Can pigs fly?", "response_1": "No.", "response_2": "Yes.", "preference_strength": -2,
 "all_preferences_unprocessed": [{"strength": -2, "statement": "@Response 1 is better …", "elaboration": "…"}]}
{"domain": "general", "language": "english", "context": [{"role": "user", "content": "Can pigs fly?"}],
 "response1": "No.", "response2": "Yes.", "overall_preference": -2,
 "individual_preference": [{"score": -2, "reasoning": "…", "feedback1": "…", "feedback2": "…"}]}

Below 0 the first completion is better, above 0 the second; 1 slightly, 2 clearly, 3 much; 0 is a tie. All annotators
are kept, as "annotator 1", "annotator 2" … in the order of the row: the files do not say who they are. A row without
single annotators gives its overall preference, under an annotator whose name says that it sums up several. In
HelpSteer2 a prompt of several turns has "<extra_id_1>Assistant\n" and "<extra_id_1>User\n" between the turns.

Source: Wang et al. 2024, arXiv:2410.01257; Wang et al. 2025, arXiv:2505.11475; huggingface.co/datasets/nvidia
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from label_data.files.rows_in import Row
from label_data.formats.pairs import count_unknown
from label_data.formats.ranked_rows import (
    SAME_SCALE,
    Preference,
    RowRanking,
    messages_of,
    preference,
    ranked_group,
    read_groups,
)
from label_data.records import Group, Message, Role
from label_data.sentences import Sentence, say

NAME = "helpsteer"
OVERALL = "several annotators, summed up (HelpSteer)"
TURN = re.compile(r"\n?<extra_id_1>(User|Assistant)\n")
KNOWN = (
    *("prompt", "response_1", "response_2", "preference_strength", "all_preferences_unprocessed"),
    *("context", "response1", "response2", "overall_preference", "individual_preference", "domain", "language"),
)


def recognise(fields: Mapping[str, Any]) -> Sentence | None:
    """Return what a file is whose first row has these fields, or None if it is not in this format."""
    if {"response_1", "response_2", "preference_strength"} <= fields.keys():
        return say("label_data.datasets.is_helpsteer2")
    if {"response1", "response2", "overall_preference"} <= fields.keys():
        return say("label_data.datasets.is_helpsteer3")
    return None


def read(path: Path, left_out: Counter[Sentence] | None = None) -> Iterator[Group]:
    """Yield one group a row; see `read_groups`."""
    return read_groups(path, left_out, KNOWN, _groups)


@dataclass(frozen=True, slots=True)
class FieldNames:
    """The names of the fields in one of the two data sets."""

    completions: tuple[str, str]
    overall: str
    annotators: str
    score: str
    reasons: tuple[str, ...]


HELPSTEER2 = FieldNames(
    ("response_1", "response_2"),
    "preference_strength",
    "all_preferences_unprocessed",
    "strength",
    ("statement", "elaboration"),
)
HELPSTEER3 = FieldNames(
    ("response1", "response2"), "overall_preference", "individual_preference", "score", ("reasoning",)
)
A_PREFERENCE = say("label_data.datasets.a_preference")


def _groups(row: Row, source: str, left_out: Counter[Sentence]) -> Iterator[Group]:
    if "context" in row.fields:
        names, messages = HELPSTEER3, messages_of(row, "context", left_out)
    else:
        names, messages = HELPSTEER2, turns_of(row.text("prompt"))
    rankings = [
        RowRanking(
            f"annotator {number}",
            **_preference(annotation, names.score),
            extra={"reason": _reason(annotation, names, left_out)},
        )
        for number, annotation in enumerate(row.inner(names.annotators), start=1)
    ]
    completions = [(row.text(name), "") for name in names.completions]
    category = ", ".join(filter(None, (row.text("domain", ""), row.text("language", ""))))
    rankings = rankings or [RowRanking(OVERALL, **_preference(row, names.overall))]
    return ranked_group(messages, completions, rankings, left_out, source, category)


def _preference(row: Row, name: str) -> Preference:
    value = row.required_number(name)
    if abs(value) not in (0, *SAME_SCALE):
        row.refuse(name, say("label_data.datasets.not_in_range", number=value, low=-3, high=3))
    return preference(value, SAME_SCALE)


def _reason(row: Row, names: FieldNames, left_out: Counter[Sentence]) -> str:
    count_unknown(row, (names.score, *names.reasons), left_out, A_PREFERENCE)
    return "\n\n".join(filter(None, (row.text(name, "") for name in names.reasons)))[:10_000]


def turns_of(prompt: str) -> tuple[Message, ...]:
    """Return the turns of a HelpSteer2 prompt; the first is the user's."""
    first, *rest = TURN.split(prompt)
    roles: dict[str, Role] = {"User": "user", "Assistant": "assistant"}
    later = (Message(roles[speaker], text) for speaker, text in zip(rest[::2], rest[1::2], strict=True))
    return (Message("user", first), *later)

r"""NVIDIA's HelpSteer2 preference and HelpSteer3 preference: two completions, and each annotator's preference -3 to 3.

{"split": "train", "prompt": "Can pigs fly?", "response_1": "No.", "response_2": "Yes.", "preference_strength": -2,
 "all_preferences_unprocessed": [{"strength": -2, "statement": "@Response 1 is better …", "elaboration": "…"}]}
{"domain": "general", "language": "english", "context": [{"role": "user", "content": "Can pigs fly?"}],
 "response1": "No.", "response2": "Yes.", "overall_preference": -2,
 "individual_preference": [{"score": -2, "reasoning": "…", "feedback1": "…", "feedback2": "…"}]}

Below 0 the first is better, above 0 the second; 1 slightly, 2 clearly, 3 much; 0 is a tie. All annotators are kept, as
"annotator 1", "annotator 2" … in the order of the row: the files do not say who they are. Rows without them have the
one overall preference, whose annotator says that it sums up several. A prompt of several turns in HelpSteer2 has
"<extra_id_1>Assistant\n" and "<extra_id_1>User\n" between them.

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
from label_data.formats.verdicts import AS_IT_IS, Verdict, judged, leaning, messages_of, number_of, read_judged
from label_data.records import Group, Message

NAME = "helpsteer"
OVERALL = "several annotators, summed up (HelpSteer)"
TURN = re.compile(r"\n?<extra_id_1>(User|Assistant)\n")
KNOWN = (
    *("prompt", "response_1", "response_2", "preference_strength", "all_preferences_unprocessed"),
    *("context", "response1", "response2", "overall_preference", "individual_preference", "domain", "language"),
)


def says(fields: Mapping[str, Any]) -> str:
    """Say what a file is whose first row has these fields, or nothing if it is none of this format."""
    if {"response_1", "response_2", "preference_strength"} <= fields.keys():
        return "HelpSteer2 preference"
    return "HelpSteer3 preference" if {"response1", "response2", "overall_preference"} <= fields.keys() else ""


def read(path: Path, left_out: Counter[str] | None = None) -> Iterator[Group]:
    """Yield a group a row; see `read_judged`."""
    return read_judged(path, left_out, KNOWN, _groups)


@dataclass(frozen=True, slots=True)
class Names:
    """What one of the two calls its fields."""

    answers: tuple[str, str]
    overall: str
    each: str
    score: str
    why: tuple[str, ...]


SECOND = Names(
    ("response_1", "response_2"),
    "preference_strength",
    "all_preferences_unprocessed",
    "strength",
    ("statement", "elaboration"),
)
THIRD = Names(("response1", "response2"), "overall_preference", "individual_preference", "score", ("reasoning",))


def _groups(row: Row, source: str, left_out: Counter[str]) -> Iterator[Group]:
    if "context" in row.fields:
        names, asked = THIRD, messages_of(row, "context", left_out)
    else:
        names, asked = SECOND, turns_of(row.text("prompt"))
    verdicts = [
        Verdict(f"annotator {place}", **_leaning(one, names.score), said={"reason": _reason(one, names, left_out)})
        for place, one in enumerate(row.inner(names.each), start=1)
    ]
    answers = [(row.text(name), "") for name in names.answers]
    category = ", ".join(filter(None, (row.text("domain", ""), row.text("language", ""))))
    verdicts = verdicts or [Verdict(OVERALL, **_leaning(row, names.overall))]
    return judged(asked, answers, verdicts, left_out, source, category)


def _leaning(row: Row, name: str) -> dict[str, Any]:
    value = number_of(row, name)
    if abs(value) not in (0, *AS_IT_IS):
        row.refuse(name, f"{value:g}", "Write a whole number from -3 to 3.")
    return leaning(value, AS_IT_IS)


def _reason(row: Row, names: Names, left_out: Counter[str]) -> str:
    count_unknown(row, (names.score, *names.why), left_out, "a preference")
    return "\n\n".join(filter(None, (row.text(name, "") for name in names.why)))[:10_000]


def turns_of(prompt: str) -> tuple[Message, ...]:
    """Return the turns of a HelpSteer2 prompt, the user's first."""
    first, *rest = TURN.split(prompt)
    roles = {"User": "user", "Assistant": "assistant"}
    later = (Message(roles[speaker], text) for speaker, text in zip(rest[::2], rest[1::2], strict=True))
    return (Message("user", first), *later)

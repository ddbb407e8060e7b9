"""Label Studio's JSON export of Pairwise and Ranker projects: a list of tasks with everybody's annotations.

{"id": 1, "data": {"prompt": "Can pigs fly?", "answer1": "No.", "answer2": "Yes."}, "annotations": [
   {"completed_by": 7, "was_cancelled": false, "lead_time": 12.5,
    "result": [{"from_name": "comparison", "type": "pairwise", "value": {"selected": "left"}}]}]}
{"id": 2, "data": {"prompt": "Can pigs fly?", "items": [{"id": "a", "body": "No."}, {"id": "b", "body": "Yes."}]},
 "annotations": [{"completed_by": 7, "result": [{"type": "ranker", "value": {"ranker": ["a", "b"]}}]}]}

Which field of `data` is left and which right only the labelling configuration says: answer1 and answer2, unless they
are mapped, {"left": "response_a"}; so are "prompt", "items", and "text", the field of an item that holds its text
(body). Ids outside the bucket "rank" are not placed. Cancelled annotations are the outcome skipped; those without a
result of these two kinds are left out with a count.

Source: https://labelstud.io/guide/export, /tags/pairwise and /tags/ranker
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from label_data.formats.judged import Verdict, judged, leaning, messages_of, read_judged
from label_data.formats.rows_in import Row, described, listed
from label_data.records import Group

NAME = "label-studio"
NO_RESULT = "annotation without a pairwise or ranker result"
SIDES = {"left": -1, "right": 1}
DEFAULTS = {"prompt": "prompt", "left": "answer1", "right": "answer2", "items": "items", "text": "body"}


def says(fields: Mapping[str, Any]) -> str:
    """Say what a file is whose first row has these fields, or nothing if it is none of this format."""
    return "Label Studio tasks" if {"data", "annotations"} <= fields.keys() else ""


def read(path: Path, left_out: Counter[str] | None = None, names: Mapping[str, str] | None = None) -> Iterator[Group]:
    """Yield a group a task; `names` maps `DEFAULTS` to the project's own. See `read_judged`."""
    mapped = DEFAULTS | dict(names or {})

    def groups_of(row: Row, source: str, left_out: Counter[str]) -> Iterator[Group]:
        data = row.object("data")
        ids: dict[str, int] = {}
        if mapped["items"] in data.fields:
            items = data.inner(mapped["items"])
            ids = {_id(item, "id", item.fields.get("id")): place for place, item in enumerate(items)}
            answers = [(item.text(mapped["text"]), "") for item in items]
        else:
            answers = [(data.text(mapped[side]), "") for side in SIDES]
        verdicts = []
        for annotation in row.inner("annotations"):
            person, seconds = _person(annotation), annotation.number("lead_time")
            said = {"seconds": seconds}
            results = [one for one in annotation.inner("result") if one.text("type", "") in ("pairwise", "ranker")]
            if annotation.truth("was_cancelled"):
                verdicts.append(Verdict(person, said=said | {"outcome": "skipped"}))
            elif not results:
                left_out[NO_RESULT] += 1
            for one in [] if annotation.truth("was_cancelled") else results:
                verdicts.append(Verdict(person, **_order(one.object("value"), ids), said=said))
        asked = messages_of(data, mapped["prompt"], left_out)
        return judged(asked, answers, verdicts, left_out, source)

    return read_judged(path, left_out, ("id", "data", "annotations"), groups_of)


def _order(value: Row, ids: Mapping[str, int]) -> dict[str, Any]:
    if "selected" in value.fields:
        side = value.text("selected")
        if side not in SIDES:
            value.refuse("selected", repr(side[:60]), "Write left or right.")
        if ids:
            value.refuse("selected", "a side, though the task has a list of items", "Mend the task.")
        return leaning(SIDES[side])
    ranked: Any = value.fields.get("ranker")
    if isinstance(ranked, dict):
        ranked = ranked.get("rank", next(iter(ranked.values()), None))
    if not isinstance(ranked, list):
        value.refuse("ranker", described(ranked), 'Write a list of ids, or {"rank": [ids]}.')
    names = [_id(value, "ranker", one) for one in ranked]
    for name in names:
        if name not in ids:
            value.refuse("ranker", f"item {name[:60]!r}, which the task does not have", f"It has: {listed(ids)}.")
    return {"order": [(ids[name],) for name in names]}


def _id(row: Row, name: str, value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int):
        row.refuse(name, described(value), "Write a text or a whole number.")
    return str(value)


def _person(annotation: Row) -> str:
    """Return who annotated: exports give a number, or an object with the person's e-mail, which is not taken."""
    value = annotation.fields.get("completed_by")
    if isinstance(value, dict):
        value = value.get("id")
    return f"annotator {_id(annotation, 'completed_by', value)}"

"""Label Studio's JSON and JSON_MIN exports of Pairwise and Ranker projects: tasks with everybody's annotations.

{"id": 1, "data": {"prompt": "Can pigs fly?", "answer1": "No.", "answer2": "Yes."}, "annotations": [
   {"completed_by": 7, "was_cancelled": false, "lead_time": 12.5,
    "result": [{"from_name": "comparison", "type": "pairwise", "value": {"selected": "left"}}]}]}
{"id": 2, "data": {"prompt": "Can pigs fly?", "items": [{"id": "a", "body": "No."}, {"id": "b", "body": "Yes."}]},
 "annotations": [{"completed_by": 7, "result": [{"type": "ranker", "value": {"ranker": ["a", "b"]}}]}]}
{"id": 1, "prompt": "Can pigs fly?", "answer1": "No.", "answer2": "Yes.", "comparison": [{"selected": "left"}],
 "annotator": 7, "annotation_id": 11, "created_at": "2024-03-29T05:39:54.721157Z", "lead_time": 12.5}

Which field of `data` is left and which right only the labelling configuration says: answer1 and answer2, unless they
are mapped, {"left": "response_a"}; so are "prompt", "items", and "text", the field of an item that holds its text
(body). Ids outside the bucket "rank" are not placed. Cancelled annotations are the outcome skipped; those without a
result of these two kinds are left out with a count.

JSON_MIN has a row for each annotation, the task's data beside it, and the result under the name of its control, which
may be any; cancelled annotations it does not have at all.

Source: https://labelstud.io/guide/export, /tags/pairwise and /tags/ranker; JSON_MIN as the converter of
https://github.com/HumanSignal/label-studio-sdk writes it
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from label_data.files.rows_in import Row, described, listed
from label_data.formats.pairs import count_unknown
from label_data.formats.verdicts import Verdict, judged, leaning, messages_of, read_judged
from label_data.records import Group

NAME = "label-studio"
NO_RESULT = "annotation without a pairwise or ranker result"
OTHER_RESULT = "result that is neither pairwise nor ranker"
SIDES = {"left": -1, "right": 1}
OF_ANNOTATION = ("id", "annotator", "annotation_id", "created_at", "lead_time")
DEFAULTS = {"prompt": "prompt", "left": "answer1", "right": "answer2", "items": "items", "text": "body"}


def says(fields: Mapping[str, Any]) -> str:
    """Say what a file is whose first row has these fields, or nothing if it is none of this format."""
    if {"data", "annotations"} <= fields.keys():
        return "Label Studio tasks"
    return "Label Studio annotations (JSON_MIN)" if {"annotator", "annotation_id"} <= fields.keys() else ""


def read(path: Path, left_out: Counter[str] | None = None, names: Mapping[str, str] | None = None) -> Iterator[Group]:
    """Yield a group a task, or one an annotation of JSON_MIN; `names` maps `DEFAULTS` to the project's own.

    See `read_judged`.
    """
    mapped = DEFAULTS | dict(names or {})

    def groups_of(row: Row, source: str, left_out: Counter[str]) -> Iterator[Group]:
        if says(row.fields) and "data" not in row.fields:
            return _of_annotation(row, mapped, source, left_out)
        count_unknown(row, ("id", "data", "annotations"), left_out)
        return _of_task(row, mapped, source, left_out)

    return read_judged(path, left_out, None, groups_of)


def _of_task(row: Row, mapped: Mapping[str, str], source: str, left_out: Counter[str]) -> Iterator[Group]:
    data = row.object("data")
    count_unknown(data, mapped.values(), left_out, "a task's data")
    answers, ids = _answers(data, mapped)
    verdicts = []
    for annotation in row.inner("annotations"):
        person, said = _person(annotation, "completed_by"), _when(annotation)
        given = annotation.inner("result")
        results = [one for one in given if one.text("type", "") in ("pairwise", "ranker")]
        left_out[OTHER_RESULT] += len(given) - len(results)
        if annotation.truth("was_cancelled"):
            verdicts.append(Verdict(person, said=said | {"outcome": "skipped"}))
        elif not results:
            left_out[NO_RESULT] += 1
        for one in [] if annotation.truth("was_cancelled") else results:
            verdicts.append(Verdict(person, **_order(one.object("value"), ids), said=said))
    return judged(messages_of(data, mapped["prompt"], left_out), answers, verdicts, left_out, source)


def _of_annotation(row: Row, mapped: Mapping[str, str], source: str, left_out: Counter[str]) -> Iterator[Group]:
    answers, ids = _answers(row, mapped)
    controls = [name for name, value in row.fields.items() if name not in mapped.values() and _is_result(value)]
    count_unknown(row, (*OF_ANNOTATION, *mapped.values(), *controls), left_out)
    verdicts = [
        Verdict(_person(row, "annotator"), **_order(one, ids), said=_when(row))
        for name in controls
        for one in row.inner(name)
    ]
    left_out[NO_RESULT] += not verdicts
    return judged(messages_of(row, mapped["prompt"], left_out), answers, verdicts, left_out, source)


def _is_result(value: Any) -> bool:
    """Say whether this is what JSON_MIN holds of a pairwise or ranker control: a list of values as in JSON."""
    objects = isinstance(value, list) and bool(value) and all(isinstance(one, dict) for one in value)
    return objects and any("selected" in one or "ranker" in one for one in value)


def _answers(data: Row, mapped: Mapping[str, str]) -> tuple[list[tuple[str, str]], dict[str, int]]:
    """Return the completions of a task, without policies, and the place of each item's id if they are items."""
    if mapped["items"] not in data.fields:
        return [(data.text(mapped[side]), "") for side in SIDES], {}
    items = data.inner(mapped["items"])
    ids = {_id(item, "id", item.fields.get("id")): place for place, item in enumerate(items)}
    return [(item.text(mapped["text"]), "") for item in items], ids


def _when(annotation: Row) -> dict[str, Any]:
    """Return the seconds that the annotation took and when it was made, so far as it says."""
    made = annotation.text("created_at", "")
    try:
        at = datetime.fromisoformat(made) if made else None
    except ValueError:
        annotation.refuse("created_at", repr(made[:40]), "Write a date and time: 2024-03-29T05:39:54Z.")
    submitted = at and round(at.replace(tzinfo=at.tzinfo or UTC).timestamp() * 1e6)
    return {"seconds": annotation.number("lead_time"), "submitted": submitted}


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


def _person(annotation: Row, field: str) -> str:
    """Return who annotated: exports give a number, a name, or an object whose e-mail is not taken, but its number."""
    value = annotation.fields.get(field)
    if isinstance(value, dict):
        value = value.get("id")
    return f"annotator {_id(annotation, field, value)}"

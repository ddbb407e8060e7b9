"""Label Studio's JSON and JSON_MIN exports of Pairwise and Ranker projects: tasks with all their annotations.

{"id": 1, "data": {"prompt": "Can pigs fly?", "answer1": "No.", "answer2": "Yes."}, "annotations": [
   {"completed_by": 7, "was_cancelled": false, "lead_time": 12.5,
    "result": [{"from_name": "comparison", "type": "pairwise", "value": {"selected": "left"}}]}]}
{"id": 2, "data": {"prompt": "Can pigs fly?", "items": [{"id": "a", "body": "No."}, {"id": "b", "body": "Yes."}]},
 "annotations": [{"completed_by": 7, "result": [{"type": "ranker", "value": {"ranker": ["a", "b"]}}]}]}
{"id": 1, "prompt": "Can pigs fly?", "answer1": "No.", "answer2": "Yes.", "comparison": [{"selected": "left"}],
 "annotator": 7, "annotation_id": 11, "created_at": "2024-03-29T05:39:54.721157Z", "lead_time": 12.5}

Only the labelling configuration says which field of `data` is on the left and which on the right: answer1 and answer2,
unless they are mapped, {"left": "response_a"}. "prompt", "items", and "text", the field with an item's text (body), can
be mapped too. Ids outside the bucket "rank" are not placed. Cancelled annotations are the outcome skipped; annotations
without a pairwise or ranker result are left out with a count.

JSON_MIN has a row for each annotation, with the task's data beside it, and the result under the name of its control,
which may be any name. It does not contain cancelled annotations.

Source: https://labelstud.io/guide/export, /tags/pairwise and /tags/ranker; JSON_MIN as written by the converter of
https://github.com/HumanSignal/label-studio-sdk
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from label_data.files.rows_in import Row, described, listed
from label_data.formats.pairs import count_unknown
from label_data.formats.ranked_rows import Preference, RowRanking, messages_of, preference, ranked_group, read_groups
from label_data.records import Group
from label_data.sentences import Sentence, say

NAME = "label-studio"
NO_RESULT = say("label_data.formats.no_result")
OTHER_RESULT = say("label_data.formats.other_result")
TASK_DATA = say("label_data.formats.task_data")
SIDES = {"left": -1, "right": 1}
ANNOTATION_FIELDS = ("id", "annotator", "annotation_id", "created_at", "lead_time")
DEFAULTS = {"prompt": "prompt", "left": "answer1", "right": "answer2", "items": "items", "text": "body"}


def recognise(fields: Mapping[str, Any]) -> Sentence | None:
    """Return what a file is whose first row has these fields, or None if it is not in this format."""
    if {"data", "annotations"} <= fields.keys():
        return say("label_data.formats.is_label_studio")
    if {"annotator", "annotation_id"} <= fields.keys():
        return say("label_data.formats.is_label_studio_min")
    return None


def read(
    path: Path, left_out: Counter[Sentence] | None = None, names: Mapping[str, str] | None = None
) -> Iterator[Group]:
    """Yield one group a task, or an annotation of JSON_MIN; `names` maps `DEFAULTS` to the project's own names.

    See `read_groups`.
    """
    mapped = DEFAULTS | dict(names or {})

    def groups_of(row: Row, source: str, left_out: Counter[Sentence]) -> Iterator[Group]:
        if recognise(row.fields) and "data" not in row.fields:
            return _of_annotation(row, mapped, source, left_out)
        count_unknown(row, ("id", "data", "annotations"), left_out)
        return _of_task(row, mapped, source, left_out)

    return read_groups(path, left_out, None, groups_of)


def _of_task(row: Row, mapped: Mapping[str, str], source: str, left_out: Counter[Sentence]) -> Iterator[Group]:
    data = row.object("data")
    count_unknown(data, mapped.values(), left_out, TASK_DATA)
    completions, ids = _completions(data, mapped)
    rankings = []
    for annotation in row.inner("annotations"):
        annotator, times = _annotator(annotation, "completed_by"), _times(annotation)
        results = annotation.inner("result")
        usable = [result for result in results if result.text("type", "") in ("pairwise", "ranker")]
        left_out[OTHER_RESULT] += len(results) - len(usable)
        if annotation.truth("was_cancelled"):
            rankings.append(RowRanking(annotator, extra=times | {"outcome": "skipped"}))
            continue
        left_out[NO_RESULT] += not usable
        for result in usable:
            rankings.append(RowRanking(annotator, **_order(result.object("value"), ids), extra=times))
    return ranked_group(messages_of(data, mapped["prompt"], left_out), completions, rankings, left_out, source)


def _of_annotation(row: Row, mapped: Mapping[str, str], source: str, left_out: Counter[Sentence]) -> Iterator[Group]:
    completions, ids = _completions(row, mapped)
    controls = [name for name, value in row.fields.items() if name not in mapped.values() and _is_result(value)]
    count_unknown(row, (*ANNOTATION_FIELDS, *mapped.values(), *controls), left_out)
    rankings = [
        RowRanking(_annotator(row, "annotator"), **_order(value, ids), extra=_times(row))
        for name in controls
        for value in row.inner(name)
    ]
    left_out[NO_RESULT] += not rankings
    return ranked_group(messages_of(row, mapped["prompt"], left_out), completions, rankings, left_out, source)


def _is_result(value: object) -> bool:
    """Return whether JSON_MIN has this value for a pairwise or ranker control: a list of values as in JSON."""
    if not isinstance(value, list) or not value or not all(isinstance(element, dict) for element in value):
        return False
    return any("selected" in element or "ranker" in element for element in value)


def _completions(data: Row, mapped: Mapping[str, str]) -> tuple[list[tuple[str, str]], dict[str, int]]:
    """Return a task's completions, with empty policies, and the place of each item's id if the task has items."""
    if mapped["items"] not in data.fields:
        return [(data.text(mapped[side]), "") for side in SIDES], {}
    items = data.inner(mapped["items"])
    ids = {_id(item, "id", item.fields.get("id")): place for place, item in enumerate(items)}
    return [(item.text(mapped["text"]), "") for item in items], ids


def _times(annotation: Row) -> dict[str, float | int | None]:
    """Return the seconds that the annotation took and when it was submitted, None where the row does not have it."""
    text = annotation.text("created_at", "")
    try:
        created = datetime.fromisoformat(text) if text else None
    except ValueError:
        annotation.refuse("created_at", say("label_data.formats.not_a_time", value=text[:40]))
    submitted = round(created.replace(tzinfo=created.tzinfo or UTC).timestamp() * 1e6) if created else None
    return {"seconds": annotation.number("lead_time"), "submitted": submitted}


def _order(value: Row, ids: Mapping[str, int]) -> Preference:
    if "selected" in value.fields:
        side = value.text("selected")
        if side not in SIDES:
            value.refuse("selected", say("label_data.datasets.not_one_of", value=side[:60], values=", ".join(SIDES)))
        if ids:
            value.refuse("selected", say("label_data.formats.side_of_items"))
        return preference(SIDES[side])
    ranked = value.fields.get("ranker")
    if isinstance(ranked, dict):
        ranked = ranked.get("rank", next(iter(ranked.values()), None))
    if not isinstance(ranked, list):
        value.refuse("ranker", say("label_data.formats.not_ids", found=described(ranked)))
    names = [_id(value, "ranker", name) for name in ranked]
    for name in names:
        if name not in ids:
            value.refuse("ranker", say("label_data.formats.unknown_item", item=name[:60], names=listed(ids)))
    return {"order": [(ids[name],) for name in names], "strength": ()}


def _id(row: Row, name: str, value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int):
        row.refuse(name, say("label_data.formats.not_an_id", found=described(value)))
    return str(value)


def _annotator(annotation: Row, field: str) -> str:
    """Return the annotator: exports give a number, a name, or an object, of which only the number is kept."""
    value = annotation.fields.get(field)
    if isinstance(value, dict):
        value = value.get("id")
    return f"annotator {_id(annotation, field, value)}"

"""Make records of values that were checked before, without checking them again."""

from dataclasses import fields
from typing import Any, TypeVar

from label_data.canonical import fast_content_id
from label_data.records import ANNOTATOR_NAME, Completion, Demonstration, Group, Message, Prompt, Ranking, check_text

_Record = TypeVar("_Record", Message, Prompt, Completion, Ranking, Demonstration, Group)
_SETTERS = {
    record: tuple(getattr(record, field.name).__set__ for field in fields(record)) for record in _Record.__constraints__
}


def unchecked(kind: type[_Record], *values: Any) -> _Record:
    """Return a record with these values for all its fields, in order. Nothing is checked and no id is computed."""
    record = object.__new__(kind)
    for set_field, value in zip(_SETTERS[kind], values, strict=True):
        set_field(record, value)
    return record


def imported_pair(prompt: Prompt, better: Message, worse: Message, annotator: str) -> Group:
    """Return a prompt with two different completions, of which the annotator prefers the first, shown in order of id.

    The result equals what the constructors of the records make, in half the time: the texts were checked as messages,
    and the other values are valid by construction.
    """
    check_text(annotator, ANNOTATOR_NAME, 200)
    ids: list[str] = []
    completions: list[Completion] = []
    for text in (better.content, worse.content):
        ids.append(fast_content_id("completion", prompt.id, text, "", ""))
        completions.append(unchecked(Completion, prompt.id, text, "", "", {}, None, "", ids[-1]))
    shown, order = tuple(sorted(ids)), ((ids[0],), (ids[1],))
    judgement: dict[str, Any] = {  # as `Ranking.judgement`
        "prompt": prompt.id,
        "annotator": annotator,
        "shown": shown,
        "order": order,
        "outcome": "ranked",
        "strength": (),
        "flags": {},
        "reason": "",
        "revises": None,
    }
    submission = fast_content_id("ranking", judgement)
    ranking = unchecked(
        Ranking,
        *(prompt.id, annotator, shown, order, "ranked"),
        *((), {}, "", None, None, None, None),  # strength, flags, reason, seconds, started, submitted, revises
        *(False, "import", "", None, submission),  # assisted, source, project, project_revision, submission
        *({}, (), ""),  # ratings, spans, purpose
    )
    return unchecked(Group, prompt, tuple(completions), (ranking,), ())

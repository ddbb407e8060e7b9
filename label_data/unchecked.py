"""Records of values that were checked before, made without checking them again."""

from dataclasses import fields
from typing import Any, TypeVar

from label_data.canonical import fast_content_id
from label_data.records import Completion, Demonstration, Group, Message, Prompt, Ranking, check_text

_Record = TypeVar("_Record", Message, Prompt, Completion, Ranking, Demonstration, Group)
_PUTTERS = {kind: tuple(getattr(kind, one.name).__set__ for one in fields(kind)) for kind in _Record.__constraints__}


def unchecked(kind: type[_Record], *values: Any) -> _Record:
    """Return the record of these values, all its fields in their order, with nothing checked and no id computed."""
    record = object.__new__(kind)
    for put, value in zip(_PUTTERS[kind], values, strict=True):
        put(record, value)
    return record


def imported_pair(prompt: Prompt, better: Message, worse: Message, annotator: str) -> Group:
    """Return a prompt with two different answers, of which the annotator prefers the first, shown in the ids' order.

    It equals what the records' own constructors make, in half their time: the texts were checked as messages, and the
    rest is right because it is made here.
    """
    check_text(annotator, "An annotator's name", 200)
    ids, completions = [], []
    for text in (better.content, worse.content):
        ids.append(fast_content_id("completion", prompt.id, text, "", ""))
        completions.append(unchecked(Completion, prompt.id, text, "", "", {}, None, "", ids[-1]))
    shown, order = tuple(sorted(ids)), ((ids[0],), (ids[1],))
    said = {"prompt": prompt.id, "annotator": annotator, "shown": shown, "order": order, "outcome": "ranked"}
    said |= {"strength": (), "flags": {}, "reason": "", "revises": None}
    made = (None, None, None, None, False, "import", "", None, fast_content_id("ranking", said))
    ranking = unchecked(Ranking, prompt.id, annotator, shown, order, "ranked", (), {}, "", *made, {}, (), "")
    return unchecked(Group, prompt, tuple(completions), (ranking,), ())

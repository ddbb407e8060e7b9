"""One prompt, its completions, and what judges said of them: the shape that public data sets share.

A reader of a data set says for each row who judged, in which order, and how sure; from there on all are alike.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from label_data.errors import InputError
from label_data.files.rows_in import Row, described, located, read_rows
from label_data.formats.pairs import NO_QUESTION, SAME, count_unknown
from label_data.records import FEWEST_COMPLETIONS, STRENGTHS, Completion, Group, Message, Prompt, Ranking, messages_from

ONE_LEFT = "fewer than two completions are left to be compared"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one judge said; completions are named by their place in the row, from 0."""

    annotator: str
    order: Sequence[Sequence[int]] = ()
    """Groups of places, best first; those in one group are tied."""
    strength: Sequence[int | None] = ()
    shown: Sequence[int] | None = None
    """Places from first seen to last, if the file tells."""
    said: Mapping[str, Any] = field(default_factory=dict)
    """Further fields of the Ranking: outcome, reason, seconds, submitted, source …"""
    ratings: Sequence[int] = ()
    """Of each completion by itself, from 1; empty if there are none."""


def read_judged(
    path: Path,
    left_out: Counter[str] | None,
    known: Collection[str] | None,
    groups_of: Callable[[Row, str, Counter[str]], Iterable[Group]],
    rows: Iterable[Row] | None = None,
) -> Iterator[Group]:
    """Yield the groups of each row, and count in `left_out` what is not kept: fields that are not `known`, and rows.

    `groups_of` gets the row, the file's name, and `left_out`; it counts fields itself if `known` is None. `rows` are
    the file's if it is neither JSON nor Parquet. Raises InputError, with file, line and field, at a row that does not
    fit the format.
    """
    left_out = Counter() if left_out is None else left_out
    for row in read_rows(path) if rows is None else rows:
        if known is not None:
            count_unknown(row, known, left_out)
        with located(row.where):
            groups = list(groups_of(row, path.name, left_out))
        yield from groups


def judged(
    messages: Sequence[Message],
    answers: Sequence[tuple[str, str] | tuple[str, str, Mapping[str, Any]]],
    verdicts: Iterable[Verdict],
    left_out: Counter[str],
    source: str,
    category: str = "",
) -> Iterator[Group]:
    """Yield the one group, or none, counted in `left_out`, if it holds no question or no two different answers.

    `answers` are (text, policy) or (text, policy, sampling). Without `shown` the completions are shown sorted by id,
    so that nothing can be read from their order.
    """
    if not messages or messages[-1].role != "user" or not messages[-1].content.strip():
        left_out[NO_QUESTION] += 1
        return
    prompt = Prompt(tuple(messages), category[:100], source)
    completions = [Completion(prompt.id, text, policy, "", *rest) for text, policy, *rest in answers]
    ids = [completion.id for completion in completions]
    if len(set(ids)) < len(ids):
        left_out[SAME] += 1
        return
    if len(ids) < FEWEST_COMPLETIONS:
        left_out[ONE_LEFT] += 1
        return
    rankings = [
        Ranking(
            prompt.id,
            verdict.annotator,
            tuple(sorted(ids) if verdict.shown is None else (ids[place] for place in verdict.shown)),
            tuple(tuple(ids[place] for place in tied) for tied in verdict.order),
            strength=tuple(verdict.strength),
            ratings=dict(zip(ids, verdict.ratings, strict=True)) if verdict.ratings else {},
            **{"source": "import", **verdict.said},
        )
        for verdict in verdicts
    ]
    yield Group(prompt, tuple(completions), tuple(rankings))


def leaning(value: float, strengths: Mapping[float, int] | None = None) -> dict[str, Any]:
    """Return order and strength of two completions: below 0 the first is preferred, above 0 the second, 0 is a tie.

    `strengths` maps the size of the value to 1, 2 or 3; without it nothing is known of the strength.
    """
    order = ((0, 1),) if value == 0 else ((0,), (1,)) if value < 0 else ((1,), (0,))
    known = strengths is not None and value != 0
    return {"order": order, "strength": (strengths[abs(value)],) if known else ()}


AS_IT_IS = {step: step for step in STRENGTHS}
"""A scale of -3 to 3, which is this project's."""


def by_rank(ranks: Sequence[float | None], highest_first: bool = False) -> tuple[tuple[int, ...], ...]:
    """Return the places grouped by rank, best first; equal ranks are ties, and a place without a rank is not placed."""
    known = sorted({rank for rank in ranks if rank is not None}, reverse=highest_first)
    return tuple(tuple(place for place, rank in enumerate(ranks) if rank == best) for best in known)


def messages_of(row: Row, name: str, left_out: Counter[str]) -> tuple[Message, ...]:
    """Return the conversation in a field, a text standing for one user's turn; parts other than text are refused.

    Fields of a message that no record has, such as calls of tools, are counted in `left_out`.
    """
    value = row.fields.get(name)
    if isinstance(value, str):
        return (Message("user", value),)
    turns = []
    for turn in row.inner(name):
        count_unknown(turn, ("role", "content"), left_out, "a message")
        turns.append({"role": turn.text("role"), "content": _content(turn)})
    if not turns:
        row.refuse(name, described(value), 'Write a list of messages: [{"role": "user", "content": "…"}].')
    with located(f"{row.where}, field {row.within}{name}"):
        return messages_from(turns, "The list")


def _content(turn: Row) -> str:
    """Return a message's text, which may be a list of parts; raises InputError at a picture."""
    if not isinstance(turn.fields.get("content"), list):
        return turn.text("content")
    parts = turn.inner("content")
    for part in parts:
        if part.text("type", "text") != "text":
            raise InputError(f"{turn.where}, field {turn.within}content: {PICTURE}.")
    return "".join(part.text("text", "") for part in parts)


PICTURE = "found a picture or a file in a message, and only text is kept"


def number_of(row: Row, name: str) -> float:
    """Return the field's number, and refuse the row if there is none."""
    value = row.number(name)
    if value is None:
        row.refuse(name, "no number", "Add it.")
    return value

"""A row with one prompt, its completions, and how annotators ranked them: the shape that public data sets share.

A reader of a data set says for each row who ranked, in which order, and how strongly; the rest is the same for all.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypedDict

from label_data.errors import InputError
from label_data.files.places import fault, located
from label_data.files.rows_in import Row, described, read_rows
from label_data.formats.pairs import NO_QUESTION, SAME_TEXT, count_unknown
from label_data.records import FEWEST_COMPLETIONS, STRENGTHS, Completion, Group, Message, Prompt, Ranking, messages_from
from label_data.sentences import Sentence, say

ONE_COMPLETION = say("label_data.formats.one_completion")
PICTURE = say("label_data.formats.picture")
A_MESSAGE = say("label_data.formats.a_message")


@dataclass(frozen=True, slots=True)
class RowRanking:
    """One annotator's ranking; completions are named by their place in the row, from 0."""

    annotator: str
    order: Sequence[Sequence[int]] = ()
    """Groups of places, best first; the places of one group are tied."""
    strength: Sequence[int | None] = ()
    shown: Sequence[int] | None = None
    """Places in the order in which they were shown, if the file has it."""
    extra: Mapping[str, Any] = field(default_factory=dict)
    """Further fields of the Ranking, each of its own type: outcome, reason, seconds, submitted, source …"""
    ratings: Sequence[int] = ()
    """The rating of each completion by itself, from 1; empty if there are none."""


def read_groups(
    path: Path,
    left_out: Counter[Sentence] | None,
    known: Collection[str] | None,
    groups_of: Callable[[Row, str, Counter[Sentence]], Iterable[Group]],
    rows: Iterable[Row] | None = None,
) -> Iterator[Group]:
    """Yield the groups of each row; count in `left_out` what is not kept: fields that are not `known`, and rows.

    `groups_of` gets the row, the file's name, and `left_out`; it counts fields itself if `known` is None. `rows` are
    the file's rows if it is neither JSON nor Parquet. Raises InputError, with file, line and field, at a row that does
    not fit the format.
    """
    left_out = Counter() if left_out is None else left_out
    for row in read_rows(path) if rows is None else rows:
        if known is not None:
            count_unknown(row, known, left_out)
        with located(row.where):
            groups = list(groups_of(row, path.name, left_out))
        yield from groups


def ranked_group(
    messages: Sequence[Message],
    completions: Sequence[tuple[str, str] | tuple[str, str, Mapping[str, Any]]],
    rankings: Iterable[RowRanking],
    left_out: Counter[Sentence],
    source: str,
    category: str = "",
) -> Iterator[Group]:
    """Yield the one group, or none, counted in `left_out`, without a question or without two different completions.

    `completions` are (text, policy) or (text, policy, sampling). Without `shown` the completions count as shown in the
    order of their ids, so that the order tells nothing.
    """
    if not messages or messages[-1].role != "user" or not messages[-1].content.strip():
        left_out[NO_QUESTION] += 1
        return
    prompt = Prompt(tuple(messages), category[:100], source)
    records = [
        Completion(prompt.id, completion[0], completion[1], sampling=completion[2] if len(completion) == 3 else {})
        for completion in completions
    ]
    ids = [completion.id for completion in records]
    if len(set(ids)) < len(ids):
        left_out[SAME_TEXT] += 1
        return
    if len(ids) < FEWEST_COMPLETIONS:
        left_out[ONE_COMPLETION] += 1
        return
    yield Group(prompt, tuple(records), tuple(_ranking(prompt, ids, ranking) for ranking in rankings))


def _ranking(prompt: Prompt, ids: Sequence[str], ranking: RowRanking) -> Ranking:
    return Ranking(
        prompt.id,
        ranking.annotator,
        tuple(sorted(ids) if ranking.shown is None else (ids[place] for place in ranking.shown)),
        tuple(tuple(ids[place] for place in tied) for tied in ranking.order),
        strength=tuple(ranking.strength),
        ratings=dict(zip(ids, ranking.ratings, strict=True)) if ranking.ratings else {},
        **{"source": "import", **ranking.extra},
    )


class Preference(TypedDict):
    """Order and strength of two completions, as arguments of a RowRanking."""

    order: Sequence[Sequence[int]]
    strength: Sequence[int | None]


def preference(value: float, strengths: Mapping[float, int] | None = None) -> Preference:
    """Return order and strength of two completions: below 0 the first is preferred, above 0 the second, 0 is a tie.

    `strengths` maps the size of the value to 1, 2 or 3; without it the strength is unknown.
    """
    order = ((0, 1),) if value == 0 else ((0,), (1,)) if value < 0 else ((1,), (0,))
    strength = () if strengths is None or value == 0 else (strengths[abs(value)],)
    return {"order": order, "strength": strength}


SAME_SCALE: Mapping[float, int] = {step: step for step in STRENGTHS}
"""The strengths of a scale from -3 to 3, which is this project's scale."""


def order_by_rank(ranks: Sequence[float | None], highest_first: bool = False) -> tuple[tuple[int, ...], ...]:
    """Return the places grouped by rank, best first; equal ranks are ties, and a place without a rank is left out."""
    known = sorted({rank for rank in ranks if rank is not None}, reverse=highest_first)
    return tuple(tuple(place for place, rank in enumerate(ranks) if rank == best) for best in known)


def messages_of(row: Row, name: str, left_out: Counter[Sentence]) -> tuple[Message, ...]:
    """Return the conversation in a field; a text is one user message; parts other than text are refused.

    Fields of a message that no record has, such as tool calls, are counted in `left_out`.
    """
    value = row.fields.get(name)
    if isinstance(value, str):
        return (Message("user", value),)
    messages = []
    for turn in row.inner(name):
        count_unknown(turn, ("role", "content"), left_out, A_MESSAGE)
        messages.append({"role": turn.text("role"), "content": _content(turn)})
    if not messages:
        row.refuse(name, say("label_data.formats.no_messages", found=described(value)))
    with located(row.where, row.within + name):
        return messages_from(messages, say("label_data.formats.the_list"))


class PictureError(InputError):
    """A message has a part that is not text."""


def _content(turn: Row) -> str:
    """Return a message's text, which may be a list of parts; raises PictureError at a part that is not text."""
    if not isinstance(turn.fields.get("content"), list):
        return turn.text("content")
    parts = turn.inner("content")
    for part in parts:
        if part.text("type", "text") != "text":
            error = fault(turn.where, PICTURE, f"{turn.within}content")
            raise PictureError(error.key, **error.values)
    return "".join(part.text("text", "") for part in parts)

"""Groups with only the fields that exports for trainers need, made directly from the store's rows.

Their fields have the names of the records' fields, so a format accepts either. They are faster to make: the messages of
a prompt stay the JSON text that the store has, and empty values are not parsed.
"""

from collections.abc import Iterator, Set
from typing import NamedTuple

from label_data.database.engine import Store, reading
from label_data.errors import InputError
from label_data.records import TESTS, Outcome, Purpose
from label_data.store.group_rows import Columns, GroupRows, json_value, pages

COLUMNS = Columns(
    prompts=("number", "id", "messages"),
    completions=("prompt_id", "id", "text"),
    rankings=(
        *("prompt_id", "submission", "outcome", "purpose", "reason"),
        *("shown", "order", "strength", "flags", "ratings", "spans"),
    ),
    demonstrations=("prompt_id", "text"),
)


class BarePrompt(NamedTuple):
    """The fields of a `Prompt` that exports need."""

    number: int
    id: str
    as_json: str


class BareCompletion(NamedTuple):
    """The fields of a `Completion` that exports need."""

    prompt_id: str
    id: str
    text: str


class BareDemonstration(NamedTuple):
    """The fields of a `Demonstration` that exports need."""

    prompt_id: str
    text: str


class BareRanking(NamedTuple):
    """The fields of a `Ranking` that exports need."""

    outcome: Outcome
    purpose: Purpose
    reason: str
    shown: list[str]
    order: list[list[str]]
    strength: list[int | None]
    flags: dict[str, list[str]]
    ratings: dict[str, int]
    spans: list[list[str | int]]
    """[completion, start, end, kind]; see `Span`."""

    @property
    def tests_annotator(self) -> bool:
        """As `Ranking.tests_annotator`."""
        return self.purpose in TESTS


class BareGroup(NamedTuple):
    """A prompt with its completions, rankings and demonstrations, as `Group`."""

    prompt: BarePrompt
    completions: list[BareCompletion]
    rankings: list[BareRanking]
    demonstrations: list[BareDemonstration]


def bare_groups(store: Store, project: str | None = None) -> Iterator[BareGroup]:
    """Yield the same prompts, completions, current rankings and demonstrations as `stored_groups.groups`."""
    with reading(store) as connection:
        for rows in pages(connection, COLUMNS, project=project):
            yield from (_group(BarePrompt._make(prompt), rows) for prompt in rows.prompts)


def _group(prompt: BarePrompt, rows: GroupRows) -> BareGroup:
    completions = [BareCompletion._make(row) for row in rows.completions.get(prompt.id, ())]
    rankings = [_ranking(*row, keys=rows.keys) for row in rows.rankings.get(prompt.id, ())]
    ids = {completion.id for completion in completions}
    if not all(ids.issuperset(ranking.shown) for ranking in rankings):
        raise InputError("label_data.store.bare_ranking", prompt=prompt.id)
    demonstrations = [BareDemonstration._make(row) for row in rows.demonstrations.get(prompt.id, ())]
    return BareGroup(prompt, completions, rankings, demonstrations)


def _ranking(
    _prompt_id: str, submission: str, outcome: Outcome, purpose: Purpose, reason: str, *lists: str, keys: Set[str]
) -> BareRanking:
    purpose = "key" if submission in keys else purpose
    shown, order, strength, flags, ratings, spans = map(json_value, lists)
    return BareRanking(outcome, purpose, reason, shown, order, strength, flags, ratings, spans)

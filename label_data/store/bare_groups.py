"""Groups with no more than a file for a trainer needs of them, straight from the store's rows.

They have the names of the records' fields that the formats use, so a format takes either. They take less time to make:
a prompt's messages stay the JSON text that the store has, and what is empty is not parsed.
"""

from collections.abc import Iterator, Set
from typing import Any, NamedTuple

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
    """As `Prompt`."""

    number: int
    id: str
    as_json: str


class BareCompletion(NamedTuple):
    """As `Completion`."""

    prompt_id: str
    id: str
    text: str


class BareDemonstration(NamedTuple):
    """As `Demonstration`."""

    prompt_id: str
    text: str


class BareRanking(NamedTuple):
    """As `Ranking`."""

    outcome: Outcome
    purpose: Purpose
    reason: str
    shown: list[str]
    order: list[list[str]]
    strength: list[int | None]
    flags: dict[str, list[str]]
    ratings: dict[str, int]
    spans: list[list[Any]]

    @property
    def tests_annotator(self) -> bool:
        """As `Ranking.tests_annotator`."""
        return self.purpose in TESTS


class BareGroup(NamedTuple):
    """As `Group`."""

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
    completions = [BareCompletion._make(one) for one in rows.completions.get(prompt.id, ())]
    rankings = [_ranking(*one, keys=rows.keys) for one in rows.rankings.get(prompt.id, ())]
    ids = {completion.id for completion in completions}
    if not all(ids.issuperset(ranking.shown) for ranking in rankings):
        raise InputError(f"A ranking of prompt {prompt.id} orders completions that are not in its group.")
    written = [BareDemonstration._make(one) for one in rows.demonstrations.get(prompt.id, ())]
    return BareGroup(prompt, completions, rankings, written)


def _ranking(
    _prompt_id: str, submission: str, outcome: Outcome, purpose: Purpose, reason: str, *lists: str, keys: Set[str]
) -> BareRanking:
    return BareRanking(outcome, "key" if submission in keys else purpose, reason, *map(json_value, lists))

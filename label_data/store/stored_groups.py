"""Read the store as records: groups of a prompt with its completions, rankings and demonstrations.

Records were checked when they were stored, so reading neither checks them nor computes their ids, which took half the
time; `oversight.check` does both. Reading only checks that a group has the completions that its rankings name.
"""

import json
from collections.abc import Iterator, Sequence, Set
from operator import attrgetter

import orjson
from sqlalchemy import Connection

from label_data.database.engine import AnyRow, Store, reading
from label_data.records import (
    Completion,
    Demonstration,
    Group,
    Message,
    Outcome,
    Prompt,
    Purpose,
    Ranking,
    Source,
    Span,
)
from label_data.store.group_rows import Columns, GroupRows, json_value, pages, rows_of_prompts
from label_data.unchecked import unchecked

COLUMNS = Columns(
    prompts=("number", "id", "messages", "category", "source", "licence"),
    completions=("prompt_id", "text", "policy", "policy_revision", "sampling", "seed", "finish_reason", "id"),
    rankings=(
        *("prompt_id", "annotator", "shown", "order", "outcome", "strength", "flags", "reason", "seconds"),
        *("started_us", "submitted_us", "revises", "assisted", "source", "project", "project_revision"),
        *("submission", "ratings", "spans", "purpose"),
    ),
    demonstrations=(
        *("prompt_id", "text", "annotator", "edited_from", "submission", "written_us", "source"),
        *("project", "project_revision", "id"),
    ),
)
"""The columns that make the records, in the order of the parameters of the functions below."""
_COMPLETION_COLUMNS = attrgetter(*COLUMNS.completions)


def groups(
    store: Store,
    ranked_only: bool = False,
    revised: bool = False,
    project: str | None = None,
    retracted: bool = False,
) -> Iterator[Group]:
    """Yield prompts, oldest first, with completions, current rankings and demonstrations, from a consistent snapshot.

    Args:
        store: the store.
        ranked_only: yield only prompts with rankings.
        revised: include earlier revisions of rankings and the demonstrations sent with them, in the order stored.
        project: yield only the prompts of this project with the rankings made for it; by default, of all projects.
        retracted: include withdrawn rankings and the demonstrations sent with them.
    """
    with reading(store) as connection:
        yield from all_groups_in(connection, ranked_only, revised, project, retracted)


def all_groups_in(
    connection: Connection,
    ranked_only: bool = False,
    revised: bool = False,
    project: str | None = None,
    retracted: bool = False,
) -> Iterator[Group]:
    """Yield the same as `groups`, within an open transaction."""
    for rows in pages(connection, COLUMNS, ranked_only, revised, project, retracted):
        yield from _groups(rows)


def groups_in(
    connection: Connection,
    prompt_ids: Sequence[str],
    revised: bool = False,
    project: str | None = None,
    retracted: bool = False,
) -> list[Group]:
    """Return the groups of these prompts, in this order. The prompts must be in the store.

    `revised`, `project` and `retracted` are as in `groups`.
    """
    return list(_groups(rows_of_prompts(connection, COLUMNS, prompt_ids, revised, project, retracted)))


def _groups(rows: GroupRows) -> Iterator[Group]:
    for row in rows.prompts:
        _, id, messages, category, source, licence = row
        yield Group(
            _prompt(id, messages, category, source, licence),
            tuple([_completion(*completion) for completion in rows.completions.get(id, ())]),
            tuple([_ranking(rows.keys, *ranking) for ranking in rows.rankings.get(id, ())]),
            tuple([unchecked(Demonstration, *values) for values in rows.demonstrations.get(id, ())]),
        )


def prompt_from_row(row: AnyRow) -> Prompt:
    """Return the prompt of a row with the columns of its table."""
    return _prompt(row.id, row.messages, row.category, row.source, row.licence)


def _prompt(id: str, messages: str, category: str, source: str, licence: str) -> Prompt:
    return unchecked(Prompt, messages_from_json(messages), category, source, licence, id)


def messages_from_json(text: str) -> tuple[Message, ...]:
    """Return the messages of a prompt from the JSON that the store has."""
    return tuple([unchecked(Message, turn["role"], turn["content"]) for turn in orjson.loads(text)])


def completion_from_row(row: AnyRow) -> Completion:
    """Return the completion of a row with the columns of its table."""
    return _completion(*_COMPLETION_COLUMNS(row))


def _completion(
    prompt_id: str,
    text: str,
    policy: str,
    policy_revision: str,
    sampling: str,
    seed: int | None,
    finish_reason: str,
    id: str,
) -> Completion:
    return unchecked(
        Completion,
        prompt_id,
        text,
        policy,
        policy_revision,
        {} if sampling == "{}" else json.loads(sampling),
        seed,
        finish_reason,
        id,
    )


def _ranking(
    keys: Set[str],
    prompt_id: str,
    annotator: str,
    shown: str,
    order: str,
    outcome: Outcome,
    strength: str,
    flags: str,
    reason: str,
    seconds: float | None,
    started: int | None,
    submitted: int | None,
    revises: str | None,
    assisted: int,
    source: Source,
    project: str,
    project_revision: int | None,
    submission: str,
    ratings: str,
    spans: str,
    purpose: Purpose,
) -> Ranking:
    return unchecked(
        Ranking,
        prompt_id,
        annotator,
        tuple(orjson.loads(shown)),
        tuple(map(tuple, json_value(order))),
        outcome,
        tuple(json_value(strength)),
        {completion: tuple(names) for completion, names in json_value(flags).items()},
        reason,
        seconds,
        started,
        submitted,
        revises,
        bool(assisted),
        source,
        project,
        project_revision,
        submission,
        json_value(ratings),
        tuple(Span(*span) for span in json_value(spans)),
        "key" if submission in keys else purpose,
    )

"""What the store holds, as records: groups of one prompt with all that belongs to it.

It was checked when it was stored, so the records are made without checking them again or working out their ids: that
took half the time of reading them. `oversight.check` does both. Only whether a group has all that its rankings name
is looked at.
"""

import json
from collections.abc import Iterator, Sequence, Set
from operator import attrgetter
from typing import Any

import orjson
from sqlalchemy import Connection, Row

from label_data.database.engine import Store, reading
from label_data.records import Completion, Demonstration, Group, Message, Prompt, Ranking, Span
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
"""What the records are made of, in the order in which the functions below take it."""
_COMPLETION_COLUMNS = attrgetter(*COLUMNS.completions)


def groups(
    store: Store,
    ranked_only: bool = False,
    revised: bool = False,
    project: str | None = None,
    retracted: bool = False,
) -> Iterator[Group]:
    """Yield prompts with their completions, current rankings and demonstrations, from one moment of the store.

    First added first. Of a ranking that was revised only the newest is current, with the demonstration sent with it;
    `revised` yields the earlier ones too, in the order in which they were stored. `project`: only its prompts, with
    the rankings made for it; by default those of all projects. Rankings that were withdrawn, and the demonstrations
    sent with them, come with `retracted` alone. Reads some hundred prompts at a time.
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
    """Yield the same inside a transaction that is open already."""
    for rows in pages(connection, COLUMNS, ranked_only, revised, project, retracted):
        yield from _groups(rows)


def groups_in(
    connection: Connection,
    prompt_ids: Sequence[str],
    revised: bool = False,
    project: str | None = None,
    retracted: bool = False,
) -> list[Group]:
    """Return the groups of these prompts, in this order; the prompts must be in the store.

    `revised`, `project` and `retracted` as in `groups`.
    """
    return list(_groups(rows_of_prompts(connection, COLUMNS, prompt_ids, revised, project, retracted)))


def _groups(rows: GroupRows) -> Iterator[Group]:
    for row in rows.prompts:
        prompt = _prompt(*row[1:])
        yield Group(
            prompt,
            tuple(_completion(*one) for one in rows.completions.get(prompt.id, ())),
            tuple(_ranking(*one, keys=rows.keys) for one in rows.rankings.get(prompt.id, ())),
            tuple(unchecked(Demonstration, *one) for one in rows.demonstrations.get(prompt.id, ())),
        )


def prompt_from_row(row: Row[Any]) -> Prompt:
    """Return the prompt of a row of its table."""
    return _prompt(row.id, row.messages, row.category, row.source, row.licence)


def _prompt(id: str, messages: str, category: str, source: str, licence: str) -> Prompt:
    return unchecked(Prompt, messages_from_json(messages), category, source, licence, id)


def messages_from_json(text: str) -> tuple[Message, ...]:
    """Return the messages of a prompt, of which the store has the JSON."""
    return tuple(unchecked(Message, one["role"], one["content"]) for one in orjson.loads(text))


def completion_from_row(row: Row[Any]) -> Completion:
    """Return the completion of a row that has all columns of its table."""
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
    prompt_id: str,
    annotator: str,
    shown: str,
    order: str,
    outcome: str,
    strength: str,
    flags: str,
    reason: str,
    seconds: float | None,
    started: int | None,
    submitted: int | None,
    revises: str | None,
    assisted: int,
    source: str,
    project: str,
    project_revision: int | None,
    submission: str,
    ratings: str,
    spans: str,
    purpose: str,
    keys: Set[str],
) -> Ranking:
    return unchecked(
        Ranking,
        prompt_id,
        annotator,
        tuple(orjson.loads(shown)),
        tuple(map(tuple, json_value(order))),
        outcome,
        tuple(json_value(strength)),
        {completion: tuple(some) for completion, some in json_value(flags).items()},
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

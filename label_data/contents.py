"""What the store holds, as records: groups of one prompt with all that belongs to it."""

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, Table, bindparam, select

from label_data import schema
from label_data.database import Store, reading
from label_data.records import Completion, Demonstration, Group, Message, Prompt, Ranking, Span

_ids = bindparam("prompts", expanding=True)
_later = schema.rankings.alias("later")


def _is_current(table: Table) -> ColumnElement[bool]:
    return ~select(_later.c.number).where(_later.c.revises == table.c.submission).exists()


def _of(table: Table) -> Select[Any]:
    return select(table).where(table.c.prompt_id.in_(_ids)).order_by(table.c.number)


# Built once: building them for each call took more than reading what they find. True: revised ones too.
_PROMPTS = select(schema.prompts).where(schema.prompts.c.id.in_(_ids))
_COMPLETIONS = _of(schema.completions)
_RANKINGS, _DEMONSTRATIONS = (
    {True: _of(table), False: _of(table).where(_is_current(table))}
    for table in (schema.rankings, schema.demonstrations)
)


def groups(store: Store, ranked_only: bool = False, revised: bool = False) -> Iterator[Group]:
    """Yield prompts with their completions, current rankings and demonstrations, from one moment of the store.

    First added first. Of a ranking that was revised only the newest is current, with the demonstration sent with it;
    `revised` yields the earlier ones too, in the order in which they were stored. Reads 500 prompts at a time.
    """
    with reading(store) as connection:
        yield from all_groups_in(connection, ranked_only, revised)


def all_groups_in(connection: Connection, ranked_only: bool = False, revised: bool = False) -> Iterator[Group]:
    """Yield the same inside a transaction that is open already."""
    prompts = schema.prompts
    query = select(prompts.c.id, prompts.c.number).order_by(prompts.c.number).limit(500)
    if ranked_only:
        query = query.where(prompts.c.id.in_(select(schema.rankings.c.prompt_id)))
    last = -1
    while rows := connection.execute(query.where(prompts.c.number > last)).all():
        yield from groups_in(connection, [row.id for row in rows], revised)
        last = rows[-1].number


def groups_in(connection: Connection, prompt_ids: Sequence[str], revised: bool = False) -> list[Group]:
    """Return the groups of these prompts, in this order; the prompts must be in the store.

    `revised` as in `groups`.
    """
    ids = {"prompts": list(prompt_ids)}
    prompts = {row.id: prompt_in(row) for row in connection.execute(_PROMPTS, ids)}
    completions_of = _by_prompt(map(_completion, connection.execute(_COMPLETIONS, ids)))
    rankings_of = _by_prompt(map(_ranking, connection.execute(_RANKINGS[revised], ids)))
    demonstrations_of = _by_prompt(map(_demonstration, connection.execute(_DEMONSTRATIONS[revised], ids)))
    return [
        Group(prompts[id], completions_of.get(id, ()), rankings_of.get(id, ()), demonstrations_of.get(id, ()))
        for id in prompt_ids
    ]


def _by_prompt(records: Iterable[Any]) -> dict[str, tuple[Any, ...]]:
    found: dict[str, list[Any]] = {}
    for record in records:
        found.setdefault(record.prompt_id, []).append(record)
    return {prompt: tuple(same) for prompt, same in found.items()}


def prompt_in(row: Row[Any]) -> Prompt:
    """Return the prompt of a row of its table."""
    messages = tuple(Message(message["role"], message["content"]) for message in json.loads(row.messages))
    return Prompt(messages, row.category, row.source)


def _completion(row: Row[Any]) -> Completion:
    return Completion(
        row.prompt_id,
        row.text,
        row.policy,
        row.policy_revision,
        json.loads(row.sampling),
        row.seed,
        row.finish_reason,
    )


def _demonstration(row: Row[Any]) -> Demonstration:
    return Demonstration(
        row.prompt_id,
        row.text,
        row.annotator,
        row.edited_from,
        row.submission,
        row.written_us,
        row.source,
        row.project,
        row.project_revision,
    )


def _ranking(row: Row[Any]) -> Ranking:
    return Ranking(
        prompt_id=row.prompt_id,
        annotator=row.annotator,
        shown=tuple(json.loads(row.shown)),
        order=tuple(tuple(group) for group in json.loads(row.order)),
        outcome=row.outcome,
        strength=tuple(json.loads(row.strength)),
        flags={completion: tuple(flags) for completion, flags in json.loads(row.flags).items()},
        reason=row.reason,
        seconds=row.seconds,
        started=row.started_us,
        submitted=row.submitted_us,
        revises=row.revises,
        assisted=bool(row.assisted),
        source=row.source,
        project=row.project,
        project_revision=row.project_revision,
        submission=row.submission,
        ratings=json.loads(row.ratings),
        spans=tuple(Span(*span) for span in json.loads(row.spans)),
    )

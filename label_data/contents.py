"""What the store holds, as records: groups of one prompt with all that belongs to it."""

import json
from collections.abc import Iterable, Iterator, Sequence, Set
from functools import cache, lru_cache
from typing import Any

from sqlalchemy import Connection, Row, Select, Table, bindparam, select

from label_data import schema
from label_data.database import Store, reading
from label_data.records import Completion, Demonstration, Group, Message, Prompt, Ranking, Span

_ids = bindparam("prompts", expanding=True)
_rankings, _retractions, _items = schema.rankings, schema.retractions, schema.items
_later, _other = _rankings.alias("later"), _rankings.alias("other")


def _of(table: Table) -> Select[Any]:
    return select(table).where(table.c.prompt_id.in_(_ids)).order_by(table.c.number)


# Built once: building them for each call took more than reading what they find.
_PROMPTS = select(schema.prompts).where(schema.prompts.c.id.in_(_ids))
_COMPLETIONS = _of(schema.completions)
_KEYS = select(_items.c.gold).where(_items.c.prompt_id.in_(_ids), _items.c.gold.is_not(None))


@cache
def _statements(revised: bool, retracted: bool, of_project: bool) -> tuple[Select[Any], Select[Any]]:
    """Return how rankings are found, and the demonstrations sent with them; see `groups`."""
    return tuple(_wanted(table, revised, retracted, of_project) for table in (_rankings, schema.demonstrations))


def _wanted(table: Table, revised: bool, retracted: bool, of_project: bool) -> Select[Any]:
    query = _of(table)
    if not revised:
        query = query.where(~select(_later.c.number).where(_later.c.revises == table.c.submission).exists())
    if not retracted:
        withdrawn = select(_retractions.c.submission).where(_retractions.c.submission == table.c.submission)
        query = query.where(~withdrawn.exists())
    if of_project:
        mine = select(_items.c.number).where(_items.c.number == _other.c.item, _items.c.project == bindparam("project"))
        others = select(_other.c.number).where(_other.c.submission == table.c.submission, ~mine.exists())
        query = query.where(~others.exists())
    return query


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
    sent with them, come with `retracted` alone. Reads 500 prompts at a time.
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
    prompts, items = schema.prompts, schema.items
    query = select(prompts.c.id, prompts.c.number).order_by(prompts.c.number).limit(500)
    if ranked_only:
        query = query.where(prompts.c.id.in_(select(schema.rankings.c.prompt_id)))
    if project is not None:
        query = query.where(prompts.c.id.in_(select(items.c.prompt_id).where(items.c.project == project)))
    last = -1
    while rows := connection.execute(query.where(prompts.c.number > last)).all():
        yield from groups_in(connection, [row.id for row in rows], revised, project, retracted)
        last = rows[-1].number


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
    of_rankings, of_demonstrations = _statements(revised, retracted, project is not None)
    ids = {"prompts": list(prompt_ids), "project": project}
    prompts = {row.id: prompt_in(row) for row in connection.execute(_PROMPTS, ids)}
    keys = set(connection.scalars(_KEYS, ids))
    completions_of = _by_prompt(map(completion_in, connection.execute(_COMPLETIONS, ids)))
    rankings_of = _by_prompt(_ranking(row, keys) for row in connection.execute(of_rankings, ids))
    demonstrations_of = _by_prompt(map(_demonstration, connection.execute(of_demonstrations, ids)))
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


def completion_in(row: Row[Any]) -> Completion:
    """Return the completion of a row of its table."""
    kept = (row.prompt_id, row.text, row.policy, row.policy_revision, row.sampling, row.seed, row.finish_reason)
    return _completion(*kept)


@lru_cache(maxsize=4_096)
def _completion(
    prompt_id: str, text: str, policy: str, revision: str, sampling: str, seed: int | None, finish_reason: str
) -> Completion:
    """Return the completion, made and checked once: a task's are read three times while an annotator has it."""
    return Completion(prompt_id, text, policy, revision, json.loads(sampling), seed, finish_reason)


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


def _ranking(row: Row[Any], keys: Set[str]) -> Ranking:
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
        purpose="key" if row.submission in keys else row.purpose,
    )

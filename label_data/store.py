"""What the store keeps and gives back: one transaction a function, visible queries, records at the edge."""

import hashlib
import json
import secrets
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from sqlalchemy import Column, Connection, Row, Select, Table, func, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite

from label_data import schema
from label_data.database import Store, reading, writing
from label_data.records import (
    Completion,
    Demonstration,
    Group,
    InputError,
    Message,
    Prompt,
    Ranking,
    Span,
    canonical,
    check_text,
)
from label_data.settings import ProjectSettings, settings_from

PROJECT = "default"
"""The one project of a store."""
WORKING_DAY = 16 * 3600 * 1_000_000
"""Microseconds; no time zone is known of an annotator, and no day is longer."""
UPSERTING_INSERT = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}


# Settings


def project_settings(store: Store, project: str = PROJECT) -> tuple[ProjectSettings, int]:
    """Return the project's newest settings and their revision; the defaults and 0 before any were saved."""
    with reading(store) as connection:
        return settings_in(connection, project)


def settings_in(connection: Connection, project: str) -> tuple[ProjectSettings, int]:
    """Return the newest settings inside a transaction that is open already."""
    table = schema.project_revisions
    newest = select(table).where(table.c.project == project).order_by(table.c.revision.desc()).limit(1)
    row = connection.execute(newest).first()
    return (settings_from(json.loads(row.settings)), row.revision) if row else (ProjectSettings(), 0)


def save_settings(store: Store, settings: ProjectSettings, project: str = PROJECT) -> int:
    """Keep the settings as a new revision and return its number; unchanged settings make no revision."""
    items = schema.items
    with writing(store) as connection:
        current, revision = settings_in(connection, project)
        if current == settings and revision:
            return revision
        connection.execute(
            insert(schema.project_revisions).values(
                project=project,
                revision=revision + 1,
                settings=canonical(settings.as_dict()),
                saved_us=schema.now_us(),
            )
        )
        ranked = items.c.state.in_((schema.READY, schema.RANKED)) & (items.c.project == project)
        enough = items.c.done >= settings.annotators_per_prompt
        connection.execute(update(items).where(ranked, enough).values(state=schema.RANKED))
        connection.execute(update(items).where(ranked, ~enough).values(state=schema.READY))
        return revision + 1


# Annotators


@dataclass(frozen=True, slots=True)
class Annotator:
    """Somebody who ranks: a random pseudonym, which rankings carry, and the name that the pages greet."""

    id: str
    name: str


def annotator_named(store: Store, name: str) -> Annotator:
    """Return the annotator of this name, added if new; case and outer white space do not matter."""
    table = schema.annotators
    clean = " ".join(check_text(name, "Your name", 200).split())
    if not clean:
        raise InputError("The name is empty. Type the name under which your rankings are kept.")
    with writing(store) as connection:
        row = connection.execute(select(table).where(table.c.folded_name == clean.casefold())).first()
        if row is None:
            values = {"id": secrets.token_hex(16), "name": clean, "folded_name": clean.casefold()}
            connection.execute(insert(table).values(added_us=schema.now_us(), **values))
            return Annotator(values["id"], clean)
    return Annotator(row.id, row.name)


def annotator_with_id(store: Store, annotator: str) -> Annotator | None:
    """Return the annotator of this pseudonym, or None."""
    table = schema.annotators
    with reading(store) as connection:
        row = connection.execute(select(table.c.id, table.c.name).where(table.c.id == annotator)).first()
    return Annotator(*row) if row else None


# Adding


@dataclass(frozen=True, slots=True)
class Added:
    """What one call added; what was there already is not counted."""

    prompts: int = 0
    completions: int = 0
    rankings: int = 0

    def __add__(self, other: "Added") -> "Added":
        return Added(self.prompts + other.prompts, self.completions + other.completions, self.rankings + other.rankings)


def add_prompts(store: Store, prompts: Iterable[Prompt], project: str = PROJECT) -> int:
    """Add the prompts that are not there yet, all or none; return how many were new."""
    return add_groups(store, (Group(prompt) for prompt in prompts), project).prompts


def add_groups(
    store: Store,
    groups: Iterable[Group],
    project: str = PROJECT,
    on_progress: Callable[[int], object] = lambda groups: None,
) -> Added:
    """Add prompts with their completions and rankings in one transaction: all, or with an error none.

    A prompt without two different completions waits to be sampled; one with rankings counts as ranked; any other is
    ready to be ranked. Adding the same again adds nothing. `on_progress` gets the number of groups so far.
    """
    added = Added()
    with writing(store) as connection:
        settings, _ = settings_in(connection, project)
        for number, group in enumerate(groups, start=1):
            added += _add_group(connection, group, project, settings)
            on_progress(number)
    return added


def _add_group(connection: Connection, group: Group, project: str, settings: ProjectSettings) -> Added:
    prompt, items = group.prompt, schema.items
    new_prompt = _insert_new(
        connection,
        schema.prompts,
        id=prompt.id,
        messages=canonical(prompt.as_dicts),
        category=prompt.category,
        source=prompt.source,
        added_us=schema.now_us(),
    )
    new_completions = sum(add_completion(connection, completion) for completion in group.completions)
    for demonstration in group.demonstrations:
        add_demonstration(connection, demonstration)
    saved = [ranking for ranking in group.rankings if add_ranking(connection, ranking) == "saved"]
    new_rankings = len(saved)
    first = {"project": project, "prompt_id": prompt.id, "state": schema.WAITING, "done": 0, "leased": 0}
    new_item = _insert_new(connection, items, key=("project", "prompt_id"), **first)
    if new_item or new_completions or new_rankings:
        mine = (items.c.project == project) & (items.c.prompt_id == prompt.id)
        firsts = sum(ranking.revises is None for ranking in saved)
        connection.execute(update(items).where(mine).values(done=items.c.done + firsts))
        texts = connection.scalars(select(schema.completions.c.text).where(schema.completions.c.prompt_id == prompt.id))
        done = connection.scalar(select(items.c.done).where(mine))
        if len({" ".join(text.split()) for text in texts}) >= 2:
            enough = done >= settings.annotators_per_prompt or new_rankings
            connection.execute(update(items).where(mine).values(state=schema.RANKED if enough else schema.READY))
    return Added(new_prompt, new_completions, new_rankings)


def add_completion(connection: Connection, completion: Completion) -> int:
    """Add inside a transaction that is open already; return 1, or 0 if it is there."""
    return _insert_new(
        connection,
        schema.completions,
        id=completion.id,
        prompt_id=completion.prompt_id,
        text=completion.text,
        policy=completion.policy,
        policy_revision=completion.policy_revision,
        sampling=canonical(dict(completion.sampling)),
        seed=completion.seed,
        finish_reason=completion.finish_reason,
        added_us=schema.now_us(),
    )


def add_demonstration(connection: Connection, demonstration: Demonstration) -> int:
    """Append inside a transaction that is open already; return 1, or 0 if it is there."""
    return _insert_new(
        connection,
        schema.demonstrations,
        id=demonstration.id,
        prompt_id=demonstration.prompt_id,
        annotator=demonstration.annotator,
        edited_from=demonstration.edited_from,
        text=demonstration.text,
        submission=demonstration.submission,
        written_us=demonstration.written,
        source=demonstration.source,
        project=demonstration.project,
        project_revision=demonstration.project_revision,
        stored_us=schema.now_us(),
    )


def _insert_new(connection: Connection, table: Table, key: Sequence[str] = ("id",), **values: Any) -> int:
    """Insert the row unless one with its key is there; return 1 or 0."""
    new = UPSERTING_INSERT[connection.dialect.name](table).values(**values)
    return connection.execute(new.on_conflict_do_nothing(index_elements=list(key))).rowcount


# Sampling


def waiting_prompts(store: Store, limit: int, project: str = PROJECT) -> list[Prompt]:
    """Return up to `limit` prompts that have no completions to rank yet, first added first."""
    items, prompts = schema.items, schema.prompts
    query = (
        select(prompts)
        .join(items, items.c.prompt_id == prompts.c.id)
        .where(items.c.project == project, items.c.state == schema.WAITING)
        .order_by(items.c.number)
        .limit(limit)
    )
    with reading(store) as connection:
        return [_prompt(row) for row in connection.execute(query)]


def save_samples(store: Store, prompt: Prompt, completions: Sequence[Completion], project: str = PROJECT) -> str:
    """Keep what was sampled for one prompt, in one transaction, and return the prompt's new state.

    "ready" with two different completions or more, else "failed": a policy that always says the same gives nothing
    to rank, and asking it again would not help.
    """
    items = schema.items
    with writing(store) as connection:
        for completion in completions:
            add_completion(connection, completion)
        texts = {completion.folded for completion in completions}
        state = schema.READY if len(texts) >= 2 else schema.FAILED
        waiting = (items.c.project == project) & (items.c.prompt_id == prompt.id) & (items.c.state == schema.WAITING)
        connection.execute(update(items).where(waiting).values(state=state))
    return state


def retry_failed(store: Store, project: str = PROJECT) -> int:
    """Put the prompts whose sampling gave nothing to rank back to waiting; return how many."""
    items = schema.items
    failed = (items.c.project == project) & (items.c.state == schema.FAILED)
    with writing(store) as connection:
        return connection.execute(update(items).where(failed).values(state=schema.WAITING)).rowcount


# Reading


def item_counts(store: Store, project: str = PROJECT) -> dict[str, int]:
    """Return how many prompts are waiting, ready, ranked and failed."""
    items = schema.items
    query = select(items.c.state, func.count()).where(items.c.project == project).group_by(items.c.state)
    states = (schema.WAITING, schema.READY, schema.RANKED, schema.FAILED)
    with reading(store) as connection:
        return dict.fromkeys(states, 0) | dict(connection.execute(query).all())


def untouched_ready(store: Store, project: str = PROJECT) -> int:
    """Return how many prompts are ready and neither ranked nor with an annotator: what is ahead of them."""
    items = schema.items
    free = (items.c.project == project) & (items.c.state == schema.READY) & (items.c.done + items.c.leased == 0)
    with reading(store) as connection:
        return connection.scalar(select(func.count()).where(free)) or 0


def newest_prompts(store: Store, limit: int, project: str = PROJECT) -> list[tuple[Prompt, str]]:
    """Return the project's newest prompts with their states, newest first."""
    items, prompts = schema.items, schema.prompts
    query = select(prompts, items.c.state).join(items, items.c.prompt_id == prompts.c.id)
    mine = query.where(items.c.project == project).order_by(items.c.number.desc()).limit(limit)
    with reading(store) as connection:
        return [(_prompt(row), row.state) for row in connection.execute(mine)]


def rankings_today(store: Store, annotator: str) -> int:
    """Return how many rankings, skips aside, the annotator sent in the last sixteen hours: a working day."""
    rankings = schema.rankings
    since = schema.now_us() - WORKING_DAY
    mine = (rankings.c.annotator == annotator) & (rankings.c.stored_us > since) & rankings.c.revises.is_(None)
    with reading(store) as connection:
        counted = select(func.count()).where(mine, rankings.c.outcome != "skipped")
        return connection.scalar(counted) or 0


def store_counts(store: Store) -> Added:
    """Return how many prompts, completions and rankings the store holds, revised rankings included."""
    with reading(store) as connection:
        tables = (schema.prompts, schema.completions, schema.rankings)
        return Added(*(connection.scalar(select(func.count()).select_from(table)) or 0 for table in tables))


def groups(store: Store, ranked_only: bool = False, revised: bool = False) -> Iterator[Group]:
    """Yield prompts with their completions, current rankings and demonstrations, from one moment of the store.

    First added first. Of a ranking that was revised only the newest is current, with the demonstration sent with it;
    `revised` yields the earlier ones too, in the order in which they were stored. Reads 500 prompts at a time.
    """
    prompts = schema.prompts
    query = select(prompts.c.id, prompts.c.number).order_by(prompts.c.number).limit(500)
    if ranked_only:
        query = query.where(prompts.c.id.in_(select(schema.rankings.c.prompt_id)))
    with reading(store) as connection:
        last = -1
        while rows := connection.execute(query.where(prompts.c.number > last)).all():
            yield from groups_in(connection, [row.id for row in rows], revised)
            last = rows[-1].number


def groups_in(connection: Connection, prompt_ids: Sequence[str], revised: bool = False) -> list[Group]:
    """Return the groups of these prompts, in this order; the prompts must be in the store.

    `revised` as in `groups`.
    """
    replaced = select(schema.rankings.c.revises).where(schema.rankings.c.revises.is_not(None))
    prompts = {row.id: _prompt(row) for row in connection.execute(_of(schema.prompts, schema.prompts.c.id, prompt_ids))}
    completions = _of(schema.completions, schema.completions.c.prompt_id, prompt_ids)
    rankings = _of(schema.rankings, schema.rankings.c.prompt_id, prompt_ids)
    demonstrations = _of(schema.demonstrations, schema.demonstrations.c.prompt_id, prompt_ids)
    if not revised:
        rankings = rankings.where(schema.rankings.c.submission.not_in(replaced))
        demonstrations = demonstrations.where(schema.demonstrations.c.submission.not_in(replaced))
    completions_of = _by_prompt(map(_completion, connection.execute(completions)))
    rankings_of = _by_prompt(map(_ranking, connection.execute(rankings)))
    demonstrations_of = _by_prompt(map(_demonstration, connection.execute(demonstrations)))
    return [
        Group(prompts[id], completions_of.get(id, ()), rankings_of.get(id, ()), demonstrations_of.get(id, ()))
        for id in prompt_ids
    ]


def _of(table: Table, column: Column[str], values: Sequence[str]) -> Select[Any]:
    return select(table).where(column.in_(values)).order_by(column, table.c.number)


def _by_prompt(records: Iterable[Any]) -> dict[str, tuple[Any, ...]]:
    return {prompt: tuple(same) for prompt, same in groupby(records, key=lambda record: record.prompt_id)}


def _prompt(row: Row[Any]) -> Prompt:
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


# Rankings


def save_ranking(store: Store, ranking: Ranking) -> str:
    """Append the ranking; return "saved", or "repeat" if this submission is already stored with the same content.

    Raises InputError if the submission is stored with other content, or the ranking it revises was revised already.
    """
    with writing(store) as connection:
        return add_ranking(connection, ranking)


def add_ranking(connection: Connection, ranking: Ranking, task: str | None = None) -> str:
    """Append inside a transaction that is open already; see `save_ranking`. `task`: token of the task it answers."""
    table = schema.rankings
    digest = hashlib.sha256(canonical(ranking.judgement).encode()).hexdigest()
    stored = connection.scalar(select(table.c.judgement_sha256).where(table.c.submission == ranking.submission))
    if stored is not None:
        if stored != digest:
            raise InputError(
                f"Submission {ranking.submission} is stored already with another judgement. "
                "Nothing was changed; reload the page and rank again."
            )
        return "repeat"
    if ranking.revises is not None:
        if connection.scalar(select(table.c.number).where(table.c.revises == ranking.revises)):
            raise InputError(f"Ranking {ranking.revises} was revised already. Reload, and change the newest one.")
        if not connection.scalar(select(table.c.number).where(table.c.submission == ranking.revises)):
            raise InputError(f"Ranking {ranking.revises} is not stored, so it can't be revised. Reload the page.")
    connection.execute(
        insert(table).values(
            submission=ranking.submission,
            judgement_sha256=digest,
            prompt_id=ranking.prompt_id,
            annotator=ranking.annotator,
            task=task,
            revises=ranking.revises,
            shown=canonical(ranking.shown),
            order=canonical(ranking.order),
            outcome=ranking.outcome,
            strength=canonical(ranking.strength),
            flags=canonical(ranking.judgement["flags"]),
            reason=ranking.reason,
            seconds=ranking.seconds,
            started_us=ranking.started,
            submitted_us=schema.now_us() if task else ranking.submitted,
            assisted=ranking.assisted,
            source=ranking.source,
            project=ranking.project,
            project_revision=ranking.project_revision,
            stored_us=schema.now_us(),
            ratings=canonical(dict(ranking.ratings)),
            spans=canonical([[span.completion, span.start, span.end, span.kind] for span in ranking.spans]),
        )
    )
    return "saved"


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

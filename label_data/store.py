"""What the store is given: prompts, completions, demonstrations and rankings, each kept once."""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from sqlalchemy import Connection, Row, Select, Table, bindparam, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite

from label_data import schema
from label_data.counting import LOCKED_ITEM, settle
from label_data.database import Store, writing
from label_data.projects import PROJECT, settings_in
from label_data.queueing import enqueue
from label_data.records import Completion, Demonstration, Group, InputError, Prompt, Ranking, canonical
from label_data.settings import ProjectSettings

UPSERTING_INSERT = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}
GROUPS_AT_ONCE = 500
"""Groups of an import that are looked up, and where they are new stored, together."""
VALUES_AT_ONCE = 10_000
"""Values of one IN (…): SQLite takes 32,766 parameters, PostgreSQL 65,535."""

# Statements are built once: building them for each call took half the time.
_prompts, _completions, _demonstrations = schema.prompts, schema.completions, schema.demonstrations
_items, _rankings, _later, _retractions = (
    schema.items,
    schema.rankings,
    schema.rankings.alias("later"),
    schema.retractions,
)
_NEW_PROMPT = insert(_prompts).values(added_us=schema.now_us())
_NEW_COMPLETION = insert(_completions).values(added_us=schema.now_us())
_NEW_DEMONSTRATION = insert(_demonstrations).values(stored_us=schema.now_us())
_APPEND = insert(_rankings).values(stored_us=schema.now_us())
_APPEND_UNLESS_STORED = {
    dialect: new(_rankings).values(stored_us=schema.now_us()).on_conflict_do_nothing().returning(_rankings.c.number)
    for dialect, new in UPSERTING_INSERT.items()
}
_APPEND_NOW_UNLESS_STORED = {
    dialect: append.values(submitted_us=schema.now_us()) for dialect, append in _APPEND_UNLESS_STORED.items()
}
_NEW_ITEM = insert(_items)
_some = bindparam("some", expanding=True)
_PROMPTS_AMONG = select(_prompts.c.id).where(_prompts.c.id.in_(_some))
_COMPLETIONS_AMONG = select(_completions.c.id).where(_completions.c.id.in_(_some))
_DEMONSTRATIONS_AMONG = select(_demonstrations.c.id).where(_demonstrations.c.id.in_(_some))
_ITEMS_AMONG = select(_items.c.prompt_id, _items.c.number, _items.c.gold).where(
    _items.c.prompt_id.in_(_some), _items.c.project == bindparam("project")
)
_JUDGED_AMONG = select(_rankings.c.submission, _rankings.c.judgement_sha256).where(_rankings.c.submission.in_(_some))
_TEXTS_OF = select(_completions.c.text).where(_completions.c.prompt_id == bindparam("prompt"))
_STORED = select(_rankings.c.judgement_sha256).where(_rankings.c.submission == bindparam("of_submission"))
_REVISED = (
    select(_rankings.c.task, _rankings.c.item, _later.c.number.label("later"), _retractions.c.retracted_us)
    .join(_later, _later.c.revises == _rankings.c.submission, isouter=True)
    .join(_retractions, _retractions.c.submission == _rankings.c.submission, isouter=True)
    .where(_rankings.c.submission == bindparam("of_submission"))
)
_TASK_OF = (
    select(schema.tasks)
    .join(_rankings, _rankings.c.task == schema.tasks.c.token)
    .where(_rankings.c.submission == bindparam("of_submission"), _rankings.c.revises.is_not(None))
)


class GroupError(InputError):
    """What is wrong with one of several groups, and which that is."""

    def __init__(self, message: str, number: int) -> None:
        super().__init__(message)
        self.number = number
        """From 1, as they came."""


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
    ready to be ranked. Adding the same again adds nothing. `on_progress` gets the number of groups so far. Raises
    GroupError if a ranking contradicts one that is stored.
    """
    added, batch = Added(), []
    with writing(store) as connection:
        settings, _ = settings_in(connection, project)
        for number, group in enumerate(groups, start=1):
            batch.append((number, group))
            if len(batch) == GROUPS_AT_ONCE:
                added += _add_batch(connection, batch, project, settings)
                batch = []
            on_progress(number)
        added += _add_batch(connection, batch, project, settings)
        enqueue(connection, project)
    return added


@dataclass(frozen=True, slots=True)
class _Known:
    """What the store has of a batch already."""

    prompts: set[str]
    golds: dict[str, str | None]
    """Prompt of the project -> submission of its item's gold ranking."""
    completions: set[str]
    demonstrations: set[str]
    judged: dict[str, str]
    """Submission -> sha256 of its judgement."""

    def has_nothing_of(self, group: Group) -> bool:
        """Is the group new, and simple enough to be stored together with others?"""
        submissions = [ranking.submission for ranking in group.rankings]
        return (
            group.prompt.id not in self.prompts
            and len(set(submissions)) == len(submissions)
            and not self.judged.keys() & set(submissions)
            and all(ranking.revises is None for ranking in group.rankings)
        )

    def has_all_of(self, group: Group) -> bool:
        """Is there nothing to be stored of the group?"""
        return (
            group.prompt.id in self.golds
            and _key(group) in (None, self.golds[group.prompt.id])
            and all(completion.id in self.completions for completion in group.completions)
            and all(demonstration.id in self.demonstrations for demonstration in group.demonstrations)
            and all(self.judged.get(ranking.submission) == _digest(ranking) for ranking in group.rankings)
        )


def _known(connection: Connection, batch: Sequence[tuple[int, Group]], project: str) -> _Known:
    def found(query: Select[Any], values: Iterable[str]) -> Iterator[Row[Any]]:
        left = iter(values)
        while some := list(islice(left, VALUES_AT_ONCE)):
            yield from connection.execute(query, {"some": some, "project": project})

    groups = [group for _, group in batch]
    prompts = {row.id for row in found(_PROMPTS_AMONG, (group.prompt.id for group in groups))}
    old = [group for group in groups if group.prompt.id in prompts]
    return _Known(
        prompts,
        {row.prompt_id: row.gold for row in found(_ITEMS_AMONG, (group.prompt.id for group in old))},
        {row.id for row in found(_COMPLETIONS_AMONG, (one.id for group in old for one in group.completions))},
        {row.id for row in found(_DEMONSTRATIONS_AMONG, (one.id for group in old for one in group.demonstrations))},
        dict(
            tuple(row) for row in found(_JUDGED_AMONG, (one.submission for group in groups for one in group.rankings))
        ),
    )


def _add_batch(
    connection: Connection, batch: Sequence[tuple[int, Group]], project: str, settings: ProjectSettings
) -> Added:
    """Add groups in their order: new ones together, one that the store has a part of by itself."""
    known, added, new = _known(connection, batch, project), Added(), []
    for number, group in batch:
        if known.has_nothing_of(group):
            new.append(group)
        elif not known.has_all_of(group):
            added += _add_new(connection, new, project, settings)
            new = []
            try:
                added += _add_group(connection, group, project, settings)
            except InputError as error:
                raise GroupError(str(error), number) from None
        known.prompts.add(group.prompt.id)
        for ranking in group.rankings:  # a later group that says the same again is looked at by itself
            known.judged.setdefault(ranking.submission, "")
    return added + _add_new(connection, new, project, settings)


def _add_new(connection: Connection, groups: Sequence[Group], project: str, settings: ProjectSettings) -> Added:
    """Add groups of which nothing is there yet."""
    if not groups:
        return Added()
    completions = {one.id: _completion_row(one) for group in groups for one in group.completions}
    demonstrations = {one.id: _demonstration_row(one) for group in groups for one in group.demonstrations}
    connection.execute(_NEW_PROMPT, [_prompt_row(group.prompt) for group in groups])
    connection.execute(_NEW_ITEM, [_item_row(group, project, settings) for group in groups])
    asked = {"some": [group.prompt.id for group in groups], "project": project}
    item_of = {row.prompt_id: row.number for row in connection.execute(_ITEMS_AMONG, asked)}
    rankings = [
        _ranking_row(ranking, _digest(ranking), None, item_of[group.prompt.id]) | {"submitted_us": ranking.submitted}
        for group in groups
        for ranking in group.rankings
    ]
    for statement, rows in (
        (_NEW_COMPLETION, list(completions.values())),
        (_NEW_DEMONSTRATION, list(demonstrations.values())),
        (_APPEND, rankings),
    ):
        if rows:
            connection.execute(statement, rows)
    return Added(len(groups), len(completions), len(rankings))


def _item_row(group: Group, project: str, settings: ProjectSettings) -> dict[str, Any]:
    done, gold, state = _counted(group.rankings), _key(group), schema.WAITING
    if _are_different(completion.text for completion in group.completions):
        enough = done >= settings.annotators_per_prompt or group.rankings or gold
        state = schema.RANKED if enough else schema.READY
    return {
        "project": project,
        "prompt_id": group.prompt.id,
        "state": state,
        "done": done,
        "leased": 0,
        "gold": gold,
    }


def _counted(rankings: Sequence[Ranking]) -> int:
    """Return how many of the rankings count for their prompt: neither revisions nor tests of annotators."""
    return sum(ranking.revises is None and not ranking.tests_annotator for ranking in rankings)


def _key(group: Group) -> str | None:
    """Return the submission of the group's gold ranking."""
    return next((ranking.submission for ranking in group.rankings if ranking.purpose == "key"), None)


def _are_different(texts: Iterable[str]) -> bool:
    """Are there two that differ in more than white space?"""
    return len({" ".join(text.split()) for text in texts}) >= 2


def _add_group(connection: Connection, group: Group, project: str, settings: ProjectSettings) -> Added:
    prompt, items = group.prompt, schema.items
    new_prompt = _insert_new(connection, _prompts, **_prompt_row(prompt), added_us=schema.now_us())
    new_completions = sum(add_completion(connection, completion) for completion in group.completions)
    for demonstration in group.demonstrations:
        add_demonstration(connection, demonstration)
    first = {"project": project, "prompt_id": prompt.id, "state": schema.WAITING, "done": 0, "leased": 0}
    new_item = _insert_new(connection, items, key=("project", "prompt_id"), **first)
    mine = (items.c.project == project) & (items.c.prompt_id == prompt.id)
    item = connection.execute(select(items.c.number, items.c.gold).where(mine).with_for_update(key_share=True)).one()
    saved = [ranking for ranking in group.rankings if add_ranking(connection, ranking, item=item.number) == "saved"]
    for ranking in saved:
        _settle_revision(connection, ranking)
    gold = _gold(group, item.gold)
    if new_item or new_completions or saved or gold != item.gold:
        connection.execute(update(items).where(mine).values(done=items.c.done + _counted(saved), gold=gold))
        now = connection.execute(select(items).where(mine)).one()
        if _are_different(connection.scalars(_TEXTS_OF, {"prompt": prompt.id})):
            enough = now.done >= settings.annotators_per_prompt or saved or gold
            if enough:
                connection.execute(update(items).where(mine).values(state=schema.RANKED, place=None))
            elif now.state != schema.READY:
                connection.execute(update(items).where(mine).values(state=schema.READY, place=None))
    return Added(new_prompt, new_completions, len(saved))


def _gold(group: Group, gold: str | None) -> str | None:
    """Return the submission of the ranking that is the item's gold: the one it has, else the group's."""
    key = _key(group)
    if gold is not None and key not in (None, gold):
        raise InputError(
            f"Prompt {group.prompt.id} has a gold ranking already, {gold}, and the file another, {key}. "
            "Leave the purpose of one of them out."
        )
    return gold or key


def _prompt_row(prompt: Prompt) -> dict[str, Any]:
    return {
        "id": prompt.id,
        "messages": canonical(prompt.as_dicts),
        "category": prompt.category,
        "source": prompt.source,
        "licence": prompt.licence,
    }


def add_completion(connection: Connection, completion: Completion) -> int:
    """Add inside a transaction that is open already; return 1, or 0 if it is there."""
    return _insert_new(connection, _completions, **_completion_row(completion), added_us=schema.now_us())


def _completion_row(completion: Completion) -> dict[str, Any]:
    return {
        "id": completion.id,
        "prompt_id": completion.prompt_id,
        "text": completion.text,
        "policy": completion.policy,
        "policy_revision": completion.policy_revision,
        "sampling": canonical(dict(completion.sampling)),
        "seed": completion.seed,
        "finish_reason": completion.finish_reason,
    }


def add_demonstration(connection: Connection, demonstration: Demonstration) -> int:
    """Append inside a transaction that is open already; return 1, or 0 if it is there."""
    return _insert_new(connection, _demonstrations, **_demonstration_row(demonstration), stored_us=schema.now_us())


def _demonstration_row(demonstration: Demonstration) -> dict[str, Any]:
    return {
        "id": demonstration.id,
        "prompt_id": demonstration.prompt_id,
        "annotator": demonstration.annotator,
        "edited_from": demonstration.edited_from,
        "text": demonstration.text,
        "submission": demonstration.submission,
        "written_us": demonstration.written,
        "source": demonstration.source,
        "project": demonstration.project,
        "project_revision": demonstration.project_revision,
    }


def _insert_new(connection: Connection, table: Table, key: Sequence[str] = ("id",), **values: Any) -> int:
    """Insert the row unless one with its key is there; return 1 or 0."""
    new = UPSERTING_INSERT[connection.dialect.name](table).values(**values)
    told = new.on_conflict_do_nothing(index_elements=list(key)).returning(table.c[key[0]])
    return len(connection.execute(told).all())


def save_ranking(store: Store, ranking: Ranking) -> str:
    """Append the ranking; return "saved", or "repeat" if this submission is already stored with the same content.

    Raises InputError if the submission is stored with other content, or the ranking it revises was revised already.
    """
    with writing(store) as connection:
        outcome = add_ranking(connection, ranking)
        if outcome == "saved":
            _settle_revision(connection, ranking)
        return outcome


def add_ranking(connection: Connection, ranking: Ranking, task: str | None = None, item: int | None = None) -> str:
    """Append inside a transaction that is open already; see `save_ranking`.

    Return "ranked already", too: the task has another first ranking.

    `task`: token of the task that it answers just now; `item`: number of the item, and so the project, to which it
    belongs. One that revises another belongs to the task and item of that one.
    """
    is_now = task is not None
    digest = _digest(ranking)
    if ranking.revises is not None:
        if _is_stored(connection, ranking, digest):
            return "repeat"
        revised = connection.execute(_REVISED, {"of_submission": ranking.revises}).first()
        if revised is None:
            raise InputError(f"Ranking {ranking.revises} is not stored, so it can't be revised. Reload the page.")
        if revised.later is not None:
            raise InputError(f"Ranking {ranking.revises} was revised already. Reload, and change the newest one.")
        if revised.retracted_us is not None:
            raise InputError(f"Ranking {ranking.revises} was withdrawn, so it can't be revised. Reload the page.")
        task, item = revised.task, revised.item
    values = _ranking_row(ranking, digest, task, item)
    if is_now:
        append = _APPEND_NOW_UNLESS_STORED[connection.dialect.name]
    else:
        append, values["submitted_us"] = _APPEND_UNLESS_STORED[connection.dialect.name], ranking.submitted
    if connection.scalar(append, values) is not None:
        return "saved"
    return "repeat" if _is_stored(connection, ranking, digest) else "ranked already"


def _is_stored(connection: Connection, ranking: Ranking, digest: str) -> bool:
    """Say whether the submission is stored with the same content; InputError if it is with another one."""
    stored = connection.scalar(_STORED, {"of_submission": ranking.submission})
    if stored not in (None, digest):
        raise InputError(
            f"Submission {ranking.submission} is stored already with another judgement. "
            "Nothing was changed; reload the page and rank again."
        )
    return stored is not None


def _digest(ranking: Ranking) -> str:
    return hashlib.sha256(canonical(ranking.judgement).encode()).hexdigest()


def _ranking_row(ranking: Ranking, digest: str, task: str | None, item: int | None) -> dict[str, Any]:
    return {
        "submission": ranking.submission,
        "judgement_sha256": digest,
        "prompt_id": ranking.prompt_id,
        "annotator": ranking.annotator,
        "task": task,
        "item": item,
        "purpose": ranking.purpose if ranking.tests_annotator else "",  # which is the key, the item says
        "revises": ranking.revises,
        "shown": canonical(ranking.shown),
        "order": canonical(ranking.order),
        "outcome": ranking.outcome,
        "strength": canonical(ranking.strength),
        "flags": canonical(ranking.said_flags),
        "reason": ranking.reason,
        "seconds": ranking.seconds,
        "started_us": ranking.started,
        "assisted": int(ranking.assisted),
        "source": ranking.source,
        "project": ranking.project,
        "project_revision": ranking.project_revision,
        "ratings": canonical(dict(ranking.ratings)),
        "spans": canonical([[span.completion, span.start, span.end, span.kind] for span in ranking.spans]),
    }


def _settle_revision(connection: Connection, ranking: Ranking) -> None:
    """Count anew the task whose ranking this one, which came in a file, revises; a skip may have become an order."""
    task = connection.execute(_TASK_OF, {"of_submission": ranking.submission}).first()
    if task is not None:
        item = connection.execute(LOCKED_ITEM, {"item_number": task.item}).one()
        settings, _ = settings_in(connection, task.project)
        state = schema.SKIPPED if ranking.outcome == "skipped" else schema.DONE
        settle(connection, item, task, state, settings.annotators_per_prompt)

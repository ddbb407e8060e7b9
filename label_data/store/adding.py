"""Add many prompts with their completions, rankings and demonstrations, in one transaction: an import."""

import gc
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Any

from sqlalchemy import BindParameter, Connection, bindparam, func, select, update

from label_data.database import schema
from label_data.database.bulk_insert import insert_rows
from label_data.database.deferred_indexes import DeferredIndexes
from label_data.database.engine import AnyRow, AnySelect, Store, large_cache, writing
from label_data.errors import InputError
from label_data.records import Group, Prompt, Ranking
from label_data.settings import ProjectSettings
from label_data.store.projects import PROJECT, current_settings
from label_data.store.queue import enqueue
from label_data.store.single_records import (
    add_completion,
    add_demonstration,
    add_ranking,
    completion_row,
    demonstration_row,
    insert_new,
    prompt_row,
    ranking_row,
    recount_revision,
)

BATCH_GROUPS, BATCH_CHARACTERS = 1_000, 2**23
"""Maximum groups of a batch, and maximum characters of its texts. A batch is looked up and stored together."""
OBJECTS_BEFORE_COLLECTION = 200_000
"""Net number of new objects after which Python's garbage collector runs during an import."""
MOST_VALUES = 10_000
"""Maximum values of an IN (…); SQLite takes 32,766 parameters, PostgreSQL 65,535."""

# Statements are built once: building them for each call took half the time.
_prompts, _completions, _demonstrations = schema.prompts, schema.completions, schema.demonstrations
_items, _rankings = schema.items, schema.rankings
_NOW = select(schema.now_us())
_LAST_ITEM = select(func.max(_items.c.number))
_ITEMS_AFTER = select(_items.c.prompt_id, _items.c.number).where(_items.c.number > bindparam("last"))
_values: BindParameter[str] = bindparam("values", expanding=True)
_PROMPTS_AMONG = select(_prompts.c.id).where(_prompts.c.id.in_(_values))
_COMPLETIONS_AMONG = select(_completions.c.id).where(_completions.c.id.in_(_values))
_DEMONSTRATIONS_AMONG = select(_demonstrations.c.id).where(_demonstrations.c.id.in_(_values))
_ITEMS_AMONG = select(_items.c.prompt_id, _items.c.gold).where(
    _items.c.prompt_id.in_(_values), _items.c.project == bindparam("project")
)
_DIGESTS_AMONG = select(_rankings.c.submission, _rankings.c.judgement_sha256).where(_rankings.c.submission.in_(_values))
_TEXTS_OF = select(_completions.c.text).where(_completions.c.prompt_id == bindparam("prompt"))


class GroupError(InputError):
    """The error in one of several groups, with the number of that group."""

    def __init__(self, problem: InputError, number: int) -> None:
        super().__init__(problem.key, **problem.values)
        self.number = number
        """The group's number, from 1, in the order in which groups came."""


@dataclass(frozen=True, slots=True)
class Added:
    """Numbers of records that a call added; records that were stored already do not count."""

    prompts: int = 0
    completions: int = 0
    rankings: int = 0
    joined: int = 0
    """Prompts that the store had already, but the project did not."""

    def __add__(self, other: "Added") -> "Added":
        return Added(
            self.prompts + other.prompts,
            self.completions + other.completions,
            self.rankings + other.rankings,
            self.joined + other.joined,
        )


def add_prompts(store: Store, prompts: Iterable[Prompt], project: str = PROJECT) -> int:
    """Add the prompts that are not stored yet, all or none; return how many were new."""
    return add_groups(store, (Group(prompt) for prompt in prompts), project).prompts


def add_groups(
    store: Store,
    groups: Iterable[Group],
    project: str = PROJECT,
    on_progress: Callable[[int], object] = lambda groups: None,
) -> Added:
    """Add prompts with their completions and rankings in one transaction; after an error, none is added.

    A prompt without two different completions awaits completions; a prompt with rankings is ranked; any other is ready
    to be ranked. Adding the same groups again adds nothing. `on_progress` is called with the number of groups so far.
    Raises GroupError if a group contradicts the store, for example a stored ranking with the same submission.

    While a batch is stored, mostly outside Python, the next batch is taken from `groups` and its rows are made.
    """
    with writing(store) as connection, large_cache(connection), _rare_garbage_collection():
        settings, _ = current_settings(connection, project)
        indexes = DeferredIndexes(connection)
        with _BackgroundWriter(lambda batch: _add_batch(connection, batch, project, settings, indexes)) as writer:
            batch: list[_Rows] = []
            characters = 0
            for number, group in enumerate(groups, start=1):
                batch.append(_rows_of(number, group, project, settings))
                characters += _characters(group)
                if len(batch) == BATCH_GROUPS or characters >= BATCH_CHARACTERS:
                    writer.add(batch)
                    batch, characters = [], 0
                on_progress(number)
        added = writer.added + _add_batch(connection, batch, project, settings, indexes)
        indexes.create()
        enqueue(connection, project)
    return added


@contextmanager
def _rare_garbage_collection() -> Iterator[None]:
    """Let Python's cyclic garbage collector run rarely inside the block.

    Records and rows have no reference cycles, and scanning each batch many times took a sixth of an import.
    """
    before = gc.get_threshold()
    gc.set_threshold(OBJECTS_BEFORE_COLLECTION, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)


def _characters(group: Group) -> int:
    count = 0
    for message in group.prompt.messages:
        count += len(message.content)
    for completion in group.completions:
        count += len(completion.text)
    return count


class _BackgroundWriter:
    """Stores batches one after another in its own thread, while the caller prepares the next batch.

    The block ends only when the thread has nothing left to do. An error in the thread is raised in the caller, and
    takes precedence over an InputError that the caller raised later.
    """

    def __init__(self, store: Callable[[Sequence["_Rows"]], Added]) -> None:
        self.added = Added()
        """What was added so far; after the block, what all batches added."""
        self._store, self._pool = store, ThreadPoolExecutor(1, "store")
        self._pending: Future[Added] | None = None

    def add(self, batch: Sequence["_Rows"]) -> None:
        """Wait for the previous batch, then start to store this one."""
        self._wait()
        self._pending = self._pool.submit(self._store, batch)

    def _wait(self) -> None:
        pending, self._pending = self._pending, None
        if pending is not None:
            self.added += pending.result()

    def __enter__(self) -> "_BackgroundWriter":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        with self._pool:
            if kind is None or issubclass(kind, InputError):
                self._wait()


@dataclass(frozen=True, slots=True)
class _Rows:
    """A group with its number, and its rows, to be inserted if nothing of the group is stored yet."""

    number: int
    group: Group
    prompt: dict[str, Any]
    item: dict[str, Any]
    completions: list[dict[str, Any]]
    demonstrations: list[dict[str, Any]]
    rankings: list[dict[str, Any]]
    """Without their item, which gets its number when it is stored."""


def _rows_of(number: int, group: Group, project: str, settings: ProjectSettings) -> _Rows:
    return _Rows(
        number,
        group,
        prompt_row(group.prompt),
        _item_row(group, project, settings),
        [completion_row(completion) for completion in group.completions],
        [demonstration_row(demonstration) for demonstration in group.demonstrations],
        [ranking_row(ranking, ranking.judgement_sha256, None, None) for ranking in group.rankings],
    )


@dataclass(frozen=True, slots=True)
class _Known:
    """The records of a batch that the store has already."""

    prompts: set[str]
    golds: dict[str, str | None]
    """Prompt of the project -> submission of its gold ranking."""
    completions: set[str]
    demonstrations: set[str]
    digests: dict[str, str]
    """Submission -> `judgement_sha256`."""

    def has_nothing_of(self, group: Group) -> bool:
        """Whether the group is new and simple enough to be stored together with others."""
        for ranking in group.rankings:
            if ranking.revises is not None or ranking.submission in self.digests:
                return False
        submissions = {ranking.submission for ranking in group.rankings}
        return group.prompt.id not in self.prompts and len(submissions) == len(group.rankings)

    def has_all_of(self, group: Group) -> bool:
        """Whether everything in the group is stored already."""
        return (
            group.prompt.id in self.golds
            and _key(group) in (None, self.golds[group.prompt.id])
            and all(completion.id in self.completions for completion in group.completions)
            and all(demonstration.id in self.demonstrations for demonstration in group.demonstrations)
            and all(self.digests.get(ranking.submission) == ranking.judgement_sha256 for ranking in group.rankings)
        )


def _known(connection: Connection, batch: Sequence[_Rows], project: str) -> _Known:
    def matching(query: AnySelect, values: Iterable[str]) -> Iterator[AnyRow]:
        remaining = iter(values)
        while chunk := list(islice(remaining, MOST_VALUES)):
            yield from connection.execute(query, {"values": chunk, "project": project})

    groups = [rows.group for rows in batch]
    prompts = {row.id for row in matching(_PROMPTS_AMONG, (group.prompt.id for group in groups))}
    old = [group for group in groups if group.prompt.id in prompts]
    completions = (completion.id for group in old for completion in group.completions)
    demonstrations = (demonstration.id for group in old for demonstration in group.demonstrations)
    submissions = (ranking.submission for group in groups for ranking in group.rankings)
    return _Known(
        prompts,
        {row.prompt_id: row.gold for row in matching(_ITEMS_AMONG, (group.prompt.id for group in old))},
        {row.id for row in matching(_COMPLETIONS_AMONG, completions)},
        {row.id for row in matching(_DEMONSTRATIONS_AMONG, demonstrations)},
        {row.submission: row.judgement_sha256 for row in matching(_DIGESTS_AMONG, submissions)},
    )


def _add_batch(
    connection: Connection, batch: Sequence[_Rows], project: str, settings: ProjectSettings, indexes: DeferredIndexes
) -> Added:
    """Add groups in order: new groups together, a group that is partly stored by itself."""
    known, added = _known(connection, batch, project), Added()
    new: list[_Rows] = []
    for rows in batch:
        group = rows.group
        if known.has_nothing_of(group):
            new.append(rows)
        elif not known.has_all_of(group):
            added += _add_new(connection, new)
            new = []
            try:
                added += _add_group(connection, group, project, settings, indexes)
            except InputError as error:
                raise GroupError(error, rows.number) from None
        known.prompts.add(group.prompt.id)
        for ranking in group.rankings:  # so that a later group with the same submission is added by itself
            known.digests.setdefault(ranking.submission, "")
    added += _add_new(connection, new)
    indexes.grow(added.prompts)
    return added


def _add_new(connection: Connection, groups: Sequence[_Rows]) -> Added:
    """Add groups of which nothing is stored yet."""
    if not groups:
        return Added()
    now, last = connection.scalar(_NOW), connection.scalar(_LAST_ITEM) or 0
    insert_rows(connection, _prompts, [rows.prompt for rows in groups], added_us=now)
    insert_rows(connection, _items, [rows.item for rows in groups])
    items = {row.prompt_id: row.number for row in connection.execute(_ITEMS_AFTER, {"last": last})}
    completions = list({row["id"]: row for rows in groups for row in rows.completions}.values())
    demonstrations = list({row["id"]: row for rows in groups for row in rows.demonstrations}.values())
    rankings = [row for rows in groups for row in rows.rankings]
    for ranking in rankings:
        ranking["item"] = items[ranking["prompt_id"]]
    insert_rows(connection, _completions, completions, added_us=now)
    insert_rows(connection, _demonstrations, demonstrations, stored_us=now)
    insert_rows(connection, _rankings, rankings, stored_us=now)
    return Added(len(groups), len(completions), len(rankings))


def _item_row(group: Group, project: str, settings: ProjectSettings) -> dict[str, Any]:
    done, gold, state = _counted(group.rankings), _key(group), schema.WAITING
    if _are_different(completion.text for completion in group.completions):
        is_ranked = done >= settings.annotators_per_prompt or group.rankings or gold
        state = schema.RANKED if is_ranked else schema.READY
    return {
        "project": project,
        "prompt_id": group.prompt.id,
        "state": state,
        "done": done,
        "leased": 0,
        "gold": gold,
    }


def _counted(rankings: Sequence[Ranking]) -> int:
    """Return how many of the rankings count for their prompt: those that are neither revisions nor tests."""
    return len([1 for ranking in rankings if ranking.revises is None and not ranking.tests_annotator])


def _key(group: Group) -> str | None:
    """Return the submission of the group's gold ranking."""
    for ranking in group.rankings:
        if ranking.purpose == "key":
            return ranking.submission
    return None


def _are_different(texts: Iterable[str]) -> bool:
    """Whether at least two of the texts differ in more than white space."""
    texts = list(texts)
    if len({tuple(text.split(None, 2)[:2]) for text in texts}) >= 2:  # most differ in their first two words
        return True
    return len({" ".join(text.split()) for text in texts}) >= 2


def _add_group(
    connection: Connection, group: Group, project: str, settings: ProjectSettings, indexes: DeferredIndexes
) -> Added:
    prompt, items = group.prompt, schema.items
    new_prompt = insert_new(connection, _prompts, **prompt_row(prompt), added_us=schema.now_us())
    new_completions = sum(add_completion(connection, completion) for completion in group.completions)
    for demonstration in group.demonstrations:
        add_demonstration(connection, demonstration)
    first = {"project": project, "prompt_id": prompt.id, "state": schema.WAITING, "done": 0, "leased": 0}
    new_item = insert_new(connection, items, key=("project", "prompt_id"), **first)
    is_item = (items.c.project == project) & (items.c.prompt_id == prompt.id)
    item = connection.execute(select(items.c.number, items.c.gold).where(is_item).with_for_update(key_share=True)).one()
    saved = [ranking for ranking in group.rankings if add_ranking(connection, ranking, item=item.number) == "saved"]
    for ranking in saved:
        recount_revision(connection, ranking)
    gold = _gold(group, item.gold)
    if new_item or new_completions or saved or gold != item.gold:
        connection.execute(update(items).where(is_item).values(done=items.c.done + _counted(saved), gold=gold))
        now = connection.execute(select(items).where(is_item)).one()
        if _can_be_ranked(connection, group, indexes):
            if now.done >= settings.annotators_per_prompt or saved or gold:
                connection.execute(update(items).where(is_item).values(state=schema.RANKED, place=None))
            elif now.state != schema.READY:
                connection.execute(update(items).where(is_item).values(state=schema.READY, place=None))
    return Added(new_prompt, new_completions, len(saved), joined=new_item and not new_prompt)


def _can_be_ranked(connection: Connection, group: Group, indexes: DeferredIndexes) -> bool:
    """Whether the group's prompt has two different completions, including those stored before."""
    if _are_different(completion.text for completion in group.completions):
        return True
    indexes.create()  # without its index the whole table of completions would be scanned
    return _are_different(connection.scalars(_TEXTS_OF, {"prompt": group.prompt.id}))


def _gold(group: Group, gold: str | None) -> str | None:
    """Return the submission of the item's gold ranking: the stored one, or the group's if there is none."""
    key = _key(group)
    if gold is not None and key not in (None, gold):
        raise InputError("label_data.store.two_golds", prompt=group.prompt.id, gold=gold, key=key)
    return gold or key

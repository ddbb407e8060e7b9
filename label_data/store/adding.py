"""Many prompts at once, with all that belongs to them: an import, in one transaction."""

import gc
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Any

from sqlalchemy import Connection, Row, Select, bindparam, func, select, update

from label_data.database import schema
from label_data.database.bulk_insert import insert_rows
from label_data.database.deferred_indexes import DeferredIndexes
from label_data.database.engine import Store, large_cache, writing
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

GROUPS_AT_ONCE, CHARACTERS_AT_ONCE = 1_000, 2**23
"""Groups of an import that are looked up, and where they are new stored, together, and what their texts may have."""
OBJECTS_BEFORE_LOOKING = 200_000
"""That an import may make, beyond those let go of, before Python looks for ones that only refer to each other."""
VALUES_AT_ONCE = 10_000
"""Values of one IN (…): SQLite takes 32,766 parameters, PostgreSQL 65,535."""

# Statements are built once: building them for each call took half the time.
_prompts, _completions, _demonstrations = schema.prompts, schema.completions, schema.demonstrations
_items, _rankings = schema.items, schema.rankings
_NOW = select(schema.now_us())
_LAST_ITEM = select(func.max(_items.c.number))
_ITEMS_AFTER = select(_items.c.prompt_id, _items.c.number).where(_items.c.number > bindparam("last"))
_some = bindparam("some", expanding=True)
_PROMPTS_AMONG = select(_prompts.c.id).where(_prompts.c.id.in_(_some))
_COMPLETIONS_AMONG = select(_completions.c.id).where(_completions.c.id.in_(_some))
_DEMONSTRATIONS_AMONG = select(_demonstrations.c.id).where(_demonstrations.c.id.in_(_some))
_ITEMS_AMONG = select(_items.c.prompt_id, _items.c.gold).where(
    _items.c.prompt_id.in_(_some), _items.c.project == bindparam("project")
)
_JUDGED_AMONG = select(_rankings.c.submission, _rankings.c.judgement_sha256).where(_rankings.c.submission.in_(_some))
_TEXTS_OF = select(_completions.c.text).where(_completions.c.prompt_id == bindparam("prompt"))


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
    joined: int = 0
    """Prompts that the store had already, but not this project."""

    def __add__(self, other: "Added") -> "Added":
        return Added(
            self.prompts + other.prompts,
            self.completions + other.completions,
            self.rankings + other.rankings,
            self.joined + other.joined,
        )


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

    While a batch of groups is stored, which for the most part is not Python's work, the next is taken from `groups`
    and its rows are made.
    """
    with writing(store) as connection, large_cache(connection), _seldom_looking_for_cycles():
        settings, _ = current_settings(connection, project)
        indexes = DeferredIndexes(connection)
        with _Behind(lambda batch: _add_batch(connection, batch, project, settings, indexes)) as behind:
            batch, characters = [], 0
            for number, group in enumerate(groups, start=1):
                batch.append(_rows_of(number, group, project, settings))
                characters += _characters(group)
                if len(batch) == GROUPS_AT_ONCE or characters >= CHARACTERS_AT_ONCE:
                    behind.add(batch)
                    batch, characters = [], 0
                on_progress(number)
        added = behind.added + _add_batch(connection, batch, project, settings, indexes)
        indexes.make()
        enqueue(connection, project)
    return added


@contextmanager
def _seldom_looking_for_cycles() -> Iterator[None]:
    """Let Python look for objects that only refer to each other seldom inside the block.

    Records and rows never do, and looking through a batch of them again and again took a sixth of an import.
    """
    before = gc.get_threshold()
    gc.set_threshold(OBJECTS_BEFORE_LOOKING, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)


def _characters(group: Group) -> int:
    found = 0
    for message in group.prompt.messages:
        found += len(message.content)
    for completion in group.completions:
        found += len(completion.text)
    return found


class _Behind:
    """Stores batches one after the other in a thread of its own, while its owner gets the next one ready.

    The block ends, whatever ends it, when nothing is left to be done in the thread. An error there ends it too, before
    any that its owner met later.
    """

    def __init__(self, store: Callable[[Sequence["_Rows"]], Added]) -> None:
        self.added = Added()
        """What was added so far; after the block, by all batches."""
        self._store, self._pool = store, ThreadPoolExecutor(1, "store")
        self._doing: Future[Added] | None = None

    def add(self, batch: Sequence["_Rows"]) -> None:
        """Wait for the batch before, and begin with this one."""
        self._wait()
        self._doing = self._pool.submit(self._store, batch)

    def _wait(self) -> None:
        doing, self._doing = self._doing, None
        if doing is not None:
            self.added += doing.result()

    def __enter__(self) -> "_Behind":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        with self._pool:
            if kind is None or issubclass(kind, InputError):
                self._wait()


@dataclass(frozen=True, slots=True)
class _Rows:
    """A group, the how many-th it is, and the rows that it becomes where nothing of it is stored yet."""

    number: int
    group: Group
    prompt: dict[str, Any]
    item: dict[str, Any]
    completions: list[dict[str, Any]]
    demonstrations: list[dict[str, Any]]
    rankings: list[dict[str, Any]]
    """Their item is known once it is stored."""


def _rows_of(number: int, group: Group, project: str, settings: ProjectSettings) -> _Rows:
    return _Rows(
        number,
        group,
        prompt_row(group.prompt),
        _item_row(group, project, settings),
        [completion_row(one) for one in group.completions],
        [demonstration_row(one) for one in group.demonstrations],
        [ranking_row(one, one.judgement_sha256, None, None) for one in group.rankings],
    )


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
        for ranking in group.rankings:
            if ranking.revises is not None or ranking.submission in self.judged:
                return False
        submissions = {ranking.submission for ranking in group.rankings}
        return group.prompt.id not in self.prompts and len(submissions) == len(group.rankings)

    def has_all_of(self, group: Group) -> bool:
        """Is there nothing to be stored of the group?"""
        return (
            group.prompt.id in self.golds
            and _key(group) in (None, self.golds[group.prompt.id])
            and all(completion.id in self.completions for completion in group.completions)
            and all(demonstration.id in self.demonstrations for demonstration in group.demonstrations)
            and all(self.judged.get(ranking.submission) == ranking.judgement_sha256 for ranking in group.rankings)
        )


def _known(connection: Connection, batch: Sequence[_Rows], project: str) -> _Known:
    def found(query: Select[Any], values: Iterable[str]) -> Iterator[Row[Any]]:
        left = iter(values)
        while some := list(islice(left, VALUES_AT_ONCE)):
            yield from connection.execute(query, {"some": some, "project": project})

    groups = [rows.group for rows in batch]
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
    connection: Connection, batch: Sequence[_Rows], project: str, settings: ProjectSettings, indexes: DeferredIndexes
) -> Added:
    """Add groups in their order: new ones together, one that the store has a part of by itself."""
    known, added, new = _known(connection, batch, project), Added(), []
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
                raise GroupError(str(error), rows.number) from None
        known.prompts.add(group.prompt.id)
        for ranking in group.rankings:  # a later group that says the same again is looked at by itself
            known.judged.setdefault(ranking.submission, "")
    added += _add_new(connection, new)
    indexes.grow(added.prompts)
    return added


def _add_new(connection: Connection, groups: Sequence[_Rows]) -> Added:
    """Add groups of which nothing is there yet."""
    if not groups:
        return Added()
    now, last = connection.scalar(_NOW), connection.scalar(_LAST_ITEM) or 0
    insert_rows(connection, _prompts, [rows.prompt for rows in groups], added_us=now)
    insert_rows(connection, _items, [rows.item for rows in groups])
    item_of = dict(connection.execute(_ITEMS_AFTER, {"last": last}).all())
    completions = list({one["id"]: one for rows in groups for one in rows.completions}.values())
    demonstrations = list({one["id"]: one for rows in groups for one in rows.demonstrations}.values())
    rankings = [one for rows in groups for one in rows.rankings]
    for ranking in rankings:
        ranking["item"] = item_of[ranking["prompt_id"]]
    insert_rows(connection, _completions, completions, added_us=now)
    insert_rows(connection, _demonstrations, demonstrations, stored_us=now)
    insert_rows(connection, _rankings, rankings, stored_us=now)
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
    return len([1 for ranking in rankings if ranking.revises is None and not ranking.tests_annotator])


def _key(group: Group) -> str | None:
    """Return the submission of the group's gold ranking."""
    for ranking in group.rankings:
        if ranking.purpose == "key":
            return ranking.submission
    return None


def _are_different(texts: Iterable[str]) -> bool:
    """Are there two that differ in more than white space?"""
    texts = list(texts)
    if len({tuple(text.split(None, 2)[:2]) for text in texts}) >= 2:  # most do so in the first two words
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
    mine = (items.c.project == project) & (items.c.prompt_id == prompt.id)
    item = connection.execute(select(items.c.number, items.c.gold).where(mine).with_for_update(key_share=True)).one()
    saved = [ranking for ranking in group.rankings if add_ranking(connection, ranking, item=item.number) == "saved"]
    for ranking in saved:
        recount_revision(connection, ranking)
    gold = _gold(group, item.gold)
    if new_item or new_completions or saved or gold != item.gold:
        connection.execute(update(items).where(mine).values(done=items.c.done + _counted(saved), gold=gold))
        now = connection.execute(select(items).where(mine)).one()
        if _has_a_choice(connection, group, indexes):
            enough = now.done >= settings.annotators_per_prompt or saved or gold
            if enough:
                connection.execute(update(items).where(mine).values(state=schema.RANKED, place=None))
            elif now.state != schema.READY:
                connection.execute(update(items).where(mine).values(state=schema.READY, place=None))
    return Added(new_prompt, new_completions, len(saved), joined=new_item and not new_prompt)


def _has_a_choice(connection: Connection, group: Group, indexes: DeferredIndexes) -> bool:
    """Has the group's prompt two different completions, those included that were stored before?"""
    if _are_different(completion.text for completion in group.completions):
        return True
    indexes.make()  # without one, all completions there are would be gone through
    return _are_different(connection.scalars(_TEXTS_OF, {"prompt": group.prompt.id}))


def _gold(group: Group, gold: str | None) -> str | None:
    """Return the submission of the ranking that is the item's gold: the one it has, else the group's."""
    key = _key(group)
    if gold is not None and key not in (None, gold):
        raise InputError(
            f"Prompt {group.prompt.id} has a gold ranking already, {gold}, and the file another, {key}. "
            "Leave the purpose of one of them out."
        )
    return gold or key

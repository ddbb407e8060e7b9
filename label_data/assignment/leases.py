"""Leases: which items an annotator gets next, for how long, and how they come back.

A lease ends by the database's clock, never by a browser's. What lapses goes back to the queue when anybody next asks
for work, a few at a time; until then, and as long as nobody else was given it, it is still its annotator's.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import BigInteger, Connection, Row, Update, bindparam, or_, select, update

from label_data.database import schema
from label_data.database.engine import Store, writing
from label_data.settings import ProjectSettings
from label_data.store.counting import LOCKED_ITEM, recount_item
from label_data.store.projects import current_settings

SECOND = 1_000_000
GRACE = 60 * SECOND
"""Microseconds that tasks stay with an annotator who left the page: a reload is back by then."""
LONGEST_LEASE = 24 * 3600 * SECOND
"""A lease that ends later was given when the clock was wrong."""
AT_ONCE = 20
"""Lapsed leases taken back by one call."""

_items, _tasks, _cursors = schema.items, schema.tasks, schema.cursors
_who = bindparam("who")
_of = bindparam("of_project")

# Lapsed leases

_now = select(schema.now_us()).scalar_subquery()  # once; PostgreSQL's clock, which moves, it would ask at every row
_lapsed_how = (_tasks.c.expires_us <= _now, _tasks.c.expires_us > _now + 2 * LONGEST_LEASE)
_has_lapsed = schema.is_open & or_(*_lapsed_how)
_of_others = _tasks.c.annotator != _who
OTHERS_LAPSED = or_(  # either is one look at the index; for both together SQLite goes through all open tasks
    *(select(_tasks.c.number).where(schema.is_open, how, _of_others).exists() for how in _lapsed_how)
)
_LAPSED = (
    select(_tasks.c.number, _tasks.c.item, _tasks.c.purpose, _tasks.c.project)
    .where(_has_lapsed, _of_others)
    .limit(AT_ONCE)
)
_LOCK_IF_FREE = (
    select(_items.c.number)
    .where(_items.c.number == bindparam("item_number"))
    .with_for_update(key_share=True, skip_locked=True)
)
_TAKE_BACK = update(_tasks).where(_tasks.c.number == bindparam("task_number")).values(state=schema.EXPIRED)
_TAKE_BACK_LAPSED, _TAKE_BACK_OPEN = _TAKE_BACK.where(_has_lapsed), _TAKE_BACK.where(schema.is_open)
_FREE = update(_items).where(_items.c.number == bindparam("item_number")).values(leased=_items.c.leased - 1, place=None)
_OF_TOKENS = (
    select(_tasks.c.number, _tasks.c.item, _tasks.c.purpose, _tasks.c.project)
    .where(schema.is_open, _tasks.c.token.in_(bindparam("tokens", expanding=True)))
    .order_by(_tasks.c.item)
)


def release_expired(store: Store, but_of: str) -> None:
    """Take back tasks whose lease ran out, those of one annotator aside, so that others get their prompts.

    In a transaction of its own: it locks items before cursors, so one that holds its cursor can't do it.
    """
    with writing(store, concurrently=True) as connection:
        lapsed = sorted(connection.execute(_LAPSED, {"who": but_of}).all(), key=lambda task: task.number)
        # One whose item is locked is just being submitted, or taken back.
        free = [task for task in lapsed if connection.execute(_LOCK_IF_FREE, {"item_number": task.item}).first()]
        _take_back(connection, free, _TAKE_BACK_LAPSED)


def release_tasks(store: Store, tokens: Sequence[str]) -> int:
    """Take these tasks back from their annotators, so that others get the prompts at once; return how many those were.

    For whoever runs the project. What their annotators still send is kept, as that of any lease that ran out.
    """
    with writing(store, concurrently=True) as connection:
        found = connection.execute(_OF_TOKENS, {"tokens": list(tokens)}).all()
        for task in found:
            connection.execute(LOCKED_ITEM, {"item_number": task.item}).one()
        return _take_back(connection, sorted(found, key=lambda task: task.number), _TAKE_BACK_OPEN)


def _take_back(connection: Connection, tasks: Sequence[Row[Any]], take: Update) -> int:
    """Take back those of the tasks, whose items are locked, that `take` still fits; return how many.

    A ranking that came late to one of their prompts, and had found its place taken, counts now.
    """
    taken, freed = 0, set()
    for task in tasks:
        if connection.execute(take, {"task_number": task.number}).rowcount:
            taken += 1
            if not task.purpose:
                connection.execute(_FREE, {"item_number": task.item})
                freed.add((task.project, task.item))
    for project, number in sorted(freed):
        settings, _ = current_settings(connection, project)
        item = connection.execute(LOCKED_ITEM, {"item_number": number}).one()
        recount_item(connection, item, settings.annotators_per_prompt)
    return taken


# The next items for an annotator


LOCK_OPEN = (
    select(_tasks.c.number)
    .where(_tasks.c.annotator == _who, schema.is_open)
    .order_by(_tasks.c.number)
    .with_for_update(key_share=True)
)
"""Before several tasks are changed by one statement, which would lock them in any order."""
EXPIRES = schema.now_us() + bindparam("lease", type_=BigInteger)


# Leaving

_LOCK_CURSORS = select(_cursors.c.project).where(_cursors.c.annotator == _who).order_by(_cursors.c.project)
_SHORTEN = (
    update(_tasks)
    .where(
        _tasks.c.annotator == _who,
        schema.is_open,
        _tasks.c.expires_us > schema.now_us() + GRACE,
        ~select(schema.drafts.c.task).where(schema.drafts.c.task == _tasks.c.token).exists(),
    )
    .values(expires_us=schema.now_us() + GRACE)
)
_RENEW_ONE = update(_tasks).where(_tasks.c.token == bindparam("of_token"), schema.is_open).values(expires_us=EXPIRES)


def shorten_leases(store: Store, annotator: str) -> int:
    """Leave the annotator's open tasks a minute more, those with a draft aside; return how many those are.

    Not at once: a page that is loaded again leaves too, and must find the same task.
    """
    with writing(store, concurrently=True) as connection:
        connection.execute(_LOCK_CURSORS.with_for_update(key_share=True), {"who": annotator})
        connection.execute(LOCK_OPEN, {"who": annotator})
        return connection.execute(_SHORTEN, {"who": annotator}).rowcount


def renew(connection: Connection, token: str, settings: ProjectSettings) -> None:
    """Let the lease of an open task start anew."""
    connection.execute(_RENEW_ONE, {"of_token": token, "lease": settings.lease_minutes * 60 * SECOND})

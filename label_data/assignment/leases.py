"""Lease tasks to annotators and release expired ones.

A lease expires by the database's clock, never by a browser's. Expired tasks go back to the queue when another annotator
asks for tasks, a few at a time. Until then, and until another annotator gets the prompt, the annotator keeps the task.
"""

from collections.abc import Sequence

from sqlalchemy import BigInteger, BindParameter, Connection, Update, bindparam, or_, select, update

from label_data.database import schema
from label_data.database.engine import AnyRow, Store, writing
from label_data.settings import ProjectSettings
from label_data.store.counting import LOCKED_ITEM, recount_item
from label_data.store.projects import current_settings

SECOND = 1_000_000
GRACE = 60 * SECOND
"""Microseconds for which an annotator who left the page keeps open tasks, so that a reload finds them."""
LONGEST_LEASE = 24 * 3600 * SECOND
"""The longest lease in the settings, in microseconds; a later end shows that the clock was wrong."""
MOST_RELEASED = 20
"""Maximum number of expired tasks that one call releases."""

_items, _tasks, _cursors = schema.items, schema.tasks, schema.cursors
_who: BindParameter[str] = bindparam("who")

# Expired leases

_now = select(schema.now_us()).scalar_subquery()  # evaluated once; PostgreSQL would read its moving clock at every row
_expired = (_tasks.c.expires_us <= _now, _tasks.c.expires_us > _now + 2 * LONGEST_LEASE)
_is_expired = schema.is_open & or_(*_expired)
_of_others = _tasks.c.annotator != _who
OTHERS_EXPIRED = or_(  # each is one index look-up; with both in one query SQLite scans all open tasks
    *(select(_tasks.c.number).where(schema.is_open, condition, _of_others).exists() for condition in _expired)
)
_EXPIRED_TASKS = (
    select(_tasks.c.number, _tasks.c.item, _tasks.c.purpose, _tasks.c.project)
    .where(_is_expired, _of_others)
    .limit(MOST_RELEASED)
)
_LOCK_IF_FREE = (
    select(_items.c.number)
    .where(_items.c.number == bindparam("item_number"))
    .with_for_update(key_share=True, skip_locked=True)
)
_RELEASE = update(_tasks).where(_tasks.c.number == bindparam("task_number")).values(state=schema.EXPIRED)
_RELEASE_EXPIRED, _RELEASE_OPEN = _RELEASE.where(_is_expired), _RELEASE.where(schema.is_open)
_FREE = update(_items).where(_items.c.number == bindparam("item_number")).values(leased=_items.c.leased - 1, place=None)
_OF_TOKENS = (
    select(_tasks.c.number, _tasks.c.item, _tasks.c.purpose, _tasks.c.project)
    .where(schema.is_open, _tasks.c.token.in_(bindparam("tokens", expanding=True)))
    .order_by(_tasks.c.item)
)


def release_expired(store: Store, except_of: str) -> None:
    """Release expired tasks, except those of one annotator, so that others get their prompts.

    It needs its own transaction: it locks items first, and cursors come before items in the order of locks.
    """
    with writing(store, concurrently=True) as connection:
        expired = sorted(connection.execute(_EXPIRED_TASKS, {"who": except_of}).all(), key=lambda task: task.number)
        # A task whose item is locked is just being submitted or released.
        free = [task for task in expired if connection.execute(_LOCK_IF_FREE, {"item_number": task.item}).first()]
        _release(connection, free, _RELEASE_EXPIRED)


def release_tasks(store: Store, tokens: Sequence[str]) -> int:
    """Release these tasks, so that other annotators get the prompts at once; return how many were open.

    For the person who runs the project. Rankings that the annotators still submit are stored, as after any expired
    lease.
    """
    with writing(store, concurrently=True) as connection:
        tasks = connection.execute(_OF_TOKENS, {"tokens": list(tokens)}).all()
        for task in tasks:
            connection.execute(LOCKED_ITEM, {"item_number": task.item}).one()
        return _release(connection, sorted(tasks, key=lambda task: task.number), _RELEASE_OPEN)


def _release(connection: Connection, tasks: Sequence[AnyRow], statement: Update) -> int:
    """Release the tasks that `statement` still matches; their items are locked. Return how many were released.

    Late rankings of their prompts, which had found no free place, then count.
    """
    released = 0
    freed: set[tuple[str, int]] = set()
    for task in tasks:
        if connection.execute(statement, {"task_number": task.number}).rowcount:
            released += 1
            if not task.purpose:
                connection.execute(_FREE, {"item_number": task.item})
                freed.add((task.project, task.item))
    for project, number in sorted(freed):
        settings, _ = current_settings(connection, project)
        item = connection.execute(LOCKED_ITEM, {"item_number": number}).one()
        recount_item(connection, item, settings.annotators_per_prompt)
    return released


LOCK_OPEN = (
    select(_tasks.c.number)
    .where(_tasks.c.annotator == _who, schema.is_open)
    .order_by(_tasks.c.number)
    .with_for_update(key_share=True)
)
"""Locks tasks in order, before one statement changes several, which would lock them in any order."""
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
    """Shorten the annotator's open leases to one minute, except tasks with a draft; return how many were shortened.

    They do not expire at once, because a page that is reloaded also calls this, and must find the same task.
    """
    with writing(store, concurrently=True) as connection:
        connection.execute(_LOCK_CURSORS.with_for_update(key_share=True), {"who": annotator})
        connection.execute(LOCK_OPEN, {"who": annotator})
        return connection.execute(_SHORTEN, {"who": annotator}).rowcount


def renew(connection: Connection, token: str, settings: ProjectSettings) -> None:
    """Restart the lease of an open task."""
    connection.execute(_RENEW_ONE, {"of_token": token, "lease": settings.lease_minutes * 60 * SECOND})

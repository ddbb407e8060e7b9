"""Is the store sound? What can be worked out again must agree with what is kept beside it, and can be mended by it."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace

from sqlalchemy import Connection, ForeignKey, Table, func, select, update

from label_data.database import schema
from label_data.database.engine import Store, reading, writing
from label_data.errors import InputError
from label_data.records import Group
from label_data.store.queue import enqueue
from label_data.store.stored_groups import groups

APPEND_ONLY = {
    "sqlite": "SELECT tbl_name, count(*) FROM sqlite_master WHERE type = 'trigger' GROUP BY tbl_name",
    "postgresql": "SELECT tgrelid::regclass::text, count(*) FROM pg_trigger WHERE tgenabled = 'O' AND NOT tgisinternal "
    "GROUP BY 1",
}
"""Which tables have triggers, by the database's own account."""
WAL_RESET_MENDED = ((3, 44, 6), (3, 50, 7), (3, 51, 3))
"""The first versions of SQLite without the fault, of two older series and of all that follow."""
WAL_RESET = (
    "This version has a fault that can, very seldom, damage a file when two connections write or checkpoint at once "
    "(sqlite.org/wal.html#walresetbug). The workbench lets one connection write at a time, in all its processes, and "
    "so does not meet it. Let no other program write to the file; SQLite 3.51.3 has it mended."
)


def database_version(store: Store) -> str:
    """Return the database's name and version, for example "SQLite 3.40.1"."""
    with reading(store) as connection:
        if store.dialect.name == "sqlite":
            return f"SQLite {connection.exec_driver_sql('SELECT sqlite_version()').scalar()}"
        return f"PostgreSQL {connection.exec_driver_sql('SHOW server_version').scalar()}"


def store_revision(store: Store) -> str:
    """Return the version of the store's tables, for example "0003"."""
    with reading(store) as connection:
        return str(connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar())


def has_wal_reset_fault(version: tuple[int, ...]) -> bool:
    """Has this version of SQLite the fault described in `WAL_RESET`?"""
    return not any(
        version >= mended and (version[:2] == mended[:2] or mended == WAL_RESET_MENDED[-1])
        for mended in WAL_RESET_MENDED
    )


def problems(store: Store, advance: Callable[[str, int], object] = lambda what, rows: None) -> Iterator[str]:
    """Yield a sentence for each thing wrong in the store; none when it is sound. Tell `advance` of what is looked at.

    Looked at: the file's integrity (SQLite), references, the triggers that keep rankings from being changed, the
    counters of items beside tasks and rankings, every record's own rules, every id beside the content it names, every
    judgement beside its hash.
    """
    from label_data.versions.version import digest_problems  # pandas and scipy: for this alone

    with reading(store) as connection:
        advance("file and counters", 0)
        if store.dialect.name == "sqlite":
            yield from _file_problems(connection)
        yield from _trigger_problems(connection)
        for table in schema.metadata.sorted_tables:
            for key in table.foreign_keys:
                yield from _reference_problems(connection, table, key)
        yield from _counter_problems(connection)
        yield from _task_problems(connection)
        stored = {
            table: _ids(connection, table) for table in (schema.prompts, schema.completions, schema.demonstrations)
        }
        hashes = schema.rankings.c.submission, schema.rankings.c.judgement_sha256
        judged = dict(connection.execute(select(*hashes)).all())
    try:
        for group in map(_made_anew, groups(store, revised=True, retracted=True)):
            advance("prompts", 1)
            stored[schema.prompts].discard(group.prompt.id)
            stored[schema.completions] -= {completion.id for completion in group.completions}
            stored[schema.demonstrations] -= {demonstration.id for demonstration in group.demonstrations}
            for ranking in group.rankings:
                digest = ranking.judgement_sha256
                if judged.get(ranking.submission, digest) != digest:  # one stored since the hashes were read passes
                    yield f"Ranking {ranking.submission}: its judgement is not the one that was stored."
    except (InputError, KeyError, TypeError, json.JSONDecodeError) as error:
        yield f"A record can't be read: {type(error).__name__}: {error}"
        return
    for table, left in stored.items():
        for id in sorted(left):
            yield f"{table.name}: {id} is not the hash of what is stored under it."
    yield from digest_problems(store)


def _made_anew(group: Group) -> Group:
    """Return the group with every record checked and named by its content, as reading it from the store did not."""
    messages = tuple(map(replace, group.prompt.messages))
    return Group(
        replace(group.prompt, messages=messages),
        tuple(map(replace, group.completions)),
        tuple(map(replace, group.rankings)),
        tuple(map(replace, group.demonstrations)),
    )


def _file_problems(connection: Connection) -> Iterator[str]:
    for (found,) in connection.exec_driver_sql("PRAGMA integrity_check"):
        if found != "ok":
            yield f"The file is damaged: {found}."


def _trigger_problems(connection: Connection) -> Iterator[str]:
    found = dict(connection.exec_driver_sql(APPEND_ONLY[connection.dialect.name]).all())
    for table in schema.APPEND_ONLY:
        if not found.get(table.name):
            yield f"{table.name}: nothing keeps its rows from being changed; the triggers that did are gone."


def _reference_problems(connection: Connection, table: Table, key: ForeignKey) -> Iterator[str]:
    """PostgreSQL keeps references by itself; a copy made with another tool may have gone without."""
    other, row = key.column.table.alias("other"), next(iter(table.primary_key.columns))
    there = select(other.c[key.column.name]).where(other.c[key.column.name] == key.parent).exists()
    for (found,) in connection.execute(select(row).where(key.parent.is_not(None), ~there)):
        yield f"{table.name}: row {found} refers to a row of {key.column.table.name} that is not there."


# Counters

_items, _tasks, _rankings, _projects = schema.items, schema.tasks, schema.rankings, schema.projects
_retracted = _rankings.c.submission.in_(select(schema.retractions.c.submission))


_of_tasks = (
    select(
        _tasks.c.item,
        func.count().filter(_tasks.c.state == schema.OPEN).label("open"),
        func.count().filter(_tasks.c.counted == 1).label("counting"),
        func.count().filter(_tasks.c.state == schema.SKIPPED).label("skips"),
    )
    .where(_tasks.c.purpose == "")
    .group_by(_tasks.c.item)
    .subquery()
)
_of_files = (
    select(_rankings.c.item, func.count().label("imported"))
    .where(_rankings.c.task.is_(None), _rankings.c.revises.is_(None), _rankings.c.purpose == "")
    .group_by(_rankings.c.item)
    .subquery()
)
_open = func.coalesce(_of_tasks.c.open, 0)
_counting = func.coalesce(_of_tasks.c.counting, 0) + func.coalesce(_of_files.c.imported, 0)
_skips = func.coalesce(_of_tasks.c.skips, 0)
_drifted = (
    select(_items, _open.label("open"), _counting.label("counting"), _skips.label("skips"))
    .join(_of_tasks, _of_tasks.c.item == _items.c.number, isouter=True)
    .join(_of_files, _of_files.c.item == _items.c.number, isouter=True)
    .where((_items.c.leased != _open) | (_items.c.done != _counting) | (_items.c.skipped != _skips))
)
"""Each item that is counted wrongly, with what is true; tasks and rankings are gone through once, not once an item."""
_is_queued = _items.c.place.is_not(None)
_is_misplaced = (_is_queued != (_items.c.state == schema.READY)) | (
    _is_queued & (_items.c.place >= func.coalesce(_projects.c.next_place, 0))
)


def _counter_problems(connection: Connection) -> Iterator[str]:
    """Compare each item's counters with its tasks and with the rankings that came in files, and look at its place."""
    for row in connection.execute(_drifted):
        yield (
            f"items: the prompt {row.prompt_id} is counted as leased {row.leased}, done {row.done} and skipped "
            f"{row.skipped} times, but has {row.open} open tasks, {row.counting} rankings that count and "
            f"{row.skips} skips."
        )
    joined = select(_items.c.prompt_id).join(_projects, _projects.c.id == _items.c.project, isouter=True)
    for row in connection.execute(joined.where(_is_misplaced | _projects.c.id.is_(None))):
        yield f"items: the prompt {row.prompt_id} has no place in its project's queue, or one it should not have."


def _task_problems(connection: Connection) -> Iterator[str]:
    """Compare each task's state with the newest of its rankings."""
    newest = _rankings.c.submission.not_in(select(_rankings.c.revises).where(_rankings.c.revises.is_not(None)))
    said = select(_rankings.c.task, _rankings.c.outcome, _retracted.label("retracted")).where(newest).subquery()
    query = (
        select(_tasks.c.token, _tasks.c.state, _tasks.c.counted, _tasks.c.purpose, said.c.outcome, said.c.retracted)
        .join(said, said.c.task == _tasks.c.token, isouter=True)
        .where(_tasks.c.state.in_((schema.DONE, schema.SKIPPED, schema.RETRACTED)) | said.c.outcome.is_not(None))
    )
    for row in connection.execute(query):
        of_outcome = schema.SKIPPED if row.outcome == "skipped" else schema.DONE
        expected = None if row.outcome is None else schema.RETRACTED if row.retracted else of_outcome
        if row.state != expected or (row.counted and (row.state != schema.DONE or row.purpose)):
            yield f"tasks: {row.token} is {row.state} and counted {row.counted} times, but its rankings say {expected}."


def repair_counters(store: Store) -> int:
    """Count again, from tasks and rankings, what items keep counted; return how many items were wrong."""
    with writing(store) as connection:
        wrong = connection.execute(_drifted).all()
        for row in wrong:
            true = {"leased": row.open, "done": row.counting, "skipped": row.skips}
            connection.execute(update(_items).where(_items.c.number == row.number).values(true))
        misplaced = _is_queued & (_items.c.state != schema.READY)
        connection.execute(update(_items).where(misplaced).values(place=None))
        for project in connection.scalars(select(_projects.c.id)).all():
            enqueue(connection, project)
        return len(wrong)


def _ids(connection: Connection, table: Table) -> set[str]:
    return set(connection.scalars(select(table.c.id)))

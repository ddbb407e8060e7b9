"""Check the store: compare stored values with what they can be computed from, and repair counters."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace

from sqlalchemy import Connection, ForeignKey, Table, func, select, update

from label_data.database import schema
from label_data.database.engine import Store, reading, writing
from label_data.errors import InputError
from label_data.records import Group
from label_data.sentences import Sentence, say
from label_data.store.current_rankings import is_newest, is_withdrawn
from label_data.store.queue import enqueue
from label_data.store.stored_groups import groups

APPEND_ONLY = {
    "sqlite": "SELECT tbl_name, count(*) FROM sqlite_master WHERE type = 'trigger' GROUP BY tbl_name",
    "postgresql": "SELECT tgrelid::regclass::text, count(*) FROM pg_trigger WHERE tgenabled = 'O' AND NOT tgisinternal "
    "GROUP BY 1",
}
"""Dialect -> query for the number of triggers of each table."""
WAL_RESET_FIXED = ((3, 44, 6), (3, 50, 7), (3, 51, 3))
"""The first versions of SQLite without the fault: of two older series, and of all later ones."""
WAL_RESET = (
    "This version of SQLite has a fault that can, very rarely, damage a file when two connections write or checkpoint "
    "at the same time (sqlite.org/wal.html#walresetbug). The workbench avoids it: only one connection of all its "
    "processes writes at a time. Let no other program write to the file. SQLite 3.51.3 fixes the fault."
)


def database_version(store: Store) -> str:
    """Return the database's name and version, for example "SQLite 3.40.1"."""
    with reading(store) as connection:
        if store.dialect.name == "sqlite":
            return f"SQLite {connection.exec_driver_sql('SELECT sqlite_version()').scalar()}"
        return f"PostgreSQL {connection.exec_driver_sql('SHOW server_version').scalar()}"


def store_revision(store: Store) -> str:
    """Return the revision of the store's tables, for example "0003"."""
    with reading(store) as connection:
        return str(connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar())


def has_wal_reset_fault(version: tuple[int, ...]) -> bool:
    """Whether this version of SQLite has the fault described in `WAL_RESET`."""
    return not any(
        version >= fixed and (version[:2] == fixed[:2] or fixed == WAL_RESET_FIXED[-1]) for fixed in WAL_RESET_FIXED
    )


def problems(store: Store, advance: Callable[[str, int], object] = lambda what, rows: None) -> Iterator[Sentence | str]:
    """Yield a sentence for each problem of the store. `advance` is called with what is checked and how much.

    Checked are the integrity of the file (SQLite), references, the triggers that protect rankings, the counters of
    items against tasks and rankings, the rules of every record, every id against its content, and every ranking against
    its stored hash.
    """
    from label_data.versions.version import digest_problems  # needs pandas and scipy, nothing else here does

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
        rows = connection.execute(select(schema.rankings.c.submission, schema.rankings.c.judgement_sha256))
        digests = {row.submission: row.judgement_sha256 for row in rows}
    try:
        for group in map(_checked, groups(store, revised=True, retracted=True)):
            advance("prompts", 1)
            stored[schema.prompts].discard(group.prompt.id)
            stored[schema.completions] -= {completion.id for completion in group.completions}
            stored[schema.demonstrations] -= {demonstration.id for demonstration in group.demonstrations}
            for ranking in group.rankings:
                digest = ranking.judgement_sha256
                if digests.get(ranking.submission, digest) != digest:  # a ranking stored after the query is not in it
                    yield say("label_data.oversight.wrong_digest", ranking=ranking.submission)
    except (InputError, KeyError, TypeError, json.JSONDecodeError) as error:
        problem = error if isinstance(error, InputError) else str(error)
        yield say("label_data.oversight.bad_record", kind=type(error).__name__, problem=problem)
        return
    for table, ids in stored.items():
        for id in sorted(ids):
            yield say("label_data.oversight.wrong_id", table=table.name, id=id)
    yield from digest_problems(store)


def _checked(group: Group) -> Group:
    """Return the group with every record checked and its id computed, which reading it from the store does not do."""
    messages = tuple(map(replace, group.prompt.messages))
    return Group(
        replace(group.prompt, messages=messages),
        tuple(map(replace, group.completions)),
        tuple(map(replace, group.rankings)),
        tuple(map(replace, group.demonstrations)),
    )


def _file_problems(connection: Connection) -> Iterator[Sentence]:
    for problem in connection.exec_driver_sql("PRAGMA integrity_check").scalars():
        if problem != "ok":
            yield say("label_data.oversight.file_damaged", problem=problem)


def _trigger_problems(connection: Connection) -> Iterator[Sentence]:
    rows = connection.exec_driver_sql(APPEND_ONLY[connection.dialect.name])
    triggers: dict[str, int] = {row[0]: row[1] for row in rows}
    for table in schema.APPEND_ONLY:
        if not triggers.get(table.name):
            yield say("label_data.oversight.no_triggers", table=table.name)


def _reference_problems(connection: Connection, table: Table, key: ForeignKey) -> Iterator[Sentence]:
    """Check the references of a foreign key, also on PostgreSQL: a copy made with another tool may lack its keys."""
    target = key.column.table.alias("target")
    number = next(iter(table.primary_key.columns))
    exists = select(target.c[key.column.name]).where(target.c[key.column.name] == key.parent).exists()
    for row in connection.scalars(select(number).where(key.parent.is_not(None), ~exists)):
        yield say("label_data.oversight.broken_reference", table=table.name, row=row, target=key.column.table.name)


# Counters

_items, _tasks, _rankings, _projects = schema.items, schema.tasks, schema.rankings, schema.projects
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
_of_imports = (
    select(_rankings.c.item, func.count().label("imported"))
    .where(_rankings.c.task.is_(None), _rankings.c.revises.is_(None), _rankings.c.purpose == "")
    .group_by(_rankings.c.item)
    .subquery()
)
_open = func.coalesce(_of_tasks.c.open, 0)
_counting = func.coalesce(_of_tasks.c.counting, 0) + func.coalesce(_of_imports.c.imported, 0)
_skips = func.coalesce(_of_tasks.c.skips, 0)
_miscounted = (
    select(_items, _open.label("open"), _counting.label("counting"), _skips.label("skips"))
    .join(_of_tasks, _of_tasks.c.item == _items.c.number, isouter=True)
    .join(_of_imports, _of_imports.c.item == _items.c.number, isouter=True)
    .where((_items.c.leased != _open) | (_items.c.done != _counting) | (_items.c.skipped != _skips))
)
"""The items with wrong counters, with the true counts. Tasks and rankings are scanned once, not once per item."""
_is_queued = _items.c.place.is_not(None)
_is_misplaced = (_is_queued != (_items.c.state == schema.READY)) | (
    _is_queued & (_items.c.place >= func.coalesce(_projects.c.next_place, 0))
)


def _counter_problems(connection: Connection) -> Iterator[Sentence]:
    """Compare each item's counters with its tasks and imported rankings, and check its place in the queue."""
    for row in connection.execute(_miscounted):
        yield say(
            "label_data.oversight.wrong_counts",
            prompt=row.prompt_id,
            leased=row.leased,
            done=row.done,
            skipped=row.skipped,
            open=row.open,
            counting=row.counting,
            skips=row.skips,
        )
    joined = select(_items.c.prompt_id).join(_projects, _projects.c.id == _items.c.project, isouter=True)
    for row in connection.execute(joined.where(_is_misplaced | _projects.c.id.is_(None))):
        yield say("label_data.oversight.misplaced", prompt=row.prompt_id)


def _task_problems(connection: Connection) -> Iterator[Sentence]:
    """Compare each task's state with its newest ranking."""
    newest = (
        select(_rankings.c.task, _rankings.c.outcome, is_withdrawn().label("is_withdrawn"))
        .where(is_newest())
        .subquery()
    )
    is_closed = _tasks.c.state.in_((schema.DONE, schema.SKIPPED, schema.RETRACTED))
    query = (
        select(*_tasks.c["token", "state", "counted", "purpose"], newest.c.outcome, newest.c.is_withdrawn)
        .join(newest, newest.c.task == _tasks.c.token, isouter=True)
        .where(is_closed | newest.c.outcome.is_not(None))
    )
    for row in connection.execute(query):
        if row.outcome is None:
            expected = None
        elif row.is_withdrawn:
            expected = schema.RETRACTED
        else:
            expected = schema.SKIPPED if row.outcome == "skipped" else schema.DONE
        if row.state != expected or (row.counted and (row.state != schema.DONE or row.purpose)):
            yield say(
                "label_data.oversight.wrong_state",
                task=row.token,
                state=row.state,
                counted=row.counted,
                expected=str(expected),
            )


def repair_counters(store: Store) -> int:
    """Set the counters of items from tasks and rankings, and their places; return how many items were wrong."""
    with writing(store) as connection:
        wrong = connection.execute(_miscounted).all()
        for row in wrong:
            counts = {"leased": row.open, "done": row.counting, "skipped": row.skips}
            connection.execute(update(_items).where(_items.c.number == row.number).values(counts))
        misplaced = _is_queued & (_items.c.state != schema.READY)
        connection.execute(update(_items).where(misplaced).values(place=None))
        for project in connection.scalars(select(_projects.c.id)).all():
            enqueue(connection, project)
        return len(wrong)


def _ids(connection: Connection, table: Table) -> set[str]:
    return set(connection.scalars(select(table.c.id)))

"""Is the store sound? What can be worked out again must agree with what is kept beside it, and can be mended by it."""

import hashlib
import json
from collections.abc import Iterator

from sqlalchemy import Connection, ForeignKey, Table, func, select, update

from label_data import schema
from label_data.contents import groups
from label_data.database import Store, reading, writing
from label_data.records import InputError, canonical

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


def problems(store: Store) -> Iterator[str]:
    """Yield a sentence for each thing wrong in the store; none when it is sound.

    Looked at: the file's integrity (SQLite), references, the triggers that keep rankings from being changed, the
    counters of items beside tasks and rankings, every record's own rules, every id beside the content it names, every
    judgement beside its hash.
    """
    with reading(store) as connection:
        if store.dialect.name == "sqlite":
            yield from _file_problems(connection)
        yield from _trigger_problems(connection)
        for table in schema.metadata.sorted_tables:
            for key in table.foreign_keys:
                yield from _reference_problems(connection, table, key)
        yield from _counter_problems(connection)
        stored = {
            table: _ids(connection, table) for table in (schema.prompts, schema.completions, schema.demonstrations)
        }
        hashes = schema.rankings.c.submission, schema.rankings.c.judgement_sha256
        judged = dict(connection.execute(select(*hashes)).all())
    try:
        for group in groups(store, revised=True):
            stored[schema.prompts].discard(group.prompt.id)
            stored[schema.completions] -= {completion.id for completion in group.completions}
            stored[schema.demonstrations] -= {demonstration.id for demonstration in group.demonstrations}
            for ranking in group.rankings:
                digest = hashlib.sha256(canonical(ranking.judgement).encode()).hexdigest()
                if judged.get(ranking.submission, digest) != digest:  # one stored since the hashes were read passes
                    yield f"Ranking {ranking.submission}: its judgement is not the one that was stored."
    except (InputError, KeyError, TypeError, json.JSONDecodeError) as error:
        yield f"A record can't be read: {type(error).__name__}: {error}"
        return
    for table, left in stored.items():
        for id in sorted(left):
            yield f"{table.name}: {id} is not the hash of what is stored under it."


def _file_problems(connection: Connection) -> Iterator[str]:
    for (found,) in connection.exec_driver_sql("PRAGMA integrity_check"):
        if found != "ok":
            yield f"The file is damaged: {found}."


def _trigger_problems(connection: Connection) -> Iterator[str]:
    found = dict(connection.exec_driver_sql(APPEND_ONLY[connection.dialect.name]).all())
    for table in (schema.rankings, schema.demonstrations):
        if not found.get(table.name):
            yield f"{table.name}: nothing keeps its rows from being changed; the triggers that did are gone."


def _reference_problems(connection: Connection, table: Table, key: ForeignKey) -> Iterator[str]:
    """PostgreSQL keeps references by itself; a copy made with another tool may have gone without."""
    other, row = key.column.table.alias("other"), next(iter(table.primary_key.columns))
    there = select(other.c[key.column.name]).where(other.c[key.column.name] == key.parent).exists()
    for (found,) in connection.execute(select(row).where(key.parent.is_not(None), ~there)):
        yield f"{table.name}: row {found} refers to a row of {key.column.table.name} that is not there."


# Counters

_items, _tasks, _rankings = schema.items, schema.tasks, schema.rankings
_leased = (
    select(func.count())
    .select_from(_tasks)
    .where(_tasks.c.item == _items.c.number, _tasks.c.state == schema.OPEN)
    .scalar_subquery()
)
_done = (
    select(func.count())
    .select_from(_rankings)
    .where(_rankings.c.prompt_id == _items.c.prompt_id, _rankings.c.revises.is_(None))
    .scalar_subquery()
)
_has_drifted = (_items.c.leased != _leased) | (_items.c.done != _done)


def _counter_problems(connection: Connection) -> Iterator[str]:
    """Compare each item's counters with its open tasks and with the rankings of its prompt, revisions not counted."""
    query = select(_items, _leased.label("open_tasks"), _done.label("rankings"))
    for row in connection.execute(query.where(_has_drifted)):
        yield (
            f"items: the prompt {row.prompt_id} is counted as leased {row.leased} and done {row.done} times, "
            f"but has {row.open_tasks} open tasks and {row.rankings} rankings."
        )


def mend_counters(store: Store) -> int:
    """Count again, from tasks and rankings, what items keep counted; return how many items were wrong."""
    with writing(store) as connection:
        return connection.execute(update(_items).where(_has_drifted).values(leased=_leased, done=_done)).rowcount


def _ids(connection: Connection, table: Table) -> set[str]:
    return set(connection.scalars(select(table.c.id)))

"""Is the store sound? What can be worked out again must agree with what is kept beside it."""

import hashlib
import json
from collections.abc import Iterator

from sqlalchemy import Connection, Table, func, select

from label_data import schema
from label_data.contents import groups
from label_data.database import Store, reading
from label_data.records import InputError, canonical


def database_version(store: Store) -> str:
    """Return the database's name and version, for example "SQLite 3.40.1"."""
    with reading(store) as connection:
        if store.dialect.name == "sqlite":
            return f"SQLite {connection.exec_driver_sql('SELECT sqlite_version()').scalar()}"
        return f"{store.dialect.name} {'.'.join(map(str, store.dialect.server_version_info or ()))}"


def problems(store: Store) -> Iterator[str]:
    """Yield a sentence for each thing wrong in the store; none when it is sound.

    Looked at: the file's integrity and its references (SQLite), the counters of items beside tasks and rankings,
    every record's own rules, every id beside the content it names, every judgement beside its hash.
    """
    with reading(store) as connection:
        if store.dialect.name == "sqlite":
            yield from _file_problems(connection)
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
    for table, row, refers_to, _ in connection.exec_driver_sql("PRAGMA foreign_key_check"):
        yield f"{table}: row {row} refers to a row of {refers_to} that is not there."


def _counter_problems(connection: Connection) -> Iterator[str]:
    """Compare each item's counters with its open tasks and with the rankings of its prompt, revisions not counted."""
    items, tasks, rankings = schema.items, schema.tasks, schema.rankings
    is_open = (tasks.c.item == items.c.number) & (tasks.c.state == schema.OPEN)
    is_first = (rankings.c.prompt_id == items.c.prompt_id) & rankings.c.revises.is_(None)
    leased = select(func.count()).select_from(tasks).where(is_open).scalar_subquery()
    done = select(func.count()).select_from(rankings).where(is_first).scalar_subquery()
    query = select(items, leased.label("open_tasks"), done.label("rankings"))
    for row in connection.execute(query.where((items.c.leased != leased) | (items.c.done != done))):
        yield (
            f"items: the prompt {row.prompt_id} is counted as leased {row.leased} and done {row.done} times, "
            f"but has {row.open_tasks} open tasks and {row.rankings} rankings."
        )


def _ids(connection: Connection, table: Table) -> set[str]:
    return set(connection.scalars(select(table.c.id)))

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
        for group in groups(store, revised=True, retracted=True):
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
    """Compare each item's counters with its tasks and imported rankings, and each task with its rankings."""
    items, tasks, rankings, projects = schema.items, schema.tasks, schema.rankings, schema.projects
    retracted = rankings.c.submission.in_(select(schema.retractions.c.submission))
    of_item = (tasks.c.item == items.c.number) & (tasks.c.purpose == "")
    counts = {
        "leased": select(func.count()).select_from(tasks).where(of_item, tasks.c.state == schema.OPEN),
        "counted": select(func.count()).select_from(tasks).where(of_item, tasks.c.counted == 1),
        "skipped_by": select(func.count()).select_from(tasks).where(of_item, tasks.c.state == schema.SKIPPED),
        "imported": select(func.count()).where(
            rankings.c.item == items.c.number,
            rankings.c.task.is_(None),
            rankings.c.revises.is_(None),
            rankings.c.purpose == "",
            ~retracted,
        ),
    }
    open_, counted, skipped, imported = (count.scalar_subquery() for count in counts.values())
    query = select(items, open_.label("open_tasks"), (counted + imported).label("rankings"), skipped.label("skips"))
    drifted = (items.c.leased != open_) | (items.c.done != counted + imported) | (items.c.skipped != skipped)
    for row in connection.execute(query.where(drifted)):
        yield (
            f"items: the prompt {row.prompt_id} is counted as leased {row.leased}, done {row.done} and skipped "
            f"{row.skipped} times, but has {row.open_tasks} open tasks, {row.rankings} rankings that count and "
            f"{row.skips} skips."
        )
    is_queued = items.c.place.is_not(None)
    lost = select(items.c.prompt_id).join(projects, projects.c.id == items.c.project, isouter=True)
    misplaced = (is_queued != (items.c.state == schema.READY)) | is_queued & (items.c.place >= projects.c.next_place)
    for row in connection.execute(lost.where(misplaced | projects.c.id.is_(None))):
        yield f"items: the prompt {row.prompt_id} has no place in its project's queue, or one it should not have."
    newest = rankings.c.submission.not_in(select(rankings.c.revises).where(rankings.c.revises.is_not(None)))
    current = select(rankings.c.task, rankings.c.outcome, retracted.label("retracted")).where(newest).subquery()
    task_rows = (
        select(tasks.c.token, tasks.c.state, tasks.c.counted, tasks.c.purpose, current.c.outcome, current.c.retracted)
        .join(current, current.c.task == tasks.c.token, isouter=True)
        .where(tasks.c.state.in_((schema.DONE, schema.SKIPPED, schema.RETRACTED)) | current.c.outcome.is_not(None))
    )
    for row in connection.execute(task_rows):
        said = schema.SKIPPED if row.outcome == "skipped" else schema.DONE
        expected = None if row.outcome is None else schema.RETRACTED if row.retracted else said
        if row.state != expected or (row.counted and (row.state != schema.DONE or row.purpose)):
            yield f"tasks: {row.token} is {row.state} and counted {row.counted} times, but its rankings say {expected}."


def _ids(connection: Connection, table: Table) -> set[str]:
    return set(connection.scalars(select(table.c.id)))

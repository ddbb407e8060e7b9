"""A store into another one: to the other back end, into a backup, and back out of it.

What is copied is one moment of the store, whoever writes meanwhile; it is there whole and proven, or not at all.
"""

import errno
import os
import sqlite3
import tempfile
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from psycopg import sql
from sqlalchemy import Connection, Row, Table, delete, func, insert, select

from label_data.database import schema
from label_data.database.engine import Store, open_store, reading, shown, writing
from label_data.errors import InputError
from label_data.files.full_disk import is_full
from label_data.files.whole import flush
from label_data.formats.groups import export_digest
from label_data.store.stored_groups import all_groups_in

ROWS_AT_ONCE = 1_000
STAYS = {schema.workers}
"""What belongs to the processes of one store and is no part of what it keeps."""
SHOWS_USE = (schema.prompts, schema.annotators, schema.project_revisions, schema.jobs)
"""A store in which all of these are empty was never used: whatever else there is refers to them."""


@dataclass(frozen=True, slots=True)
class CopySummary:
    """What a copy holds."""

    rows: dict[str, int]
    """Table -> rows."""
    sha256: str
    """Of all that it exports, as `export --format groups --out FILE.jsonl` writes it; the original's is the same."""


def copy_store(
    source: Store, target: Store, on_progress: Callable[[str, int], object] = lambda table, rows: None
) -> CopySummary:
    """Copy all of one moment of the source into a target that is new, in one transaction, and prove it.

    `on_progress` gets a table's name and how many rows more of it are there. Raises InputError if the target was used,
    and RuntimeError, with the target left new, if the copy does not export what the source does.
    """
    with reading(source) as old, writing(target) as new:
        _check_new(new, target)
        rows = {
            table.name: _copy_table(old, new, table, on_progress)
            for table in schema.metadata.sorted_tables
            if table not in STAYS
        }
        if new.dialect.name == "postgresql":
            new.exec_driver_sql("ANALYZE")  # else it reads whole tables for a page of prompts, until it looks by itself
        expected, found = (export_digest(all_groups_in(connection, revised=True)) for connection in (old, new))
        if found != expected:
            raise RuntimeError(f"The copy exports {found}, the original {expected}; the copy was not kept.")
    return CopySummary(rows, found)


def _check_new(connection: Connection, target: Store) -> None:
    used = [table.name for table in SHOWS_USE if connection.execute(select(table).limit(1)).first()]
    if used:
        raise InputError(
            f"{shown(target.url)}: this store is in use (it has {' and '.join(used)}) and is left as it is. "
            "Name a new one, or move this one away first."
        )


def _copy_table(old: Connection, new: Connection, table: Table, on_progress: Callable[[str, int], object]) -> int:
    if new.execute(select(table).limit(1)).first():  # what migrations put there: the source has its own
        new.execute(delete(table))
    key = table.primary_key.columns
    rows = 0
    with old.execution_options(yield_per=ROWS_AT_ONCE).execute(select(table).order_by(*key)) as found:
        for some in found.partitions():
            _add_rows(new, table, some)
            rows += len(some)
            on_progress(table.name, len(some))
    number = table.columns.get("number")
    if rows and number is not None and new.dialect.name == "postgresql":  # else it would count from 1 again
        last = select(func.max(number)).scalar_subquery()
        new.execute(select(func.setval(func.pg_get_serial_sequence(table.name, "number"), last)))
    return rows


def _add_rows(new: Connection, table: Table, rows: Sequence[Row[Any]]) -> None:
    if new.dialect.name != "postgresql":
        new.execute(insert(table), [dict(row._mapping) for row in rows])
        return
    # The rows of a large store by COPY, which takes a third of the time of as many INSERTs.
    columns = sql.SQL(", ").join(sql.Identifier(column.name) for column in table.columns)
    into = sql.SQL("COPY {} ({}) FROM STDIN").format(sql.Identifier(table.name), columns)
    driver = new.connection.driver_connection
    with driver.cursor() as cursor, cursor.copy(into) as copy:
        for row in rows:
            copy.write_row(row)


def back_up(
    store: Store, file: Path, on_progress: Callable[[str, int], object] = lambda table, rows: None
) -> CopySummary:
    """Copy the store, while it is used, into a SQLite file that is there whole or not at all."""
    if file.exists():
        raise InputError(f"{file} exists already and is left as it is. Name another file, or remove it first.")
    try:
        with tempfile.TemporaryDirectory(prefix=f".{file.name}-", dir=file.parent) as folder:
            made = Path(folder, file.name)
            target = open_store(made)
            try:
                copied = copy_store(store, target, on_progress)
            finally:
                target.dispose()  # the last connection writes everything into the one file
            if made.with_name(f"{made.name}-wal").exists():  # closing it says nothing when the disk is full
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            flush(made)
            os.link(made, file)  # unlike a rename it replaces nothing
            flush(file.parent)
    except OSError as error:
        raise InputError(f"{file}: the backup can't be written ({error.strerror}). Name another place.") from None
    return copied


def restore(
    file: Path, target: Store, on_progress: Callable[[str, int], object] = lambda table, rows: None
) -> CopySummary:
    """Copy a backup into a store that is new; the file is only read, also if an earlier version wrote it."""
    if not file.is_file():
        raise InputError(f"{file}: there is no such file. Name one that backup wrote.")
    with tempfile.TemporaryDirectory() as folder:
        opened = Path(folder, "backup.db")
        try:
            with (
                closing(sqlite3.connect(f"{file.resolve().as_uri()}?mode=ro", uri=True)) as kept,
                closing(sqlite3.connect(opened)) as copy,
            ):
                kept.backup(copy)
        except sqlite3.DatabaseError as error:
            if is_full(error):
                raise InputError(
                    f"{file}: there is no room to read it: the disk took no more in {folder}. "
                    "Free some space there, or set TMPDIR to a folder that has it."
                ) from None
            raise InputError(f"{file}: this is no backup that can be read ({error}). Name another file.") from None
        source = open_store(opened, create=False)
        try:
            return copy_store(source, target, on_progress)
        finally:
            source.dispose()

"""Copy a store to another back end, into a backup, or out of a backup.

A copy is a consistent snapshot, even while others write. It is complete and verified, or there is none.
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
from sqlalchemy import Connection, Table, delete, func, insert, select

from label_data.database import schema
from label_data.database.engine import AnyRow, Store, displayed_address, open_store, reading, writing
from label_data.errors import InputError
from label_data.files.full_disk import is_full
from label_data.files.whole import flush
from label_data.formats.groups import export_digest
from label_data.store.stored_groups import all_groups_in

ROWS_AT_ONCE = 1_000
NOT_COPIED = {schema.workers}
"""Tables about the running processes of a store, which are not part of its data."""
SHOWS_USE = (schema.prompts, schema.annotators, schema.project_revisions, schema.jobs)
"""A store is new if all of these are empty: rows of other tables refer to them."""


@dataclass(frozen=True, slots=True)
class CopySummary:
    """The contents of a copy."""

    rows: dict[str, int]
    """Table -> number of rows."""
    sha256: str
    """Hash of everything that `export --format groups --out FILE.jsonl` writes; the original has the same."""


def copy_store(
    source: Store, target: Store, on_progress: Callable[[str, int], object] = lambda table, rows: None
) -> CopySummary:
    """Copy a consistent snapshot of the source into a new target, in one transaction, and verify it.

    `on_progress` is called with a table's name and the number of further rows copied. Raises InputError if the target
    is in use, and RuntimeError, leaving the target new, if the copy does not export the same as the source.
    """
    with reading(source) as old, writing(target) as new:
        _check_new(new, target)
        rows = {
            table.name: _copy_table(old, new, table, on_progress)
            for table in schema.metadata.sorted_tables
            if table not in NOT_COPIED
        }
        if new.dialect.name == "postgresql":
            new.exec_driver_sql(
                "ANALYZE"
            )  # otherwise it scans whole tables for a page of prompts until it analyses by itself
        expected = export_digest(all_groups_in(old, revised=True))
        digest = export_digest(all_groups_in(new, revised=True))
        if digest != expected:
            raise RuntimeError(f"The export of the copy has hash {digest}, of the original {expected}; copy discarded.")
    return CopySummary(rows, digest)


def _check_new(connection: Connection, target: Store) -> None:
    used = [table.name for table in SHOWS_USE if connection.execute(select(table).limit(1)).first()]
    if used:
        address = displayed_address(target.url)
        raise InputError("label_data.oversight.store_in_use", address=address, tables=", ".join(used))


def _copy_table(old: Connection, new: Connection, table: Table, on_progress: Callable[[str, int], object]) -> int:
    if new.execute(select(table).limit(1)).first():  # rows that migrations inserted; the source has its own
        new.execute(delete(table))
    key = table.primary_key.columns
    rows = 0
    with old.execution_options(yield_per=ROWS_AT_ONCE).execute(select(table).order_by(*key)) as result:
        for batch in result.partitions():
            _add_rows(new, table, batch)
            rows += len(batch)
            on_progress(table.name, len(batch))
    number = table.columns.get("number")
    if rows and number is not None and new.dialect.name == "postgresql":  # otherwise numbers would start from 1 again
        last = select(func.max(number)).scalar_subquery()
        new.execute(select(func.setval(func.pg_get_serial_sequence(table.name, "number"), last)))
    return rows


def _add_rows(new: Connection, table: Table, rows: Sequence[AnyRow]) -> None:
    if new.dialect.name != "postgresql":
        new.execute(insert(table), [dict(row._mapping) for row in rows])
        return
    # COPY takes a third of the time of INSERT statements.
    columns = sql.SQL(", ").join(sql.Identifier(column.name) for column in table.columns)
    into = sql.SQL("COPY {} ({}) FROM STDIN").format(sql.Identifier(table.name), columns)
    driver: Any = new.connection.driver_connection  # untyped in SQLAlchemy
    with driver.cursor() as cursor, cursor.copy(into) as copy:
        for row in rows:
            copy.write_row(row)


def back_up(
    store: Store, file: Path, on_progress: Callable[[str, int], object] = lambda table, rows: None
) -> CopySummary:
    """Copy the store, while it is in use, into a new SQLite file. The file is complete, or there is none."""
    if file.exists():
        raise InputError("label_data.oversight.file_exists", file=str(file))
    try:
        with tempfile.TemporaryDirectory(prefix=f".{file.name}-", dir=file.parent) as folder:
            unfinished = Path(folder, file.name)
            target = open_store(unfinished)
            try:
                copied = copy_store(store, target, on_progress)
            finally:
                target.dispose()  # closing the last connection writes everything into the file
            if unfinished.with_name(f"{unfinished.name}-wal").exists():  # closing gives no error if the disk is full
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            flush(unfinished)
            os.link(unfinished, file)  # unlike a rename, this never replaces a file
            flush(file.parent)
    except OSError as error:
        raise InputError("label_data.oversight.no_backup", file=str(file), problem=error.strerror) from None
    return copied


def restore(
    file: Path, target: Store, on_progress: Callable[[str, int], object] = lambda table, rows: None
) -> CopySummary:
    """Copy a backup into a new store. The file is only read, even if an earlier version wrote it."""
    if not file.is_file():
        raise InputError("label_data.oversight.no_file", file=str(file))
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
                raise InputError("label_data.oversight.no_room", file=str(file), folder=folder) from None
            raise InputError("label_data.oversight.not_a_backup", file=str(file), problem=str(error)) from None
        source = open_store(opened, create=False)
        try:
            return copy_store(source, target, on_progress)
        finally:
            source.dispose()

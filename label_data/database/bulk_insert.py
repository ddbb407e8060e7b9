"""Insert many rows into a table with one statement."""

from collections.abc import Mapping, Sequence
from functools import cache
from itertools import chain
from typing import Any

from sqlalchemy import Connection, Table

ROWS_AT_ONCE = (1_000, 40, 1)
"""Rows per statement, largest first. There are few sizes because SQLite's driver caches a hundred prepared statements.

1,000 rows of the widest table have 23,000 values; the limit of SQLite is 32,766 and that of PostgreSQL 65,535.
"""


def insert_rows(connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]], **same: Any) -> None:
    """Insert the rows in order. All rows have the same columns in the same order; `same` holds values common to all.

    SQLAlchemy's own bulk insert takes three times as long because it processes each value. A statement of many rows
    also lets other Python threads run while the database works; a statement per row waits for them after each row.
    """
    done = 0
    for size in ROWS_AT_ONCE:
        while len(rows) - done >= size:
            batch = rows[done : done + size]
            values = tuple(chain.from_iterable([(*row.values(), *same.values()) for row in batch]))
            connection.exec_driver_sql(_statement(connection.dialect.name, table, (*batch[0], *same), size), values)
            done += size


@cache
def _statement(dialect: str, table: Table, columns: tuple[str, ...], rows: int) -> str:
    names = ", ".join(f'"{column}"' for column in columns)
    mark = "?" if dialect == "sqlite" else "%s"
    row = f"({', '.join([mark] * len(columns))})"
    return f"INSERT INTO {table.name} ({names}) VALUES {', '.join([row] * rows)}"

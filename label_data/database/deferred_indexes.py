"""Drop some indexes during a large import and create them once at its end."""

from sqlalchemy import Connection, Index, func, select

from label_data.database import schema
from label_data.database.engine import large_cache

FEWEST_PROMPTS = 20_000
"""Prompts that an import must have added before dropping the indexes saves time."""
SORTING_KIB = 16_000
"""Memory for sorting an index in SQLite, in KiB, in addition to the pages already cached."""
_BY_PROMPT = tuple(
    index
    for table in (schema.completions, schema.rankings, schema.demonstrations)
    for index in sorted(table.indexes, key=lambda index: str(index.name))
    if index.columns.keys() == ["prompt_id"] and not index.unique
)
_LAST_PROMPT = select(func.max(schema.prompts.c.number))


class DeferredIndexes:
    """The indexes by prompt, which are dropped once an import turns out to be large and created at its end.

    Prompt ids are hashes and so are spread over the whole index: for every row SQLite has to find, and mostly read and
    write, another page. Creating an index at once needs only a sort. No other indexes can be dropped, because they keep
    ids unique. Dropping pays once an import adds more prompts than the store had, since the sort then mostly covers new
    rows. Everything happens in the import's transaction, so an error leaves the indexes as they were. PostgreSQL keeps
    its indexes, because dropping one blocks all readers.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._missing = max(FEWEST_PROMPTS, connection.scalar(_LAST_PROMPT) or 0)
        """Number of prompts still to be added before dropping the indexes pays."""
        self._may_drop = connection.dialect.name == "sqlite"
        self._dropped: list[str] = []
        """The statements that create the dropped indexes, as the file had them."""

    def grow(self, prompts: int) -> None:
        """Count prompts that were added, and drop the indexes once that pays. They are dropped at most once."""
        self._missing -= prompts
        if self._may_drop and self._missing <= 0:
            self._may_drop = False
            self._dropped = [_drop(self._connection, index) for index in _BY_PROMPT]

    def create(self) -> None:
        """Create the dropped indexes again; they are not dropped a second time."""
        statements, self._dropped = self._dropped, []
        if statements:
            with large_cache(self._connection, SORTING_KIB):
                for statement in statements:
                    self._connection.exec_driver_sql(statement)


def _drop(connection: Connection, index: Index) -> str:
    """Drop the index and return the statement that creates it."""
    query = "SELECT sql FROM sqlite_master WHERE type = 'index' AND name = ?"
    statement: str = connection.exec_driver_sql(query, (index.name,)).scalar_one()
    connection.exec_driver_sql(f"DROP INDEX {index.name}")
    return statement

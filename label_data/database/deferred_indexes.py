"""Indexes that are made after many rows, once, instead of growing with each."""

from sqlalchemy import Connection, Index, func, select

from label_data.database import schema
from label_data.database.engine import large_cache

FEWEST_PROMPTS = 20_000
"""That an import must have added: before, there is nothing to be gained."""
SORTING_KIB = 16_000
"""What SQLite may keep in memory of an index that it sorts, beside the pages that it has kept already."""
_BY_PROMPT = tuple(
    index
    for table in (schema.completions, schema.rankings, schema.demonstrations)
    for index in sorted(table.indexes, key=lambda index: str(index.name))
    if index.columns.keys() == ["prompt_id"] and not index.unique
)
_LAST_PROMPT = select(func.max(schema.prompts.c.number))


class DeferredIndexes:
    """The indexes by prompt, left out from when an import turns out to be a large one until it is over.

    Prompts are named by hashes, which fall anywhere in an index: SQLite has to find, and mostly to read and write, a
    page of it for every row, whereas it makes a whole index by sorting. These are the only such ones that an import
    can do without: the others keep ids unique. An import that adds more than the store held sorts for the most part
    what it added itself. All of it happens in the transaction, so that whatever ends that leaves the indexes as they
    were. PostgreSQL keeps its indexes: it would let nobody read meanwhile.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._missing = max(FEWEST_PROMPTS, connection.scalar(_LAST_PROMPT) or 0)
        """Prompts that are still to be added before it pays."""
        self._may_leave_out = connection.dialect.name == "sqlite"
        self._left_out: list[str] = []
        """The statements that make them, as the file had them."""

    def grow(self, prompts: int) -> None:
        """Hear that so many prompts were added; once it pays, drop the indexes, but never a second time."""
        self._missing -= prompts
        if self._may_leave_out and self._missing <= 0:
            self._may_leave_out = False
            self._left_out = [_dropped(self._connection, index) for index in _BY_PROMPT]

    def make(self) -> None:
        """Make those that were left out again; none of them is left out any more."""
        left_out, self._left_out = self._left_out, []
        if left_out:
            with large_cache(self._connection, SORTING_KIB):
                for statement in left_out:
                    self._connection.exec_driver_sql(statement)


def _dropped(connection: Connection, index: Index) -> str:
    query = "SELECT sql FROM sqlite_master WHERE type = 'index' AND name = ?"
    statement = connection.exec_driver_sql(query, (index.name,)).scalar_one()
    connection.exec_driver_sql(f"DROP INDEX {index.name}")
    return statement

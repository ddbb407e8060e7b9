"""A database clock that a test controls: the function for the time is replaced on each connection."""

from typing import Any

from sqlalchemy import Connection, event

from label_data.database.engine import Store, writing

DAY = 86_400.0
EPOCH = 2_440_587.5
"""Julian day of 1 January 1970."""
ON_POSTGRESQL = (
    "CREATE SCHEMA IF NOT EXISTS moving",
    "CREATE OR REPLACE FUNCTION moving.clock_timestamp() RETURNS timestamptz LANGUAGE sql STABLE AS "
    "$$ SELECT to_timestamp(current_setting('moving.clock')::float8) $$",
)
"""A function that precedes PostgreSQL's own of the same name in the search path."""


class Clock:
    """Seconds since 1970, which pass only when a test says so. No code of the program is replaced."""

    def __init__(self, store: Store) -> None:
        self.seconds = 1_800_000_000.0
        if store.dialect.name == "postgresql":
            with writing(store) as connection:
                for statement in ON_POSTGRESQL:
                    connection.exec_driver_sql(statement)
            event.listen(store, "begin", self._send_time)
        else:
            event.listen(store, "connect", self._replace_clock)
        store.dispose()  # connections already open have the real clock

    def _replace_clock(self, connection: Any, _record: Any) -> None:
        connection.execute("PRAGMA synchronous=OFF")  # no test here cuts the power
        connection.create_function("julianday", 1, lambda _now: self.seconds / DAY + EPOCH)

    def _send_time(self, connection: Connection) -> None:
        connection.exec_driver_sql("SET LOCAL search_path = moving, public, pg_catalog")
        connection.exec_driver_sql(f"SET LOCAL moving.clock = '{self.seconds}'")

    def pass_by(self, seconds: float) -> None:
        """Move the clock forward by `seconds`, or back if negative."""
        self.seconds += seconds

"""The database's clock in the hands of a test: its function for the time is replaced, connection by connection."""

from typing import Any

from sqlalchemy import Connection, event

from label_data.database.engine import Store, writing

DAY = 86_400.0
EPOCH = 2_440_587.5
"""Julian day of the first of January 1970."""
ON_POSTGRESQL = (
    "CREATE SCHEMA IF NOT EXISTS moving",
    "CREATE OR REPLACE FUNCTION moving.clock_timestamp() RETURNS timestamptz LANGUAGE sql STABLE AS "
    "$$ SELECT to_timestamp(current_setting('moving.clock')::float8) $$",
)
"""Found before the function of that name which PostgreSQL has, where the path says so."""


class Clock:
    """Seconds since 1970 that go by only when a test says so. Nothing of the program's own code is replaced."""

    def __init__(self, store: Store) -> None:
        self.seconds = 1_800_000_000.0
        if store.dialect.name == "postgresql":
            with writing(store) as connection:
                for statement in ON_POSTGRESQL:
                    connection.exec_driver_sql(statement)
            event.listen(store, "begin", self._tell)
        else:
            event.listen(store, "connect", self._set)
        store.dispose()  # connections that are open already have the real clock

    def _set(self, connection: Any, _record: Any) -> None:
        connection.execute("PRAGMA synchronous=OFF")  # no test here cuts the power
        connection.create_function("julianday", 1, lambda _now: self.seconds / DAY + EPOCH)

    def _tell(self, connection: Connection) -> None:
        connection.exec_driver_sql("SET LOCAL search_path = moving, public, pg_catalog")
        connection.exec_driver_sql(f"SET LOCAL moving.clock = '{self.seconds}'")

    def pass_by(self, seconds: float) -> None:
        """Let so much time pass; less than nothing puts the clock back."""
        self.seconds += seconds

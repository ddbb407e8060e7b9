"""The database's clock in the hands of a test: SQLite's function for the time is replaced, connection by connection."""

from typing import Any

from sqlalchemy import event

from label_data.database import Store

DAY = 86_400.0
EPOCH = 2_440_587.5
"""Julian day of the first of January 1970."""


class Clock:
    """Seconds since 1970 that go by only when a test says so. Nothing of the program's own code is replaced."""

    def __init__(self, store: Store) -> None:
        self.seconds = 1_800_000_000.0
        event.listen(store, "connect", self._set)
        store.dispose()  # connections that are open already have the real clock

    def _set(self, connection: Any, _record: Any) -> None:
        connection.execute("PRAGMA synchronous=OFF")  # no test here cuts the power
        connection.create_function("julianday", 1, lambda _now: self.seconds / DAY + EPOCH)

    def pass_by(self, seconds: float) -> None:
        """Let so much time pass; less than nothing puts the clock back."""
        self.seconds += seconds

"""The queue that wakes workers. A message only says that the jobs table may hold something to do.

With a SQLite store the queue is a file in the data folder. With PostgreSQL it is tables in the same database, so that
workers on other machines wake too.
"""

import json
from collections.abc import Callable
from datetime import datetime
from functools import lru_cache
from pathlib import Path

import psycopg
from huey import Huey, PostgresHuey, SqliteHuey, crontab
from huey.api import TaskWrapper
from huey.registry import Message
from huey.serializer import Serializer

from label_data.data_folder import data_folder, default_store
from label_data.database.engine import postgresql_address

QUEUE = "workbench"
MESSAGE_MODULE = "workbench.jobs"
"""The module name in messages. It is fixed, so that a worker understands messages queued by another version."""


class JsonSerializer(Serializer):  # type: ignore[misc]  # huey has no types
    """Serialises huey's messages as JSON. Unlike pickle, a queue that was tampered with can't execute code."""

    TIMES = ("eta", "expires_resolved")
    """Fields that hold a datetime or None."""

    def _serialize(self, data: Message) -> bytes:
        times = {name: getattr(data, name) and getattr(data, name).isoformat() for name in self.TIMES}
        return json.dumps(data._asdict() | times).encode()

    def _deserialize(self, data: bytes) -> Message:
        values = json.loads(bytes(data))
        times = {name: values[name] and datetime.fromisoformat(values[name]) for name in self.TIMES}
        return Message(**values | times | {"args": tuple(values["args"])})


def worker_queue(work: Callable[[bool], None]) -> Huey:
    """Return the queue that a worker consumes: every message calls `work`, every ten minutes with True.

    The argument says whether to retry sampling that failed.
    """

    def look() -> None:
        work(False)

    def look_again() -> None:
        work(True)

    for task in (look, look_again):
        task.__module__ = MESSAGE_MODULE
    queue = _open_queue(data_folder().resolve(), default_store())
    # A look expires if a job keeps the worker busy until the next look is due.
    queue.periodic_task(crontab(), name="look", expires=50)(look)
    queue.periodic_task(crontab(minute="*/10"), name="look_again", expires=50)(look_again)
    queue.task(name="wake")(look)
    return queue


def wake() -> None:
    """Wake an idle worker: there may be something to do."""
    enqueue = _waker(data_folder().resolve(), default_store())
    try:
        enqueue()
    except psycopg.OperationalError:  # the server was restarted; huey connects again at the second attempt
        enqueue()


@lru_cache(maxsize=1)
def _waker(folder: Path, address: str) -> TaskWrapper:
    """Return the task that queues a wake message. It never runs here: a worker has its own queue object."""

    def wake_message() -> None: ...

    wake_message.__module__ = MESSAGE_MODULE
    return _open_queue(folder, address).task(name="wake")(wake_message)


def _open_queue(folder: Path, address: str) -> Huey:
    database = postgresql_address(address)
    return _postgres_queue(database) if database else _sqlite_queue(folder)


def _sqlite_queue(folder: Path) -> Huey:
    folder.mkdir(parents=True, exist_ok=True)
    return SqliteHuey(QUEUE, filename=str(folder / "queue.db"), serializer=JsonSerializer(), results=False)


def _postgres_queue(database: str) -> Huey:
    with psycopg.connect(database) as connection:
        # Two processes that create the tables at the same time would fail.
        connection.execute("SELECT pg_advisory_xact_lock(hashtext('workbench queue'))")
        return PostgresHuey(QUEUE, dsn=database, serializer=JsonSerializer(), results=False)


def worker_lock() -> Path:
    """Return the file that a worker locks while it lives, and in which it writes its id."""
    return data_folder() / "worker.lock"

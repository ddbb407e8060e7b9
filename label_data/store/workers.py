"""Workers: the processes that run jobs, on one or several machines.

A worker reports to the store every few seconds, by the database's clock. A worker that has not reported for a while is
gone, and its jobs are queued again. If it was only suspended, it notices when it next reports progress
(`jobs.JobLost`).
"""

import secrets
from dataclasses import dataclass

from sqlalchemy import delete, insert, select, update

from label_data.database import schema
from label_data.database.engine import Store, reading, writing
from label_data.store.jobs import QUEUED, REQUEUED, RUNNING

SEEN_EVERY = 5.0
"""Seconds between two reports of a worker."""
GONE_AFTER = 30.0
"""Seconds without a report after which a worker is gone."""
_workers, _jobs = schema.workers, schema.jobs
_lives = _workers.c.seen_us > schema.now_us() - int(GONE_AFTER * 1_000_000)
_is_living = _jobs.c.worker.in_(select(_workers.c.id).where(_lives))
_ORPHANS = select(_jobs.c.id).where(_jobs.c.state == RUNNING, _jobs.c.worker.is_(None) | ~_is_living)
_LIVING = select(_workers.c.id, _workers.c.place).where(_lives).order_by(_workers.c.started_us)


@dataclass(frozen=True, slots=True)
class Worker:
    """A worker process."""

    id: str
    place: str
    """The machine and the data folder, for people to read."""


def living_workers(store: Store) -> list[Worker]:
    """Return the living workers, oldest first."""
    with reading(store) as connection:
        return [Worker(*row) for row in connection.execute(_LIVING)]


def register_worker(store: Store, place: str, instead_of: str = "") -> str:
    """Register a worker that starts and return its id. `instead_of` is the id of a worker known to be gone."""
    worker = secrets.token_hex(16)
    with writing(store) as connection:
        connection.execute(delete(_workers).where(_workers.c.id == instead_of))
        connection.execute(insert(_workers).values(id=worker, place=place, **_now()))
    return worker


def report_alive(store: Store, worker: str, place: str) -> None:
    """Record that the worker is alive."""
    with writing(store) as connection:
        report = update(_workers).where(_workers.c.id == worker).values(seen_us=schema.now_us())
        if not connection.execute(report).rowcount:  # another worker took it for gone
            connection.execute(insert(_workers).values(id=worker, place=place, **_now()))


def unregister_worker(store: Store, worker: str) -> None:
    """Remove a worker that ends."""
    with writing(store) as connection:
        connection.execute(delete(_workers).where(_workers.c.id == worker))


def _now() -> dict[str, schema.now_us]:
    return {"started_us": schema.now_us(), "seen_us": schema.now_us()}


def requeue_orphans(store: Store) -> int:
    """Queue the jobs of workers that are gone again, remove those workers, and return the number of jobs."""
    with reading(store) as connection:
        if not connection.execute(_ORPHANS).first():
            return 0
    with writing(store) as connection:
        orphans = connection.scalars(_ORPHANS).all()
        requeue = update(_jobs).where(_jobs.c.id.in_(orphans)).values(state=QUEUED, message=REQUEUED, worker=None)
        connection.execute(requeue)
        connection.execute(delete(_workers).where(~_lives))
    return len(orphans)

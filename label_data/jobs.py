"""Jobs: what the worker was asked to do, how far it is, and how it ended. The queue that wakes the worker is elsewhere.

A job is queued, running, done, failed or stopped. One that was running when its worker died is queued again.
"""

import json
import secrets
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, insert, select, update

from label_data import schema
from label_data.database import Store, reading, writing
from label_data.records import canonical

QUEUED, RUNNING, DONE, FAILED, STOPPED = "queued", "running", "done", "failed", "stopped"


class JobStopped(Exception):
    """Somebody asked the job to stop; raised where it reports its progress."""


@dataclass(frozen=True, slots=True)
class Job:
    """One piece of background work."""

    id: str
    kind: str
    arguments: dict[str, Any]
    state: str
    done: int
    total: int
    """Steps in all; 0 while that is unknown."""
    message: str
    """What it does now, or the sentence that it ended with."""
    result: Any
    stop_asked: bool
    seconds: float
    """Since it was started, or how long it ran; 0 while it is queued."""

    @property
    def ended(self) -> bool:
        """Is nothing more to come of it?"""
        return self.state in (DONE, FAILED, STOPPED)


def add_job(store: Store, kind: str, arguments: dict[str, Any] | None = None) -> str:
    """Keep a queued job and return its id."""
    job = secrets.token_hex(16)
    with writing(store) as connection:
        connection.execute(
            insert(schema.jobs).values(
                id=job,
                kind=kind,
                arguments=canonical(arguments or {}),
                state=QUEUED,
                done=0,
                total=0,
                message="Waiting for the worker.",
                result="null",
                stop_asked=0,
                added_us=schema.now_us(),
            )
        )
    return job


def job_with_id(store: Store, job: str) -> Job | None:
    """Return the job, or None."""
    return _first(store, schema.jobs.c.id == job)


def latest_job(store: Store, kind: str) -> Job | None:
    """Return the newest job of the kind, or None."""
    return _first(store, schema.jobs.c.kind == kind)


def _first(store: Store, condition: Any) -> Job | None:
    query = select(schema.jobs, schema.now_us().label("now_us")).where(condition)
    with reading(store) as connection:
        row = connection.execute(query.order_by(schema.jobs.c.number.desc()).limit(1)).first()
    return _job(row) if row else None


def unfinished_jobs(store: Store) -> list[Job]:
    """Return the jobs that are queued or running, oldest first."""
    query = select(schema.jobs, schema.now_us().label("now_us")).where(schema.jobs.c.state.in_((QUEUED, RUNNING)))
    with reading(store) as connection:
        return [_job(row) for row in connection.execute(query.order_by(schema.jobs.c.number))]


def start_job(store: Store, job: str) -> Job | None:
    """Mark the job running and return it; None if it has ended already, or was asked to stop before it began."""
    found = job_with_id(store, job)
    if found is None or found.ended:
        return None
    if found.stop_asked:
        end_job(store, job, STOPPED, "Stopped before it began.")
        return None
    _change(store, job, state=RUNNING, started_us=schema.now_us(), message="Started.")
    return job_with_id(store, job)


def report_progress(store: Store, job: str, done: int, total: int, message: str) -> None:
    """Keep how far the job is; raise JobStopped if somebody asked it to stop."""
    with writing(store) as connection:
        mine = schema.jobs.c.id == job
        connection.execute(update(schema.jobs).where(mine).values(done=done, total=total, message=message))
        stop_asked = connection.scalar(select(schema.jobs.c.stop_asked).where(mine))
    if stop_asked:
        raise JobStopped


def end_job(store: Store, job: str, state: str, message: str, result: Any = None) -> None:
    """Keep how the job ended: its state, one sentence, and its result as JSON values."""
    _change(store, job, state=state, message=message, result=canonical(result), finished_us=schema.now_us())


def ask_to_stop(store: Store, job: str) -> None:
    """Ask the job to stop where it next reports progress."""
    _change(store, job, stop_asked=1)


def requeue_job(store: Store, job: str) -> None:
    """Mark a job queued again, because the worker that ran it is gone."""
    _change(store, job, state=QUEUED, message="Queued again: the worker was restarted.")


def _change(store: Store, job: str, **values: Any) -> None:
    with writing(store) as connection:
        connection.execute(update(schema.jobs).where(schema.jobs.c.id == job).values(**values))


def _job(row: Row[Any]) -> Job:
    until = row.finished_us or row.now_us
    return Job(
        id=row.id,
        kind=row.kind,
        arguments=json.loads(row.arguments),
        state=row.state,
        done=row.done,
        total=row.total,
        message=row.message,
        result=json.loads(row.result),
        stop_asked=bool(row.stop_asked),
        seconds=(until - row.started_us) / 1e6 if row.started_us else 0.0,
    )

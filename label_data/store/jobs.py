"""Jobs: what the worker was asked to do, how far it is, and how it ended. The queue that wakes the worker is elsewhere.

A job is queued, running, done, failed or stopped. Of several workers that want to start it one does; from then on it is
that worker's, until `label_data.store.workers` finds the worker gone and queues the job again.
"""

import json
import secrets
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, insert, select, update

from label_data.canonical import canonical
from label_data.database import schema
from label_data.database.engine import Store, reading, writing

QUEUED, RUNNING, DONE, FAILED, STOPPED = "queued", "running", "done", "failed", "stopped"
REQUEUED = "Queued again: the worker was restarted."


class JobStopped(Exception):
    """Somebody asked the job to stop; raised where it reports its progress."""


class JobLost(Exception):
    """The job is another worker's by now: this one was taken for gone. What it does for the job is to be dropped."""


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
    project: str = ""
    """Whose prompts it samples or whose rankings it trains on; empty if it is no project's."""
    worker: str | None = None
    """Who runs or ran it, by its id of `label_data.store.workers`."""

    @property
    def ended(self) -> bool:
        """Is nothing more to come of it?"""
        return self.state in (DONE, FAILED, STOPPED)


def add_job(store: Store, kind: str, arguments: dict[str, Any] | None = None, project: str = "") -> str:
    """Keep a queued job and return its id."""
    with writing(store) as connection:
        return _add(connection, kind, arguments or {}, project)


def add_job_after(
    store: Store, newest: str | None, kind: str, arguments: dict[str, Any], project: str = ""
) -> str | None:
    """Keep a queued job if `newest` still is the newest of its kind and project, None for none; else return None.

    Of several processes that found the same one and want the next, one adds it.
    """
    jobs = schema.jobs
    same = (jobs.c.kind == kind) & (jobs.c.project == project)
    query = select(jobs.c.id).where(same).order_by(jobs.c.number.desc()).limit(1)
    with writing(store) as connection:
        return _add(connection, kind, arguments, project) if connection.scalar(query) == newest else None


def _add(connection: Connection, kind: str, arguments: dict[str, Any], project: str) -> str:
    job = secrets.token_hex(16)
    connection.execute(
        insert(schema.jobs).values(
            id=job,
            kind=kind,
            arguments=canonical(arguments),
            project=project,
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


def latest_job(store: Store, kind: str, project: str | None = None) -> Job | None:
    """Return the newest job of the kind, for the project if one is named, or None."""
    same = schema.jobs.c.kind == kind
    return _first(store, same if project is None else same & (schema.jobs.c.project == project))


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


def newest_jobs(store: Store, limit: int, project: str | None = None) -> list[Job]:
    """Return the newest jobs, those of no project among them, newest first."""
    jobs = schema.jobs
    query = select(jobs, schema.now_us().label("now_us")).order_by(jobs.c.number.desc()).limit(limit)
    if project is not None:
        query = query.where(jobs.c.project.in_((project, "")))
    with reading(store) as connection:
        return [_job(row) for row in connection.execute(query)]


def start_job(store: Store, job: str, worker: str | None = None) -> Job | None:
    """Make the queued job this worker's and return it; None if it is not queued any more, or was asked to stop before.

    `worker`: its id of `label_data.store.workers`.
    """
    jobs = schema.jobs
    queued = (jobs.c.id == job) & (jobs.c.state == QUEUED)
    stopped = {"state": STOPPED, "message": "Stopped before it began.", "finished_us": schema.now_us()}
    started = {"state": RUNNING, "message": "Started.", "started_us": schema.now_us(), "worker": worker}
    with writing(store) as connection:
        connection.execute(update(jobs).where(queued, jobs.c.stop_asked == 1).values(**stopped))
        if not connection.execute(update(jobs).where(queued).values(**started)).rowcount:
            return None
    return job_with_id(store, job)


def report_progress(store: Store, job: str, done: int, total: int, message: str, worker: str | None = None) -> None:
    """Keep how far the job is; raise JobStopped if somebody asked it to stop, JobLost if it is not this worker's."""
    with writing(store) as connection:
        _change_mine(connection, job, worker, done=done, total=total, message=message)
        stop_asked = connection.scalar(select(schema.jobs.c.stop_asked).where(schema.jobs.c.id == job))
    if stop_asked:
        raise JobStopped


def end_job(store: Store, job: str, state: str, message: str, result: Any = None, worker: str | None = None) -> None:
    """Keep how the job ended: its state, one sentence, and its result as JSON values; JobLost if it is another's."""
    kept = canonical(result)
    with writing(store) as connection:
        _change_mine(connection, job, worker, state=state, message=message, result=kept, finished_us=schema.now_us())


def requeue_job(store: Store, job: str, worker: str | None = None) -> None:
    """Queue this worker's job again, because the worker is to end; JobLost if it is another's."""
    with writing(store) as connection:
        _change_mine(connection, job, worker, state=QUEUED, message=REQUEUED)


def _change_mine(connection: Connection, job: str, worker: str | None, **values: Any) -> None:
    jobs = schema.jobs
    mine = (jobs.c.id == job) & (jobs.c.state == RUNNING) & jobs.c.worker.is_not_distinct_from(worker)
    if not connection.execute(update(jobs).where(mine).values(**values)).rowcount:
        raise JobLost


def ask_to_stop(store: Store, job: str) -> None:
    """Ask the job to stop where it next reports progress."""
    with writing(store) as connection:
        connection.execute(update(schema.jobs).where(schema.jobs.c.id == job).values(stop_asked=1))


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
        seconds=(until - row.started_us) / 1e6 if row.started_us and row.state != QUEUED else 0.0,
        project=row.project,
        worker=row.worker,
    )

"""Jobs of the worker: their arguments, progress and results. The queue that wakes the worker is in `workbench.jobs`.

A job is queued, running, done, failed or stopped. If several workers try to start a job, one succeeds and owns it,
until `label_data.store.workers` finds that the worker is gone and queues the job again.
"""

import json
import secrets
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, insert, select, update

from label_data.canonical import canonical
from label_data.database import schema
from label_data.database.engine import Store, reading, writing
from label_data.sentences import Sentence, plain, say, sentence_from

QUEUED, RUNNING, DONE, FAILED, STOPPED = "queued", "running", "done", "failed", "stopped"
REQUEUED = say("label_data.store.job_requeued").as_json
"""The message of a job whose worker ended, as the store keeps it."""
_WAITING = say("label_data.store.job_queued").as_json
_STARTED = say("label_data.store.job_started").as_json
_STOPPED_EARLY = say("label_data.store.job_stopped_early").as_json


class JobStopped(Exception):
    """The job was asked to stop. Raised when it reports progress."""


class JobLost(Exception):
    """Another worker owns the job now, because this worker seemed to be gone. This worker must drop its results."""


@dataclass(frozen=True, slots=True)
class Job:
    """A piece of background work."""

    id: str
    kind: str
    arguments: dict[str, Any]
    state: str
    done: int
    total: int
    """Number of steps; 0 while unknown."""
    message: Sentence
    """What the job is doing, or how it ended."""
    result: Any  # JSON values; their shape depends on the kind
    stop_asked: bool
    seconds: float
    """Seconds since the start, or the running time of a job that has ended; 0 while queued."""
    project: str = ""
    """The project that the job works on; empty if it belongs to none."""
    worker: str | None = None
    """Id of the worker that runs or ran the job; see `label_data.store.workers`."""

    @property
    def ended(self) -> bool:
        """Whether the job is done, failed or stopped."""
        return self.state in (DONE, FAILED, STOPPED)


def add_job(store: Store, kind: str, arguments: dict[str, Any] | None = None, project: str = "") -> str:
    """Queue a job and return its id."""
    with writing(store) as connection:
        return _add(connection, kind, arguments or {}, project)


def add_job_after(
    store: Store, newest: str | None, kind: str, arguments: dict[str, Any], project: str = ""
) -> str | None:
    """Queue a job if `newest` is still the newest job of this kind and project (None: there is none); else return None.

    If several processes saw the same newest job and want to add the next, only one does.
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
            message=_WAITING,
            result="null",
            stop_asked=0,
            added_us=schema.now_us(),
        )
    )
    return job


def job_with_id(store: Store, job: str) -> Job | None:
    """Return the job, or None if there is none with this id."""
    return _first(store, schema.jobs.c.id == job)


def latest_job(store: Store, kind: str, project: str | None = None) -> Job | None:
    """Return the newest job of the kind, of the project if given; None if there is none."""
    same = schema.jobs.c.kind == kind
    return _first(store, same if project is None else same & (schema.jobs.c.project == project))


def _first(store: Store, condition: ColumnElement[bool]) -> Job | None:
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
    """Return the newest jobs, newest first. With `project`, only its jobs and those that belong to no project."""
    jobs = schema.jobs
    query = select(jobs, schema.now_us().label("now_us")).order_by(jobs.c.number.desc()).limit(limit)
    if project is not None:
        query = query.where(jobs.c.project.in_((project, "")))
    with reading(store) as connection:
        return [_job(row) for row in connection.execute(query)]


def start_job(store: Store, job: str, worker: str | None = None) -> Job | None:
    """Assign the queued job to this worker and return it; None if it is no longer queued or was asked to stop.

    `worker` is the worker's id from `label_data.store.workers`.
    """
    jobs = schema.jobs
    queued = (jobs.c.id == job) & (jobs.c.state == QUEUED)
    stopped = {"state": STOPPED, "message": _STOPPED_EARLY, "finished_us": schema.now_us()}
    started = {"state": RUNNING, "message": _STARTED, "started_us": schema.now_us(), "worker": worker}
    with writing(store) as connection:
        connection.execute(update(jobs).where(queued, jobs.c.stop_asked == 1).values(**stopped))
        if not connection.execute(update(jobs).where(queued).values(**started)).rowcount:
            return None
    return job_with_id(store, job)


def report_progress(
    store: Store, job: str, done: int, total: int, message: Sentence | str, worker: str | None = None
) -> None:
    """Store the job's progress. Raises JobStopped if it was asked to stop, JobLost if another worker owns it."""
    with writing(store) as connection:
        _change_own(connection, job, worker, done=done, total=total, message=_kept(message))
        stop_asked = connection.scalar(select(schema.jobs.c.stop_asked).where(schema.jobs.c.id == job))
    if stop_asked:
        raise JobStopped


def end_job(
    store: Store, job: str, state: str, message: Sentence | str, result: Any = None, worker: str | None = None
) -> None:
    """Store how the job ended: its state, a sentence, and its result as JSON values.

    Raises JobLost if another worker owns the job.
    """
    ended = {"state": state, "message": _kept(message), "result": canonical(result), "finished_us": schema.now_us()}
    with writing(store) as connection:
        _change_own(connection, job, worker, **ended)


def requeue_job(store: Store, job: str, worker: str | None = None) -> None:
    """Queue this worker's job again because the worker is ending. Raises JobLost if another worker owns the job."""
    with writing(store) as connection:
        _change_own(connection, job, worker, state=QUEUED, message=REQUEUED)


def _change_own(connection: Connection, job: str, worker: str | None, **values: Any) -> None:
    jobs = schema.jobs
    own = (jobs.c.id == job) & (jobs.c.state == RUNNING) & jobs.c.worker.is_not_distinct_from(worker)
    if not connection.execute(update(jobs).where(own).values(**values)).rowcount:
        raise JobLost


def _kept(message: Sentence | str) -> str:
    """Return the message as the store keeps it; `sentence_from` reads it back."""
    return (plain(message) if isinstance(message, str) else message).as_json


def ask_to_stop(store: Store, job: str) -> None:
    """Ask the job to stop; it does when it next reports progress."""
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
        message=sentence_from(row.message),
        result=json.loads(row.result),
        stop_asked=bool(row.stop_asked),
        seconds=(until - row.started_us) / 1e6 if row.started_us and row.state != QUEUED else 0.0,
        project=row.project,
        worker=row.worker,
    )

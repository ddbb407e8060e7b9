"""What pages ask of the worker. The jobs table says what is to be done and how far it is; the queue only wakes it.

Nothing here imports a model: the app's process asks, the worker's process does (`workbench.tasks`).
"""

import fcntl
import json
import os
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from huey import SqliteHuey, crontab
from huey.api import TaskWrapper
from huey.registry import Message
from huey.serializer import Serializer

from label_data.data_folder import data_folder
from label_data.database import Store
from label_data.jobs import FAILED, QUEUED, Job, add_job, ask_to_stop, latest_job, unfinished_jobs
from label_data.progress import item_counts, untouched_ready
from label_data.projects import project_settings

Kind = Literal["sample", "features", "train", "score", "best_of_n"]
PRIORITY: dict[str, int] = {"score": 3, "best_of_n": 3, "train": 2, "sample": 1, "features": 0}
"""A job of a higher number runs first, and between two tokens of one with a lower number."""


class JsonSerializer(Serializer):
    """huey's messages as JSON: unlike pickle, a queue that somebody tampered with can't run code of theirs."""

    TIMES = ("eta", "expires_resolved")
    """Fields that hold a datetime or nothing."""

    def _serialize(self, data: Message) -> bytes:
        times = {name: getattr(data, name) and getattr(data, name).isoformat() for name in self.TIMES}
        return json.dumps(data._asdict() | times).encode()

    def _deserialize(self, data: bytes) -> Message:
        values = json.loads(bytes(data))
        times = {name: values[name] and datetime.fromisoformat(values[name]) for name in self.TIMES}
        return Message(**values | times | {"args": tuple(values["args"])})


def queue() -> SqliteHuey:
    """Return the queue of the data folder, with the tasks that its messages may name."""
    return _queue_and_wake(data_folder().resolve())[0]


def wake() -> None:
    """Tell the worker that there may be something to do."""
    _queue_and_wake(data_folder().resolve())[1]()


@lru_cache(maxsize=1)
def _queue_and_wake(folder: Path) -> tuple[SqliteHuey, TaskWrapper]:
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "queue.db"
    made = SqliteHuey("workbench", filename=str(file), serializer=JsonSerializer(), results=False)
    # A look that could not be taken for a minute, because a job was under way, is left to the next.
    made.periodic_task(crontab(), name="look", expires=50)(_work)
    made.periodic_task(crontab(minute="*/10"), name="look_again", expires=50)(_work_after_failure)
    return made, made.task(name="wake")(_work)


def _work() -> None:
    from workbench.tasks import work, worker_store

    work(worker_store())


def _work_after_failure() -> None:
    from workbench.tasks import work, worker_store

    work(worker_store(), after_failure=True)


def ask(store: Store, kind: Kind, **arguments: Any) -> str:
    """Ask for a job and return its id; `label_data.jobs.job_with_id` tells how far it is.

    sample: no arguments; samples until enough prompts are ready. Result: {"ready", "failed", "reasons"}.
    features: prompts (ids, by default all); computes the features of their completions, if they are not kept yet.
    train: no arguments. Result: {"folder", "report"}.
    score: folder, messages, completions. Result: {"completions", "rewards"}, in the order given.
    best_of_n: folder, messages, n, policy (a name of the project's). Result: {"completions", "rewards"}, best first.
    """
    job = add_job(store, kind, arguments)
    wake()
    return job


def keep_up(store: Store, after_failure: bool = False) -> str | None:
    """Ask for sampling if too few prompts are ready while others wait; return the job's id, or None if none is needed.

    Sampling that somebody stopped stays stopped until `start_sampling`. Sampling that failed waits for changed
    settings, for `start_sampling`, or for a call with `after_failure` (the worker's, when it starts and every ten
    minutes), so that a server that is down is not asked by every submission.
    """
    settings, revision = project_settings(store)
    newest = latest_job(store, "sample")
    if newest is not None:
        same = newest.arguments.get("settings_revision") == revision
        if not newest.ended or newest.stop_asked or (newest.state == FAILED and same and not after_failure):
            return None
    if not item_counts(store)["waiting"] or untouched_ready(store) >= settings.ready_ahead:
        return None
    return ask(store, "sample", settings_revision=revision)


def start_sampling(store: Store) -> str:
    """Sample again after a stop or a failure; return the id of the job that does it."""
    newest = latest_job(store, "sample")
    if newest is not None and not newest.ended and not newest.stop_asked:
        return newest.id
    return ask(store, "sample", settings_revision=project_settings(store)[1])


def stop_sampling(store: Store) -> None:
    """Stop sampling, within a second or two, until `start_sampling`."""
    newest = latest_job(store, "sample")
    if newest is not None and not newest.ended:
        ask_to_stop(store, newest.id)


def sampling_is_stopped(store: Store) -> bool:
    """Does sampling wait for a person: was it stopped, or did it fail?"""
    newest = latest_job(store, "sample")
    return newest is not None and (newest.stop_asked or newest.state == FAILED)


def next_job(store: Store, above: int = -1) -> Job | None:
    """Return the queued job to be done next, the oldest of the highest priority if that is over `above`, or None."""
    waiting = [job for job in unfinished_jobs(store) if job.state == QUEUED and PRIORITY[job.kind] > above]
    return max(waiting, key=lambda job: PRIORITY[job.kind], default=None)


def worker_lock() -> Path:
    """Return the file that the worker locks for as long as it lives."""
    return data_folder() / "worker.lock"


def worker_is_alive() -> bool:
    """Is a worker running on this data folder? Its lock ends with its process, however that dies."""
    try:
        descriptor = os.open(worker_lock(), os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False

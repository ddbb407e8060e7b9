"""What pages ask of the worker. The jobs table says what is to be done and how far it is; the queue only wakes it.

Nothing here imports a model: the app's process asks, the worker's process does (`workbench.jobs.tasks`).
"""

from typing import Any, Literal

from label_data.database.engine import Store
from label_data.oversight.progress import item_counts, newest_ranking, rankings_after, untouched_ready
from label_data.store.jobs import FAILED, QUEUED, RUNNING, Job, add_job, add_job_after, latest_job, unfinished_jobs
from label_data.store.projects import PROJECT, project_settings, projects
from label_data.store.workers import living_workers
from workbench.jobs.queue import wake

Kind = Literal["sample", "features", "train", "score", "best_of_n", "doubts"]
PRIORITY: dict[str, int] = {"score": 3, "best_of_n": 3, "train": 2, "doubts": 2, "sample": 1, "features": 0}
"""A job of a higher number runs first, and between two tokens of one with a lower number."""


def ask(store: Store, kind: Kind, project: str = "", **arguments: Any) -> str:
    """Ask for a job and return its id; `label_data.store.jobs.job_with_id` tells how far it is.

    `project`: the id of the one whose prompts, rankings or policies it works with: sample, train, best_of_n, doubts.
    sample: no arguments; samples until enough prompts are ready. Result: {"ready", "failed", "reasons"}.
    features: prompts (ids, by default all); computes the features of their completions, if they are not kept yet.
    train: method (of `reward.settings`, by default head), version (its name: learn from that and not from what there is
    now), continues (the id of a job that was stopped: go on with what it left). Result: {"folder", "report"}.
    doubts: no arguments; looks for rankings to doubt. Result: what `reward.head.suspects.Doubts.as_dict` gives.
    score: folder, messages, completions. Result: {"completions", "rewards"}, in the order given.
    best_of_n: folder, messages, n, policy (a name of the project's). Result: {"completions", "rewards"}, best first.
    """
    if kind == "train":
        arguments |= _mark(store)
    job = add_job(store, kind, arguments, project)
    wake()
    return job


def _mark(store: Store) -> dict[str, int]:
    """Return what a training job says of the store when it is asked for: what comes later is new to the next one."""
    return {"newest_ranking": newest_ranking(store)}


def retrain(store: Store, project: str | None = None) -> str | None:
    """Ask for training if the project wants it after so many new rankings; return the job's id, or None if not.

    For one project, or for each (the id is then that of the first). Every submission asks this: where a project trains
    by itself it costs one walk over the rankings since the last training was asked for. Of several processes that find
    it due at once, one asks. A training that failed or was stopped is tried again after as many rankings.
    """
    every = [one.id for one in projects(store)] if project is None else [project]
    asked = [_retrain(store, one) for one in every]
    return next((job for job in asked if job is not None), None)


def _retrain(store: Store, project: str) -> str | None:
    wanted = project_settings(store, project)[0].retrain_every
    newest = latest_job(store, "train", project) if wanted else None
    if not wanted or (newest is not None and not newest.ended):
        return None
    seen = newest.arguments.get("newest_ranking", 0) if newest else 0
    if rankings_after(store, seen, project, wanted) < wanted:
        return None
    job = add_job_after(store, newest.id if newest else None, "train", {"method": "head"} | _mark(store), project)
    if job is not None:
        wake()
    return job


def keep_up(store: Store, after_failure: bool = False, project: str | None = None) -> str | None:
    """Ask for sampling if too few prompts are ready while others wait; return the job's id, or None if none is needed.

    For one project, or for each (the id is then that of the first that needs it). Sampling that somebody stopped stays
    stopped until `start_sampling`. Sampling that failed waits for changed settings, for `start_sampling`, or for a call
    with `after_failure` (the worker's, when it starts and every ten minutes), so that a server that is down is not
    asked by every submission.
    """
    every = [one.id for one in projects(store)] if project is None else [project]
    asked = [_keep_up(store, one, after_failure) for one in every]
    return next((job for job in asked if job is not None), None)


def _keep_up(store: Store, project: str, after_failure: bool) -> str | None:
    settings, revision = project_settings(store, project)
    newest = latest_job(store, "sample", project)
    if newest is not None:
        same = newest.arguments.get("settings_revision") == revision
        if not newest.ended or newest.stop_asked or (newest.state == FAILED and same and not after_failure):
            return None
    if not item_counts(store, project)["waiting"] or untouched_ready(store, project) >= settings.ready_ahead:
        return None
    return _sample_after(store, newest, revision, project)


def _sample_after(store: Store, newest: Job | None, revision: int, project: str) -> str | None:
    """Ask for sampling unless somebody else has since `newest` was the newest job of its kind."""
    arguments = {"settings_revision": revision}
    job = add_job_after(store, newest.id if newest else None, "sample", arguments, project)
    if job is not None:
        wake()
    return job


def start_sampling(store: Store, project: str = PROJECT) -> str:
    """Sample again after a stop or a failure; return the id of the job that does it."""
    while True:
        newest = latest_job(store, "sample", project)
        if newest is not None and not newest.ended and not newest.stop_asked:
            return newest.id
        job = _sample_after(store, newest, project_settings(store, project)[1], project)
        if job is not None:
            return job


def sampling_is_stopped(store: Store, project: str = PROJECT) -> bool:
    """Does sampling wait for a person: was it stopped, or did it fail?"""
    newest = latest_job(store, "sample", project)
    return newest is not None and (newest.stop_asked or newest.state == FAILED)


def again(store: Store, job: Job) -> str:
    """Ask again for what a job that failed or was stopped was to do; return the id of the job that does it.

    That is one which is under way or waiting, if it is to do the same.
    """
    if job.kind == "sample":
        return start_sampling(store, job.project or PROJECT)
    same = (job.kind, job.project, job.arguments)
    for other in unfinished_jobs(store):
        if (other.kind, other.project, other.arguments) == same:
            return other.id
    return ask(store, job.kind, job.project, **job.arguments)


def next_job(store: Store, above: int = -1) -> Job | None:
    """Return the queued job to be done next, the oldest of the highest priority if that is over `above`, or None.

    Sampling waits while a worker samples: two would ask for completions of the same prompts.
    """
    jobs = unfinished_jobs(store)
    sampling = any(job.kind == "sample" and job.state == RUNNING for job in jobs)
    waiting = [job for job in jobs if job.state == QUEUED and not (sampling and job.kind == "sample")]
    urgent = (job for job in waiting if PRIORITY[job.kind] > above)
    return max(urgent, key=lambda job: PRIORITY[job.kind], default=None)


def worker_is_alive(store: Store) -> bool:
    """Is a worker there, on this machine or another?"""
    return bool(living_workers(store))

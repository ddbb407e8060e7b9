"""Request jobs, and decide which job runs next.

The jobs table holds what is to be done and how far it is; the queue only wakes the worker. This module imports no
model: the app's process requests jobs, the worker's process executes them (`workbench.jobs.execution`).
"""

from typing import Any

from label_data.database.engine import Store
from label_data.oversight.progress import item_counts, newest_ranking, rankings_after, untouched_ready
from label_data.store.jobs import FAILED, QUEUED, RUNNING, Job, add_job, add_job_after, latest_job, unfinished_jobs
from label_data.store.projects import PROJECT, project_settings, projects
from label_data.store.workers import living_workers
from workbench.jobs.queue import wake

PRIORITY: dict[str, int] = {"score": 3, "best_of_n": 3, "train": 2, "doubts": 2, "sample": 1, "features": 0}
"""Job kind -> priority. A job runs before those of lower priority, and interrupts them between two tokens."""


def request_job(store: Store, kind: str, project: str = "", **arguments: Any) -> str:
    """Queue a job and return its id; `label_data.store.jobs.job_with_id` returns its progress.

    Args:
        store: where the job is kept.
        kind: one of `PRIORITY`; its arguments and result are listed below.
        project: id of the project whose prompts, rankings or policies the job uses: sample, train, best_of_n, doubts.
        arguments: JSON values, by kind:
            sample: none; samples until enough prompts are ready. Result: {"ready", "failed", "reasons"}.
            features: prompts (ids; by default all), to compute the features of their completions, unless cached.
            train: method (of `reward.settings`; by default head), version (name of a version to train on instead of
                the latest rankings), continues (id of a stopped job to resume). Result: {"folder", "report"}.
            doubts: none; finds suspect rankings. Result: the dict of `reward.head.suspects`.
            score: folder, messages, completions. Result: {"completions", "rewards"}, in the given order.
            best_of_n: folder, messages, n, policy (a name). Result: {"completions", "rewards"}, best first.
    """
    if kind == "train":
        arguments |= _newest_ranking(store)
    job = add_job(store, kind, arguments, project)
    wake()
    return job


def _newest_ranking(store: Store) -> dict[str, int]:
    """Return the argument by which a training job records which rankings it could use; later rankings count as new."""
    return {"newest_ranking": newest_ranking(store)}


def retrain_if_due(store: Store, project: str | None = None) -> str | None:
    """Request training if the project retrains after this many new rankings; return the job's id, or None.

    Without `project`, every project is checked, and the id of the first job is returned. Every submission calls this:
    in a project that retrains automatically it costs one pass over the rankings since the last training was requested.
    If several processes find that training is due, one of them requests it. A training that failed or was stopped is
    retried after as many new rankings.
    """
    ids = [each.id for each in projects(store)] if project is None else [project]
    jobs = [_retrain_if_due(store, id) for id in ids]
    return next((job for job in jobs if job is not None), None)


def _retrain_if_due(store: Store, project: str) -> str | None:
    rankings_needed = project_settings(store, project)[0].retrain_every
    if not rankings_needed:
        return None
    newest = latest_job(store, "train", project)
    if newest is not None and not newest.ended:
        return None
    seen = newest.arguments.get("newest_ranking", 0) if newest else 0
    if rankings_after(store, seen, project, rankings_needed) < rankings_needed:
        return None
    arguments = {"method": "head"} | _newest_ranking(store)
    job = add_job_after(store, newest.id if newest else None, "train", arguments, project)
    if job is not None:
        wake()
    return job


def sample_if_needed(store: Store, after_failure: bool = False, project: str | None = None) -> str | None:
    """Request sampling if too few prompts are ready while others wait; return the job's id, or None.

    Without `project`, every project is checked, and the id of the first job is returned. Sampling that a person stopped
    stays stopped until `start_sampling`. Sampling that failed is retried when the settings change, by `start_sampling`,
    or with `after_failure`, which the worker passes when it starts and every ten minutes. So a policy server that is
    down is not tried after every submission.
    """
    ids = [each.id for each in projects(store)] if project is None else [project]
    jobs = [_sample_if_needed(store, id, after_failure) for id in ids]
    return next((job for job in jobs if job is not None), None)


def _sample_if_needed(store: Store, project: str, after_failure: bool) -> str | None:
    settings, revision = project_settings(store, project)
    newest = latest_job(store, "sample", project)
    if newest is not None:
        same_settings = newest.arguments.get("settings_revision") == revision
        if not newest.ended or newest.stop_asked or (newest.state == FAILED and same_settings and not after_failure):
            return None
    if not item_counts(store, project)["waiting"] or untouched_ready(store, project) >= settings.ready_ahead:
        return None
    return _sample_after(store, newest, revision, project)


def _sample_after(store: Store, newest: Job | None, revision: int, project: str) -> str | None:
    """Request sampling unless another process has done so since `newest` was the newest job of its kind."""
    arguments = {"settings_revision": revision}
    job = add_job_after(store, newest.id if newest else None, "sample", arguments, project)
    if job is not None:
        wake()
    return job


def start_sampling(store: Store, project: str = PROJECT) -> str:
    """Sample again after a stop or a failure; return the job's id."""
    while True:
        newest = latest_job(store, "sample", project)
        if newest is not None and not newest.ended and not newest.stop_asked:
            return newest.id
        job = _sample_after(store, newest, project_settings(store, project)[1], project)
        if job is not None:
            return job


def sampling_is_stopped(store: Store, project: str = PROJECT) -> bool:
    """Return whether sampling was stopped or has failed, so that a person has to start it again."""
    newest = latest_job(store, "sample", project)
    return newest is not None and (newest.stop_asked or newest.state == FAILED)


def retry_job(store: Store, job: Job) -> str:
    """Request a job that failed or was stopped once more; return the id of the new job.

    If an identical job is queued or running, its id is returned instead.
    """
    if job.kind == "sample":
        return start_sampling(store, job.project or PROJECT)
    for other in unfinished_jobs(store):
        if (other.kind, other.project, other.arguments) == (job.kind, job.project, job.arguments):
            return other.id
    return request_job(store, job.kind, job.project, **job.arguments)


def next_job(store: Store, above: int = -1) -> Job | None:
    """Return the queued job to run next, or None: the oldest of the highest priority, if that exceeds `above`.

    Only one sampling job runs at a time: two would request completions of the same prompts.
    """
    jobs = unfinished_jobs(store)
    is_sampling = any(job.kind == "sample" and job.state == RUNNING for job in jobs)
    queued = [job for job in jobs if job.state == QUEUED and not (is_sampling and job.kind == "sample")]
    urgent = [job for job in queued if PRIORITY[job.kind] > above]
    return max(urgent, key=lambda job: PRIORITY[job.kind], default=None)


def worker_is_alive(store: Store) -> bool:
    """Return whether any worker is running, on this machine or another."""
    return bool(living_workers(store))

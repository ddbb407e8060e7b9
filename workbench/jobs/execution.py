"""Execute jobs, one function per kind. Only the worker's process imports this module.

One thread runs one job at a time: two networks at once on the same cores take longer than one after the other. A job of
higher priority does not wait for the running one to end: it runs when the running job next reports its progress.
"""

import logging
import shutil
import threading
import time
from collections.abc import Callable, Sequence
from functools import lru_cache, reduce
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from label_data.canonical import content_id
from label_data.data_folder import default_store
from label_data.database.engine import Store, open_store, reading
from label_data.errors import InputError
from label_data.oversight.progress import item_counts, store_counts, untouched_ready
from label_data.records import Completion, Prompt, messages_from
from label_data.sentences import Sentence, say
from label_data.settings import PolicySettings, ProjectSettings
from label_data.store.jobs import (
    DONE,
    FAILED,
    QUEUED,
    STOPPED,
    Job,
    JobLost,
    JobStopped,
    add_job,
    end_job,
    report_progress,
    requeue_job,
    start_job,
    unfinished_jobs,
)
from label_data.store.projects import PROJECT, project_settings
from label_data.store.stored_groups import groups, groups_in
from label_data.store.workers import requeue_orphans
from reward.file_names import REPORT_FILE
from reward.policy import Policy, Refused, Request, Sampled, open_policy, sample_batch
from reward.report.report import Report, read_report
from reward.settings import Method, Settings
from workbench.jobs.runs import new_run, unfinished_run
from workbench.jobs.scheduling import PRIORITY, next_job, retrain_if_due, sample_if_needed

if TYPE_CHECKING:  # both load torch, which a worker that only samples from servers does not need
    from reward.model.model import RewardModel
    from reward.networks.features import Backbone

log = logging.getLogger("workbench.worker")
stopping = threading.Event()
"""Set when the worker is to end: the running job then stops at its next progress report."""
worker: str | None = None
"""This worker's id (`label_data.store.workers`), set when it starts; jobs record it."""
REPORT_EVERY = 0.4
"""Seconds between two progress reports in the store."""
PROMPTS_AT_ONCE = 8
"""Prompts in the largest sampling batch."""
FEATURE_GROUPS = 64
"""Prompts that are read from the store at a time to compute their features."""


class WorkerStopping(Exception):
    """The worker is to end now; the job continues when a worker starts."""


Result = tuple[Sentence, Any]  # the sentence that a job ends with, and its result: JSON values, by kind


@lru_cache(maxsize=1)
def worker_store() -> Store:
    """Return the process's only engine."""
    return open_store(default_store())


def resume_jobs(store: Store) -> None:
    """Queue the jobs of workers that are gone, and retry sampling that failed. Call it when a worker starts.

    A policy server that was down may be up by now.
    """
    requeue_orphans(store)
    sample_if_needed(store, after_failure=True)


def work(store: Store, after_failure: bool = False) -> None:
    """Run jobs, the most urgent first, until none is left; request those that are due.

    `after_failure`: also retry sampling that failed; see `workbench.jobs.scheduling.sample_if_needed`.
    """
    while not stopping.is_set():
        sample_if_needed(store, after_failure)
        retrain_if_due(store)
        _request_features_of_imports(store)
        after_failure = False
        job = next_job(store)
        if job is None:
            return
        try:
            run_job(store, job)
        except WorkerStopping:
            return


def run_job(store: Store, job: Job) -> None:
    """Run a job and store how it ended, unless another worker has started it.

    Raises WorkerStopping, with the job queued again, if the worker is to end.
    """
    started = start_job(store, job.id, worker)
    if started is None:
        return
    log.info("job started", extra=_fields(job))
    try:
        _run(store, started)
    except JobLost:
        log.warning("another worker owns the job now: this worker was not seen for too long", extra=_fields(job))


def _run(store: Store, job: Job) -> None:
    try:
        message, result = _RUN[job.kind](store, job, Progress(store, job))
    except WorkerStopping:
        requeue_job(store, job.id, worker)
        raise
    except JobLost:
        raise
    except JobStopped:
        _end(store, job, STOPPED, say("workbench.jobs.stopped"))
    except InputError as error:
        _end(store, job, FAILED, error.sentence)
    except Exception as error:  # whatever it is, the page must show it and the worker go on
        log.error("job failed", extra=_fields(job), exc_info=True)
        _end(store, job, FAILED, say("workbench.jobs.unexpected_error", kind=type(error).__name__, job=job.id))
    else:
        _end(store, job, DONE, message, result)


def _end(store: Store, job: Job, state: str, message: Sentence, result: Any = None) -> None:
    end_job(store, job.id, state, message, result, worker)
    log.info(f"job {state}", extra=_fields(job))


def _fields(job: Job) -> dict[str, Any]:
    """Return the fields of a log line about the job."""
    return {"job": job.id, "kind": job.kind, "project": job.project, "worker": worker}


class Progress:
    """Stores a job's progress a few times a second; stops or interrupts the job when it must."""

    def __init__(self, store: Store, job: Job) -> None:
        self._store, self._job, self._next = store, job, 0.0

    def __call__(self, done: int, total: int, message: Sentence) -> None:
        """Report. Raises JobStopped if a person stopped the job, WorkerStopping if the worker is to end."""
        if stopping.is_set():
            raise WorkerStopping
        if time.monotonic() < self._next:
            return
        report_progress(self._store, self._job.id, done, total, message, worker)
        while urgent := next_job(self._store, above=PRIORITY[self._job.kind]):
            run_job(self._store, urgent)
        self._next = time.monotonic() + REPORT_EVERY


# Sampling


@lru_cache(maxsize=1)
def _policies(settings: tuple[PolicySettings, ...]) -> tuple[Policy, ...]:
    return tuple(open_policy(policy) for policy in settings)


def _sample(store: Store, job: Job, progress: Progress) -> Result:
    """Sample in batches until enough prompts are ready. Small batches come first, so that annotators can soon start."""
    sampled, project = Sampled(), job.project or PROJECT
    while (missing := _prompts_to_sample(store, project)) > 0:
        settings, _ = project_settings(store, project)
        done = sampled.ready + sampled.failed
        total = done + missing
        progress(done, total, say("workbench.jobs.loading_policy"))
        policies = _policies(settings.policies)
        limit = min(missing, PROMPTS_AT_ONCE, max(1, untouched_ready(store, project)))

        def on_progress(message: Sentence, done: int = done, total: int = total) -> None:
            progress(done, total, say("workbench.jobs.sampling", done=done, total=total, now=message))

        sampled += sample_batch(store, settings, policies, limit, on_progress, project)
    _request_features_of(store, sampled)
    message = say("workbench.jobs.sampled", count=sampled.ready)
    if sampled.failed:
        reasons = _joined(sampled.reasons)
        message = say("workbench.jobs.sampled_some", count=sampled.ready, failed=sampled.failed, reasons=reasons)
    return message, {"ready": sampled.ready, "failed": sampled.failed, "reasons": list(map(str, sampled.reasons))}


def _prompts_to_sample(store: Store, project: str) -> int:
    """Return how many more prompts have to be sampled; not positive if enough are ready."""
    settings, _ = project_settings(store, project)
    return min(item_counts(store, project)["waiting"], settings.ready_ahead - untouched_ready(store, project))


def _joined(sentences: Sequence[Sentence]) -> Sentence:
    """Join the sentences into one, in order."""
    return reduce(lambda first, then: say("workbench.jobs.both", first=first, then=then), sentences)


# Features and training


_completions_seen: dict[Store, int] = {}
"""Number of completions in a store when features were last requested. A new worker knows none, so it checks at once."""


def _request_features_of(store: Store, sampled: Sampled) -> None:
    """Request the features of what was just sampled: going through the whole store would take longer."""
    if sampled.prompts:
        add_job(store, "features", {"prompts": list(sampled.prompts)})
        _completions_seen[store] = _completions_seen.get(store, 0) + sampled.completions


def _request_features_of_imports(store: Store) -> None:
    """Request the features of the whole store if it holds more completions than this worker has seen or sampled."""
    completions = store_counts(store).completions
    if completions > _completions_seen.get(store, 0) and not _all_features_requested(store):
        add_job(store, "features")
    _completions_seen[store] = completions


def _all_features_requested(store: Store) -> bool:
    """Return whether a features job for the whole store is queued, such as one that an earlier worker did not start."""
    return any((job.kind, job.state, job.arguments) == ("features", QUEUED, {}) for job in unfinished_jobs(store))


@lru_cache(maxsize=1)
def _backbone() -> "Backbone":
    from reward.networks.features import open_backbone

    return open_backbone()


def _compute_features(store: Store, job: Job, progress: Progress) -> Result:
    from reward.networks.features import cache_features

    done, total = 0, store_counts(store).prompts

    def on_progress(_done: int, _total: int, message: Sentence) -> None:
        progress(done, total, message)

    progress(done, total, say("workbench.jobs.loading_backbone"))
    if "prompts" in job.arguments:
        with reading(store) as connection:
            remaining = iter(groups_in(connection, job.arguments["prompts"]))
        total = len(job.arguments["prompts"])
    else:
        remaining = iter(groups(store))
    while batch := list(islice(remaining, FEATURE_GROUPS)):
        cache_features(batch, _backbone(), on_progress=on_progress)
        done += len(batch)
    return say("workbench.jobs.features_computed", count=done), {"prompts": done}


def _train(store: Store, job: Job, progress: Progress) -> Result:
    method = job.arguments.get("method", "head")
    if method == "head":
        from reward.head.train import train_reward_model

        folder, version = new_run(job.id), job.arguments.get("version", "")
        report: Report | None = train_reward_model(
            store, folder, on_progress=progress, project=job.project or None, version=version
        )
    else:
        folder, report = _fine_tune(store, job, method, progress)
    assert report is not None  # only the further processes of a training on several GPUs get None
    return say("workbench.jobs.trained"), {"folder": str(folder), "report": report.as_dict()}


def _fine_tune(store: Store, job: Job, method: Method, progress: Progress) -> tuple[Path, Report | None]:
    """Fine-tune, or resume the unfinished run of this job or of the job that it continues."""
    from reward.finetuning.train import fine_tune, resume_fine_tuning, unfinished_folder

    first_job = job.arguments.get("continues", job.id)
    folder = unfinished_run(first_job)
    if folder is None:
        folder = new_run(first_job)
        version = job.arguments.get("version", "")
        return folder, fine_tune(store, folder, Settings(method=method), progress, job.project or None, version)
    if (folder / REPORT_FILE).exists():  # interrupted when only the cleanup was left
        shutil.rmtree(unfinished_folder(folder))
        return folder, read_report(folder)
    return folder, resume_fine_tuning(folder, progress)


def _find_suspects(store: Store, job: Job, progress: Progress) -> Result:
    from reward.head.suspects import find_suspects

    doubts = find_suspects(store, job.project or None, on_progress=progress)
    return say("workbench.jobs.suspects_found", count=doubts.rankings), doubts.as_dict()


# Rewards


@lru_cache(maxsize=1)
def _reward_model(folder: str) -> "RewardModel":
    from reward.model.model import RewardModel

    return RewardModel.load(folder)


def _score(store: Store, job: Job, progress: Progress) -> Result:
    completions = job.arguments["completions"]
    messages = messages_from(job.arguments["messages"], say("workbench.jobs.the_prompt"))
    progress(0, 1, say("workbench.jobs.loading_reward_model"))
    rewards = _reward_model(job.arguments["folder"]).score(messages, completions)
    result = {"completions": completions, "rewards": [float(reward) for reward in rewards]}
    return say("workbench.jobs.scored"), result


def _best_of_n(store: Store, job: Job, progress: Progress) -> Result:
    """Sample n completions and return them with their rewards, best first. Seeds depend on the job's id."""
    prompt = Prompt(messages_from(job.arguments["messages"], say("workbench.jobs.the_prompt")))
    settings, _ = project_settings(store, job.project or PROJECT)
    policy = _policy_named(settings, job.arguments["policy"])
    seeds = [int(content_id("best of n", job.id, index)[:8], 16) >> 1 for index in range(job.arguments["n"])]
    requests = [Request(prompt, seed) for seed in seeds]
    outcomes = policy.sample(requests, lambda message: progress(0, 2, message))
    texts = [outcome.text for outcome in outcomes if isinstance(outcome, Completion)]
    if not texts:
        reason = next(outcome.reason for outcome in outcomes if isinstance(outcome, Refused))
        raise InputError(reason.key, **reason.values)
    progress(1, 2, say("workbench.jobs.scoring"))
    rewards = _reward_model(job.arguments["folder"]).score(prompt.messages, texts)
    scored = [(text, float(reward)) for text, reward in zip(texts, rewards, strict=True)]
    scored.sort(key=lambda pair: -pair[1])
    result = {"completions": [text for text, _ in scored], "rewards": [reward for _, reward in scored]}
    return say("workbench.jobs.sampled_and_scored", count=len(texts)), result


def _policy_named(settings: ProjectSettings, name: str) -> Policy:
    for policy, opened in zip(settings.policies, _policies(settings.policies), strict=True):
        if policy.name == name:
            return opened
    names = ", ".join(policy.name for policy in settings.policies)
    raise InputError("workbench.jobs.unknown_policy", name=name, names=names)


_RUN: dict[str, Callable[[Store, Job, Progress], Result]] = {
    "sample": _sample,
    "features": _compute_features,
    "train": _train,
    "score": _score,
    "best_of_n": _best_of_n,
    "doubts": _find_suspects,
}
"""Job kind, as the store keeps it -> what runs it."""

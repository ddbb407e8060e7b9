"""What the worker does for each kind of job. Imported in the worker's process only.

One thread does one job at a time: two networks at once on the same cores take longer than one after the other. A job of
a higher priority need not wait for all that: it runs when the one under way next reports its progress.
"""

import logging
import shutil
import threading
import time
from collections.abc import Callable
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any

from label_data.canonical import content_id
from label_data.data_folder import default_store
from label_data.database.engine import Store, open_store, reading
from label_data.errors import InputError
from label_data.oversight.progress import item_counts, store_counts, untouched_ready
from label_data.records import Completion, Prompt, messages_from
from label_data.sentences import Sentence
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
from workbench.jobs.asking import PRIORITY, keep_up, next_job, retrain
from workbench.jobs.runs import new_run, unfinished_run

log = logging.getLogger("workbench.worker")
stopping = threading.Event()
"""Set when the worker is to end: the job under way then stops where it next reports its progress."""
worker: str | None = None
"""This worker's id (`label_data.store.workers`), set as it starts; its jobs carry it."""
REPORT_EVERY = 0.4
"""Seconds between two progress reports in the store."""
PROMPTS_AT_ONCE = 8
FEATURE_GROUPS = 64
"""Prompts whose features are computed before the next are read."""


class WorkerStopping(Exception):
    """The worker is to end now; the job goes on when it starts again."""


Result = tuple[str, Any]
"""The sentence that a job ends with, and its result as JSON values."""


@lru_cache(maxsize=1)
def worker_store() -> Store:
    """Return the process's one engine."""
    return open_store(default_store())


def take_up_again(store: Store) -> None:
    """Queue the jobs of workers that are gone, and sampling that had failed before.

    For a worker as it starts: a server that was down may be up by now.
    """
    requeue_orphans(store)
    keep_up(store, after_failure=True)


def work(store: Store, after_failure: bool = False) -> None:
    """Do every job there is, the most urgent first, and what is due without being asked for; see `jobs`."""
    while not stopping.is_set():
        keep_up(store, after_failure)
        retrain(store)
        _ask_for_features_of_imports(store)
        after_failure = False
        job = next_job(store)
        if job is None:
            return
        try:
            run_job(store, job)
        except WorkerStopping:
            return


def run_job(store: Store, job: Job) -> None:
    """Do one job and keep how it ended, if no other worker has started it.

    Raises WorkerStopping, with the job queued again, if the worker is to end.
    """
    started = start_job(store, job.id, worker)
    if started is None:
        return
    log.info("job started", extra=_about(job))
    try:
        _do(store, started)
    except JobLost:
        log.warning("the job is another worker's by now: this one was not seen for too long", extra=_about(job))


def _do(store: Store, job: Job) -> None:
    try:
        message, result = _DO[job.kind](store, job, Progress(store, job))
    except WorkerStopping:
        requeue_job(store, job.id, worker)
        raise
    except JobLost:
        raise
    except JobStopped:
        _end(store, job, STOPPED, "Stopped.")
    except InputError as error:
        _end(store, job, FAILED, str(error))
    except Exception as error:  # whatever it is, the page must hear of it and the worker go on
        log.error("job failed", extra=_about(job), exc_info=True)
        kind = type(error).__name__
        sentence = f"This went wrong in a way the program does not know ({kind}). The worker's log says more, under job"
        _end(store, job, FAILED, f"{sentence} {job.id}.")
    else:
        _end(store, job, DONE, message, result)


def _end(store: Store, job: Job, state: str, message: str, result: Any = None) -> None:
    end_job(store, job.id, state, message, result, worker)
    log.info(f"job {state}", extra=_about(job))


def _about(job: Job) -> dict[str, Any]:
    return {"job": job.id, "kind": job.kind, "project": job.project, "worker": worker}


class Progress:
    """Passes a job's progress on to the store, a few times a second, and ends or interrupts the job when it must."""

    def __init__(self, store: Store, job: Job) -> None:
        self._store, self._job, self._next = store, job, 0.0

    def __call__(self, done: int, total: int, message: str | Sentence) -> None:
        """Report; raises JobStopped if somebody stopped the job and WorkerStopping if the worker is to end."""
        if stopping.is_set():
            raise WorkerStopping
        if time.monotonic() < self._next:
            return
        report_progress(self._store, self._job.id, done, total, str(message), worker)
        while urgent := next_job(self._store, above=PRIORITY[self._job.kind]):
            run_job(self._store, urgent)
        self._next = time.monotonic() + REPORT_EVERY


# Sampling


@lru_cache(maxsize=1)
def _policies(settings: tuple[PolicySettings, ...]) -> tuple[Policy, ...]:
    return tuple(open_policy(policy) for policy in settings)


def _sample(store: Store, job: Job, progress: Progress) -> Result:
    """Sample in batches until enough prompts are ready; small batches first, so that an annotator can soon begin."""
    so_far, project = Sampled(), job.project or PROJECT
    while (wanted := _wanted(store, project)) > 0:
        settings, _ = project_settings(store, project)
        done = so_far.ready + so_far.failed
        total = done + wanted
        progress(done, total, "Loading the model; the packaged one is converted once, which takes a minute.")
        policies = _policies(settings.policies)
        limit = min(wanted, PROMPTS_AT_ONCE, max(1, untouched_ready(store, project)))

        def on_progress(message: Sentence, done: int = done, total: int = total) -> None:
            progress(done, total, f"{done} of {total} prompts sampled. {message}")

        so_far += sample_batch(store, settings, policies, limit, on_progress, project)
    _ask_for_features_of(store, so_far)
    message = f"{so_far.ready} prompts sampled."
    if so_far.failed:
        message += f" {so_far.failed} gave nothing to rank: {' '.join(map(str, so_far.reasons))}"
    return message, {"ready": so_far.ready, "failed": so_far.failed, "reasons": list(map(str, so_far.reasons))}


def _wanted(store: Store, project: str) -> int:
    settings, _ = project_settings(store, project)
    return min(item_counts(store, project)["waiting"], settings.ready_ahead - untouched_ready(store, project))


# Features and training


_looked_at: dict[Store, int] = {}
"""How many completions a store held when features were last asked for; what a new worker finds it looks at once."""


def _ask_for_features_of(store: Store, sampled: Sampled) -> None:
    """Ask for the features of what was just sampled: looking through the whole store would take longer."""
    if sampled.prompts:
        add_job(store, "features", {"prompts": list(sampled.prompts)})
        _looked_at[store] = _looked_at.get(store, 0) + sampled.completions


def _ask_for_features_of_imports(store: Store) -> None:
    """Ask for the features of the whole store if it holds more completions than were seen and sampled here."""
    completions = store_counts(store).completions
    if completions > _looked_at.get(store, 0) and not _is_asked_for(store):
        add_job(store, "features")
    _looked_at[store] = completions


def _is_asked_for(store: Store) -> bool:
    """Do the features of the whole store wait to be computed already, because a worker ended before it began?"""
    return any((job.kind, job.state, job.arguments) == ("features", QUEUED, {}) for job in unfinished_jobs(store))


@lru_cache(maxsize=1)
def _backbone() -> Any:
    from reward.networks.features import open_backbone

    return open_backbone()


def _features(store: Store, job: Job, progress: Progress) -> Result:
    from reward.networks.features import featurize

    done, total = 0, store_counts(store).prompts

    def on_progress(_done: int, _total: int, message: str) -> None:
        progress(done, total, message)

    progress(done, total, "Loading the model whose features are kept.")
    if "prompts" in job.arguments:
        with reading(store) as connection:
            wanted = iter(groups_in(connection, job.arguments["prompts"]))
        total = len(job.arguments["prompts"])
    else:
        wanted = groups(store)
    while some := list(islice(wanted, FEATURE_GROUPS)):
        featurize(some, _backbone(), on_progress=on_progress)
        done += len(some)
    return f"The completions of {done} prompts have their features.", {"prompts": done}


def _train(store: Store, job: Job, progress: Progress) -> Result:
    method = job.arguments.get("method", "head")
    if method == "head":
        from reward.head.train import train_reward_model

        folder = new_run(job.id)
        of = {"project": job.project or None, "version": job.arguments.get("version", "")}
        report = train_reward_model(store, folder, on_progress=progress, **of)
    else:
        folder, report = _tune(store, job, method, progress)
    return "Trained.", {"folder": str(folder), "report": report.as_dict()}


def _tune(store: Store, job: Job, method: Method, progress: Progress) -> tuple[Path, Report]:
    """Fine-tune, or go on with what this job, or the one that it continues, left when it was cut off."""
    from reward.finetuning.train import resume_tuning, tune_reward_model, unfinished_folder

    of_job = job.arguments.get("continues", job.id)
    folder = unfinished_run(of_job)
    if folder is None:
        folder = new_run(of_job)
        version = job.arguments.get("version", "")
        return folder, tune_reward_model(store, folder, Settings(method=method), progress, job.project or None, version)
    if (folder / REPORT_FILE).exists():  # cut off when all was done but tidying up
        shutil.rmtree(unfinished_folder(folder))
        return folder, read_report(folder)
    return folder, resume_tuning(folder, progress)


def _doubts(store: Store, job: Job, progress: Progress) -> Result:
    from reward.head.suspects import find_doubts

    found = find_doubts(store, job.project or None, on_progress=progress)
    return f"{found.rankings} rankings looked at.", found.as_dict()


# Rewards


@lru_cache(maxsize=1)
def _reward_model(folder: str) -> Any:
    from reward.model.model import RewardModel

    return RewardModel.load(folder)


def _score(store: Store, job: Job, progress: Progress) -> Result:
    asked = job.arguments
    messages = messages_from(asked["messages"], "The prompt")
    progress(0, 1, "Loading the reward model.")
    rewards = _reward_model(asked["folder"]).score(messages, asked["completions"])
    return "Scored.", {"completions": asked["completions"], "rewards": [float(reward) for reward in rewards]}


def _best_of_n(store: Store, job: Job, progress: Progress) -> Result:
    """Sample n completions and return them with their rewards, best first. The seeds are the job's own."""
    asked = job.arguments
    prompt = Prompt(messages_from(asked["messages"], "The prompt"))
    settings, _ = project_settings(store, job.project or PROJECT)
    policy = _policy_named(settings, asked["policy"])
    seeds = [int(content_id("best of n", job.id, place)[:8], 16) >> 1 for place in range(asked["n"])]
    outcomes = policy.sample([Request(prompt, seed) for seed in seeds], lambda message: progress(0, 2, message))
    texts = [outcome.text for outcome in outcomes if isinstance(outcome, Completion)]
    if not texts:
        reason = next(outcome.reason for outcome in outcomes if isinstance(outcome, Refused))
        raise InputError(reason.key, **reason.values)
    progress(1, 2, "Scoring.")
    rewards = [float(reward) for reward in _reward_model(asked["folder"]).score(prompt.messages, texts)]
    best_first = sorted(zip(texts, rewards, strict=True), key=lambda pair: -pair[1])
    return f"{len(texts)} completions sampled and scored.", {
        "completions": [text for text, _ in best_first],
        "rewards": [reward for _, reward in best_first],
    }


def _policy_named(settings: ProjectSettings, name: str) -> Policy:
    for policy, opened in zip(settings.policies, _policies(settings.policies), strict=True):
        if policy.name == name:
            return opened
    raise InputError(
        f"The project has no policy {name!r}. Choose one of {', '.join(p.name for p in settings.policies)}."
    )


_DO: dict[str, Callable[[Store, Job, Progress], Result]] = {
    "sample": _sample,
    "features": _features,
    "train": _train,
    "score": _score,
    "best_of_n": _best_of_n,
    "doubts": _doubts,
}

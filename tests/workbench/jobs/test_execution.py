"""Jobs: requested by pages, executed in this process and in worker processes."""

import contextlib
import json
import logging
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from chat_server import Answer, says
from label_data.data_folder import data_folder, default_store
from label_data.database.engine import open_store
from label_data.oversight.progress import item_counts
from label_data.records import Completion, Group, Ranking, user_prompt
from label_data.sentences import say
from label_data.settings import PACKAGED_MODEL, PolicySettings, ProjectSettings
from label_data.store.adding import add_groups, add_prompts
from label_data.store.jobs import (
    DONE,
    FAILED,
    QUEUED,
    RUNNING,
    STOPPED,
    add_job,
    ask_to_stop,
    end_job,
    job_with_id,
    latest_job,
    requeue_job,
    start_job,
    unfinished_jobs,
)
from label_data.store.projects import save_settings
from label_data.store.stored_groups import groups
from label_data.store.workers import requeue_orphans
from label_data.versions.making import make_version
from label_data.versions.recipes import Recipe
from reward.model.model import RewardModel
from reward_fixtures import planted_groups
from tests.support.paths import ROOT
from workbench.jobs import execution
from workbench.jobs.queue import wake, worker_queue
from workbench.jobs.runs import log_of, runs, unfinished_run
from workbench.jobs.scheduling import (
    next_job,
    request_job,
    retrain_if_due,
    retry_job,
    sample_if_needed,
    sampling_is_stopped,
    start_sampling,
    worker_is_alive,
)
from workbench.logs import JsonLines

PROMPTS = [user_prompt(f"Question {number}?") for number in range(5)]
PATIENCE = 180
"""Seconds that a worker process may take to start or end on a busy machine: it is the one that waits for others."""


@pytest.fixture
def work_store(tmp_path, monkeypatch, chat_server):
    """The default store of a fresh data folder: five prompts wait for a policy behind the test's server."""
    monkeypatch.setenv("WORKBENCH_DATA", str(tmp_path / "data"))
    store = open_store(default_store())
    save_settings(store, settings_for(chat_server))
    add_prompts(store, PROMPTS)
    yield store
    store.dispose()


@pytest.fixture
def small_model(tmp_path, monkeypatch, tiny_backbone_folder):
    """Have a tiny network where the packaged one is kept once converted: what jobs do with it takes no minute."""
    monkeypatch.setenv("WORKBENCH_MODELS", str(tmp_path / "models"))
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / PACKAGED_MODEL.removeprefix("packaged:")).symlink_to(tiny_backbone_folder)


def settings_for(chat_server, **changes):
    policy = PolicySettings("p", "openai", "m", chat_server.base_url)
    return ProjectSettings(**{"policies": (policy,), "completions_per_prompt": 3, "ready_ahead": 4} | changes)


def ranked_group(prompt):
    good, bad = Completion(prompt.id, "A thing, as you asked."), Completion(prompt.id, "No.")
    return Group(prompt, (good, bad), (Ranking(prompt.id, "ann", (good.id, bad.id), ((good.id,), (bad.id,))),))


def do(store, kind):
    """Do the queued jobs of one kind only, so that no test loads a network it does not ask about."""
    while (job := next_job(store)) and job.kind == kind:
        execution.run_job(store, job)


def nothing(after_failure):
    """Do no job: these tests look at the messages alone."""


def test_a_queued_message_is_json_and_holds_only_a_name(work_store):
    wake()
    with sqlite3.connect(data_folder() / "queue.db") as connection:
        ((data,),) = connection.execute("SELECT data FROM task").fetchall()
    connection.close()
    message = json.loads(data)
    assert message["name"] == "workbench.jobs.wake"
    assert (message["args"], message["kwargs"]) == ([], {})
    assert worker_queue(nothing).dequeue().id == message["id"]


def test_periodic_messages_keep_their_times_in_the_queue(work_store):
    """Sent at most once a minute and void after 50 seconds, so each carries the time when it expires."""
    queue = worker_queue(nothing)
    looks = queue._registry.periodic_tasks
    for look in looks:
        queue.enqueue(look)
    received = [queue.dequeue() for _ in looks]
    assert {look.name for look in received} == {"look", "look_again"}
    assert [(look.id, look.expires_resolved) for look in received] == [
        (look.id, look.expires_resolved) for look in looks
    ]
    assert all(look.expires_resolved for look in received)


def test_requesting_jobs_loads_no_network_library(work_store):
    program = """
import sys
from label_data.data_folder import data_folder, default_store
from label_data.database.engine import open_store
from workbench.jobs.scheduling import request_job, sample_if_needed, start_sampling, worker_is_alive
store = open_store(default_store())
sample_if_needed(store), start_sampling(store), request_job(store, "train"), worker_is_alive(store)
print(sorted({"torch", "transformers", "datasets", "sklearn", "openai"} & sys.modules.keys()))
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_sampling_is_requested_once_while_too_few_prompts_are_ready(work_store):
    """Four are to be ready ahead and five wait: the job samples four, and the fifth is not needed."""
    assert sample_if_needed(work_store)
    assert sample_if_needed(work_store) is None
    do(work_store, "sample")
    job = latest_job(work_store, "sample")
    assert (job.state, job.message) == (DONE, say("workbench.jobs.sampled", count=4))
    assert job.result == {"ready": 4, "failed": 0, "reasons": []}
    assert item_counts(work_store)["waiting"] == 1
    assert sample_if_needed(work_store) is None


def test_the_first_prompt_is_sampled_alone_so_that_it_is_ready_soon(work_store, chat_server):
    """Batches of 1, then as many as are ready: 1, 2. So the first three requests are of one prompt."""
    sample_if_needed(work_store)
    do(work_store, "sample")
    request = [body["messages"][0]["content"] for body in chat_server.bodies]
    assert request[:6] == ["Question 0?"] * 3 + ["Question 1?"] * 3
    assert sorted(request[6:]) == ["Question 2?"] * 3 + ["Question 3?"] * 3


def test_features_of_sampled_completions_are_computed_next(work_store):
    sample_if_needed(work_store)
    do(work_store, "sample")
    job = next_job(work_store)
    assert (job.kind, job.arguments) == ("features", {"prompts": [prompt.id for prompt in PROMPTS[:4]]})


def test_a_stop_ends_sampling_within_a_batch_until_a_person_starts_it_again(work_store, chat_server):
    """The server never answers, so only the stop can end the job."""

    def stop(body):
        ask_to_stop(work_store, latest_job(work_store, "sample").id)
        return chat_server.hang(body)

    chat_server.answer = stop
    sample_if_needed(work_store)
    do(work_store, "sample")
    assert latest_job(work_store, "sample").state == STOPPED
    assert item_counts(work_store)["waiting"] == 5
    assert sampling_is_stopped(work_store)
    assert sample_if_needed(work_store) is None
    assert sample_if_needed(work_store, after_failure=True) is None
    job = start_sampling(work_store)
    assert start_sampling(work_store) == job
    assert not sampling_is_stopped(work_store)


def test_an_unusable_policy_loses_no_prompt_and_is_not_retried_after_every_submission(work_store, chat_server):
    chat_server.answer = lambda body: Answer(404, {})
    sample_if_needed(work_store)
    do(work_store, "sample")
    job = latest_job(work_store, "sample")
    assert job.state == FAILED
    assert str(job.message).startswith(f"Policy 'p': {chat_server.base_url} has no model 'm'")
    assert item_counts(work_store)["waiting"] == 5
    assert sample_if_needed(work_store) is None
    assert sample_if_needed(work_store, after_failure=True)
    do(work_store, "sample")
    chat_server.answer = lambda body: says(f"text {body['seed']}")
    assert sample_if_needed(work_store) is None
    save_settings(work_store, settings_for(chat_server, ready_ahead=5))
    assert sample_if_needed(work_store)
    do(work_store, "sample")
    assert latest_job(work_store, "sample").state == DONE


def test_of_many_processes_that_need_sampling_at_once_one_requests_it(work_store):
    start, request = threading.Barrier(8), []

    def find():
        start.wait()
        request.append(sample_if_needed(work_store))

    threads = [threading.Thread(target=find) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [job.id for job in unfinished_jobs(work_store)] == [job for job in request if job]


def test_a_second_worker_samples_only_after_the_first_has_ended(work_store):
    """Sampling that was stopped is still ending when somebody starts it again."""
    first = sample_if_needed(work_store)
    start_job(work_store, first, "a")
    ask_to_stop(work_store, first)
    second = start_sampling(work_store)
    assert second != first
    assert next_job(work_store) is None
    requeue_job(work_store, first, "a")
    assert start_job(work_store, first, "a") is None
    assert next_job(work_store).id == second


def test_a_worker_that_lost_its_job_drops_it_and_saves_no_prompt_twice(work_store, chat_server, caplog):
    """While its server answers, the job is queued again and another worker samples all there is to sample."""
    done = []

    def answer(body):
        if not done:
            done.append(True)
            requeue_orphans(work_store)
            do(work_store, "sample")
        return says(f"text {body['seed']}")

    chat_server.answer = answer
    sample_if_needed(work_store)
    do(work_store, "sample")
    job = latest_job(work_store, "sample")
    assert (job.state, job.message) == (DONE, say("workbench.jobs.sampled", count=4))
    (line,) = [record for record in caplog.records if "another worker owns the job" in record.message]
    assert (line.job, line.kind) == (job.id, "sample")
    assert [len(group.completions) for group in groups(work_store)] == [3, 3, 3, 3, 0]


def test_an_urgent_job_runs_while_sampling_waits_for_the_server(work_store, chat_server):
    """The server answers only when the score job has ended. That one fails, for it names no folder: it was done."""
    request = []

    def answer(body):
        if not request:
            request.append(add_job(work_store, "score"))
        until(lambda: job_with_id(work_store, request[0]).ended)
        return says(f"text {body['seed']}")

    chat_server.answer = answer
    sample_if_needed(work_store)
    do(work_store, "sample")
    assert job_with_id(work_store, request[0]).state == FAILED
    assert latest_job(work_store, "sample").state == DONE


def test_the_oldest_of_the_most_urgent_jobs_runs_first(work_store):
    jobs = {kind: add_job(work_store, kind) for kind in ("features", "sample", "train", "score", "best_of_n")}
    order = []
    while job := next_job(work_store):
        order.append(job.kind)
        execution.start_job(work_store, jobs[job.kind])
    assert order == ["score", "best_of_n", "train", "sample", "features"]


def test_an_unexpected_error_fails_the_job_and_logs_frames_but_no_texts(work_store, caplog):
    """The arguments lack "messages"; a KeyError is nobody's input."""
    job = request_job(work_store, "score", folder="x", completions=["a private text"])
    with caplog.at_level(logging.ERROR):
        do(work_store, "score")
    failed = job_with_id(work_store, job)
    assert failed.state == FAILED
    assert failed.message == say("workbench.jobs.unexpected_error", kind="KeyError", job=job)
    (record,) = [record for record in caplog.records if record.message == "job failed"]
    line = json.loads(JsonLines().format(record))
    assert (line["job"], line["kind"], line["error"]) == (job, "score", "KeyError")
    assert "in _score" in " ".join(line["frames"])
    assert "a private text" not in JsonLines().format(record)


def test_a_score_job_names_a_missing_model_folder(work_store):
    job = request_job(work_store, "score", folder="nowhere", messages=PROMPTS[0].as_dicts, completions=["a"])
    do(work_store, "score")
    assert job_with_id(work_store, job).state == FAILED
    assert "nowhere" in str(job_with_id(work_store, job).message)


def test_training_scoring_and_best_of_n_return_what_the_pages_show(work_store, chat_server, small_model):
    """Sixteen rankings train a model; the second completion is scored as if it were alone; best of 3 are in order."""
    prompts = [user_prompt(f"Name a thing that is {word}.") for word in "abcdefghijklmnop"]
    add_groups(work_store, [ranked_group(prompt) for prompt in prompts])
    features = request_job(work_store, "features")
    do(work_store, "features")
    assert job_with_id(work_store, features).result == {"prompts": len(PROMPTS) + len(prompts)}
    make_version(work_store, "frozen", Recipe("default"))
    train = request_job(work_store, "train", version="frozen")
    do(work_store, "train")
    trained = job_with_id(work_store, train)
    assert trained.state == DONE, trained.message
    assert trained.result["report"]["version"] == "frozen"
    folder = Path(trained.result["folder"])
    assert folder.parent == data_folder() / "runs"
    assert trained.result["report"] == json.loads((folder / "report.json").read_text())

    request = {"folder": str(folder), "messages": PROMPTS[0].as_dicts}
    score = request_job(work_store, "score", completions=["Yes.", "No."], **request)
    do(work_store, "score")
    rewards = job_with_id(work_store, score).result
    assert rewards["completions"] == ["Yes.", "No."]
    alone = RewardModel.load(folder).score(PROMPTS[0].messages, ["No."])
    assert rewards["rewards"][1] == pytest.approx(alone[0], abs=1e-4)

    best = request_job(work_store, "best_of_n", n=3, policy="p", **request)
    do(work_store, "best_of_n")
    result = job_with_id(work_store, best).result
    assert sorted(result["completions"]) == sorted(f"text {body['seed']}" for body in chat_server.bodies)
    assert len(set(result["completions"])) == 3
    assert result["rewards"] == sorted(result["rewards"], reverse=True)


def test_best_of_n_with_an_unknown_policy_names_the_known_ones(work_store):
    job = request_job(work_store, "best_of_n", folder="x", messages=PROMPTS[0].as_dicts, n=2, policy="q")
    do(work_store, "best_of_n")
    assert job_with_id(work_store, job).message == say("workbench.jobs.unknown_policy", name="q", names="p")


def test_a_worker_that_is_stopped_queues_its_job_again(work_store, chat_server, monkeypatch):
    def end(body):
        execution.stopping.set()
        return chat_server.hang(body)

    chat_server.answer = end
    monkeypatch.setattr(execution, "stopping", threading.Event())
    sample_if_needed(work_store)
    with pytest.raises(execution.WorkerStopping):
        do(work_store, "sample")
    assert latest_job(work_store, "sample").state == QUEUED


def test_the_jobs_of_a_killed_worker_are_queued_when_the_next_worker_starts(work_store):
    running, queued = add_job(work_store, "train"), add_job(work_store, "score")
    execution.start_job(work_store, running)
    execution.resume_jobs(work_store)
    jobs = [(job.id, job.state) for job in unfinished_jobs(work_store)]
    assert jobs[:2] == [(running, QUEUED), (queued, QUEUED)]
    assert jobs[2:] == [(latest_job(work_store, "sample").id, QUEUED)]


# Training


def rank(store, count, start=0, **of_ranking):
    """Store this many rankings, each of a prompt of its own."""
    created = [ranked_group(user_prompt(f"Name thing {number}.")) for number in range(start, start + count)]
    add_groups(store, [replace(item, rankings=(replace(item.rankings[0], **of_ranking),)) for item in created])


def end(store, job):
    start_job(store, job)
    end_job(store, job, DONE, "Trained.")


def test_a_project_retrains_after_the_set_number_of_new_rankings(work_store, chat_server):
    """Every 3: at 5, for none was before; then at 8, and not at 10, where a skip and a repeat come; but at 11."""
    rank(work_store, 5)
    assert retrain_if_due(work_store) is None  # as it is set at first, never
    save_settings(work_store, settings_for(chat_server, retrain_every=3))
    first = retrain_if_due(work_store)
    assert job_with_id(work_store, first).arguments == {"method": "head", "newest_ranking": 5}
    rank(work_store, 3, 5)
    assert retrain_if_due(work_store) is None  # one is under way
    end(work_store, first)
    second = retrain_if_due(work_store)
    end(work_store, second)
    rank(work_store, 2, 8)
    rank(work_store, 1, 10, outcome="skipped", order=())
    rank(work_store, 1, 11, purpose="repeat")
    assert retrain_if_due(work_store) is None
    rank(work_store, 1, 12)
    assert retrain_if_due(work_store, "default") not in (first, second, None)


def test_a_queued_job_is_not_requested_twice(work_store):
    """Done again by pressing twice, and the features of everything by a worker that was started and ended twice."""
    failed = request_job(work_store, "doubts", "default")
    end_job(work_store, start_job(work_store, failed).id, FAILED, "No.")
    once, twice = (retry_job(work_store, job_with_id(work_store, failed)) for _ in range(2))
    assert once == twice != failed
    add_groups(work_store, planted_groups(2))
    for _ in range(2):
        execution._completions_seen.clear()
        execution._request_features_of_imports(work_store)
    assert [job.kind for job in unfinished_jobs(work_store)] == ["doubts", "features"]


def test_suspect_rankings_are_found_and_too_few_prompts_give_a_message(work_store, small_model):
    few = request_job(work_store, "doubts", "default")
    do(work_store, "doubts")
    assert job_with_id(work_store, few).state == FAILED
    assert str(job_with_id(work_store, few).message).startswith("Too few ranked prompts to find suspect rankings: 0")
    add_groups(work_store, planted_groups(40))
    enough = request_job(work_store, "doubts", "default")
    do(work_store, "doubts")
    result = job_with_id(work_store, enough)
    assert (result.state, result.message) == (DONE, say("workbench.jobs.suspects_found", count=40))
    assert (result.result["rankings"], result.result["comparisons"]) == (40, 120)


def test_training_requested_by_a_person_restarts_the_count(work_store, chat_server):
    save_settings(work_store, settings_for(chat_server, retrain_every=2))
    rank(work_store, 2)
    end(work_store, request_job(work_store, "train", "default", method="head"))
    assert retrain_if_due(work_store) is None


def test_of_many_processes_that_find_training_due_at_once_one_requests_it(work_store, chat_server):
    save_settings(work_store, settings_for(chat_server, retrain_every=2))
    rank(work_store, 2)
    together, request = threading.Barrier(8), []

    def find():
        together.wait()
        request.append(retrain_if_due(work_store))

    threads = [threading.Thread(target=find) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (job,) = unfinished_jobs(work_store)
    assert [item for item in request if item] == [job.id]


def test_fine_tuning_resumes_where_a_worker_restart_or_a_person_interrupted_it(work_store, small_model, monkeypatch):
    """Of four steps, two an epoch, the worker ends where it reports the second; the next is stopped at the third.

    A job of its own goes on with what that left, and takes the fourth alone.
    """
    add_groups(work_store, planted_groups(16))
    job = request_job(work_store, "train", "default", method="last-layers")
    ends, steps, report = threading.Event(), [], execution.report_progress

    def cut_off(store, job, done, total, message, worker):
        if str(message).startswith("Step"):
            steps.append((done, total))
            if done == 1:
                ends.set()
            if done == 3:
                ask_to_stop(store, job)
        report(store, job, done, total, message, worker)

    monkeypatch.setattr(execution, "stopping", ends)
    monkeypatch.setattr(execution, "REPORT_EVERY", 0)
    monkeypatch.setattr(execution, "report_progress", cut_off)
    with pytest.raises(execution.WorkerStopping):
        do(work_store, "train")
    assert latest_job(work_store, "train").state == QUEUED
    folder = unfinished_run(job)
    assert [line["step"] for line in log_of(folder) if "loss" in line] == [1, 2]

    ends.clear()
    do(work_store, "train")
    assert (latest_job(work_store, "train").state, unfinished_run(job)) == (STOPPED, folder)
    again = request_job(work_store, "train", "default", method="last-layers", continues=job)
    do(work_store, "train")
    assert job_with_id(work_store, again).state == DONE, job_with_id(work_store, again).message
    assert (steps, unfinished_run(job)) == ([(1, 4), (3, 4), (4, 4)], None)
    (run,) = runs("default")
    assert (run.folder, run.method, run.project) == (folder, "last-layers", "default")
    assert [line["step"] for line in log_of(folder) if "loss" in line] == [1, 2, 3, 4]


# Worker processes


def until(condition):
    """Wait until the condition holds: another process or thread makes it so."""
    waiting = threading.Event()
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, "it did not come to pass"
        waiting.wait(0.02)


@pytest.fixture
def start_worker(work_store):
    started = []

    def start(**options):
        program = [sys.executable, "-c", "from workbench.jobs.worker import run_worker; run_worker()"]
        process = subprocess.Popen(program, cwd=ROOT, stderr=subprocess.PIPE, text=True, **options)
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()
        process.stderr.close()


def test_a_worker_killed_within_a_batch_loses_nothing_and_nothing_is_sampled_twice(
    work_store, chat_server, start_worker, small_model
):
    """The server stalls at the eighth request, amid the third batch; the worker is killed there, and another started.

    All five prompts then have K = 3 completions, each at a seed that the first worker asked for or would have. A third
    worker is refused. The second, told to end amid a batch that had interrupted a features job, leaves both queued.
    """
    save_settings(work_store, settings_for(chat_server, ready_ahead=5))
    stalled = threading.Event()

    def stall(body):
        if len(chat_server.bodies) >= 8:
            stalled.set()
            return chat_server.hang(body)
        return says(f"text {body['seed']}")

    chat_server.answer = stall
    assert not worker_is_alive(work_store)
    sample_if_needed(work_store)
    first = start_worker()
    assert stalled.wait(PATIENCE)
    assert worker_is_alive(work_store)
    first.send_signal(signal.SIGKILL)
    first.wait()
    assert latest_job(work_store, "sample").state == RUNNING
    chat_server.answer = lambda body: says(f"text {body['seed']}")

    second = start_worker()
    until(lambda: item_counts(work_store)["ready"] == 5)
    assert all(len(group.completions) == 3 for group in groups(work_store))
    until(lambda: latest_job(work_store, "sample").state == DONE)
    seeds = [body["seed"] for body in chat_server.bodies]
    saved = {completion.seed for group in groups(work_store) for completion in group.completions}
    assert set(seeds) == saved

    third = start_worker()
    assert third.wait(PATIENCE) == 1
    assert "already has a worker" in third.stderr.read()

    stalled.clear()
    chat_server.answer = lambda body: stalled.set() or chat_server.hang(body)
    add_prompts(work_store, [user_prompt("One more?")])
    save_settings(work_store, settings_for(chat_server, ready_ahead=6))
    sample_if_needed(work_store)
    assert stalled.wait(PATIENCE)
    second.send_signal(signal.SIGTERM)
    assert second.wait(PATIENCE) == 0
    assert {job.state for job in unfinished_jobs(work_store)} == {QUEUED}
    assert latest_job(work_store, "sample").state == QUEUED
    assert "ERROR" not in second.stderr.read()


def test_a_worker_ends_with_the_process_that_started_it(work_store, start_worker):
    """A shell starts the worker, waits until its lock is held, and is killed."""
    program = (
        "import subprocess, sys\n"
        "work = 'from workbench.jobs.worker import run_worker; run_worker()'\n"
        "worker = subprocess.Popen([sys.executable, '-c', work])\n"
        "print(worker.pid, flush=True)\n"
        "worker.wait()\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    worker = int(parent.stdout.readline())
    try:
        until(lambda: worker_is_alive(work_store))
        parent.kill()
        parent.wait()
        until(lambda: not worker_is_alive(work_store))
    finally:
        parent.stdout.close()
        parent.kill()
        with contextlib.suppress(ProcessLookupError):
            os.kill(worker, signal.SIGKILL)

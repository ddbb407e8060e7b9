"""Jobs: queue, start, report progress, end."""

import threading
import time

import pytest
from sqlalchemy import update

from label_data.database import schema
from label_data.database.engine import writing
from label_data.sentences import plain, say
from label_data.store.jobs import (
    DONE,
    FAILED,
    QUEUED,
    RUNNING,
    STOPPED,
    JobLost,
    JobStopped,
    add_job,
    add_job_after,
    ask_to_stop,
    end_job,
    job_with_id,
    latest_job,
    report_progress,
    requeue_job,
    start_job,
    unfinished_jobs,
)
from store_fixtures import on_sqlite


def state_of(store, job):
    return job_with_id(store, job).state


def test_a_job_is_queued_then_running_then_done_with_its_result(store):
    job = add_job(store, "score", {"folder": "runs/a", "completions": ["one", "二"]})
    queued = job_with_id(store, job)
    assert (queued.state, queued.arguments) == (QUEUED, {"folder": "runs/a", "completions": ["one", "二"]})
    assert (queued.seconds, queued.result, queued.ended) == (0, None, False)
    assert start_job(store, job).state == RUNNING
    report_progress(store, job, 1, 2, "Half way.")
    running = job_with_id(store, job)
    assert (running.done, running.total, running.message) == (1, 2, plain("Half way."))
    assert running.seconds >= 0
    end_job(store, job, DONE, "Scored.", {"rewards": [0.5, -1.25]})
    done = job_with_id(store, job)
    assert (done.state, done.message, done.result) == (DONE, plain("Scored."), {"rewards": [0.5, -1.25]})
    assert done.ended


@on_sqlite
def test_the_message_of_a_job_is_a_sentence_in_any_language_and_an_earlier_versions_message_stays_as_it_is(store):
    job = add_job(store, "train")
    start_job(store, job)
    assert job_with_id(store, job).message.render("zh") == "已开始。"
    end_job(store, job, FAILED, say("label_data.records.too_long", what=plain("It"), count=4_000, most=3))
    assert str(job_with_id(store, job).message) == "It is too long: 4,000 characters, limit 3. Shorten it."
    with writing(store) as connection:
        connection.execute(update(schema.jobs).values(message="Trained."))
    assert job_with_id(store, job).message == plain("Trained.")


def test_a_requeued_job_has_no_running_time(store):
    job = add_job(store, "train")
    start_job(store, job)
    time.sleep(0.01)
    requeue_job(store, job)
    assert job_with_id(store, job).seconds == 0


def test_a_job_that_has_ended_is_not_started_again(store):
    for state in (DONE, FAILED, STOPPED):
        job = add_job(store, "train")
        start_job(store, job)
        end_job(store, job, state, "Over.")
        assert start_job(store, job) is None
        assert state_of(store, job) == state


def test_an_unknown_id_or_kind_gives_no_job(store):
    assert job_with_id(store, "nothing") is None
    assert latest_job(store, "train") is None
    assert start_job(store, "nothing") is None


def test_a_running_job_that_was_asked_to_stop_stops_when_it_reports_progress(store):
    job = add_job(store, "sample")
    start_job(store, job)
    report_progress(store, job, 1, 9, "One.")
    ask_to_stop(store, job)
    with pytest.raises(JobStopped):
        report_progress(store, job, 2, 9, "Two.")
    assert (job_with_id(store, job).done, state_of(store, job)) == (2, RUNNING)


def test_a_queued_job_that_was_asked_to_stop_never_runs(store):
    job = add_job(store, "sample")
    ask_to_stop(store, job)
    assert start_job(store, job) is None
    assert state_of(store, job) == STOPPED


def test_a_job_whose_worker_died_can_be_queued_and_started_again(store):
    job = add_job(store, "train")
    start_job(store, job)
    requeue_job(store, job)
    assert job_with_id(store, job).message == say("label_data.store.job_requeued")
    assert start_job(store, job).state == RUNNING


def test_only_one_of_many_workers_starts_a_job(store):
    job, start, started = add_job(store, "train"), threading.Barrier(6), []

    def try_to_start(worker):
        start.wait()
        result = start_job(store, job, worker)
        if result is not None:
            started.append(result.worker)

    threads = [threading.Thread(target=try_to_start, args=(f"worker {number}",)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert started == [job_with_id(store, job).worker]


@pytest.mark.parametrize(
    "change",
    [
        lambda store, job: report_progress(store, job, 1, 2, "Mine?", "other"),
        lambda store, job: end_job(store, job, DONE, "Mine?", worker="other"),
        lambda store, job: requeue_job(store, job, "other"),
    ],
)
def test_only_the_worker_that_owns_a_job_can_report_end_or_requeue_it(store, change):
    job = add_job(store, "train")
    start_job(store, job, "one")
    before = job_with_id(store, job)
    with pytest.raises(JobLost):
        change(store, job)
    after = job_with_id(store, job)
    assert (after.state, after.message, after.worker) == (before.state, before.message, "one")


def test_only_the_first_who_saw_the_newest_job_adds_the_next(store):
    first = add_job_after(store, None, "sample", {})
    assert first is not None
    assert add_job_after(store, None, "sample", {}) is None
    assert add_job_after(store, None, "train", {}) is not None
    assert add_job_after(store, first, "sample", {"again": 1}) == latest_job(store, "sample").id


def test_unfinished_jobs_come_oldest_first_and_the_latest_is_found_by_kind(store):
    first, second, third = add_job(store, "sample"), add_job(store, "train"), add_job(store, "sample")
    assert [job.id for job in unfinished_jobs(store)] == [first, second, third]
    start_job(store, first)
    end_job(store, first, DONE, "Done.")
    assert [job.id for job in unfinished_jobs(store)] == [second, third]
    assert latest_job(store, "sample").id == third
    assert latest_job(store, "train").id == second


@on_sqlite
def test_a_result_that_is_not_json_is_refused(store):
    job = add_job(store, "train")
    start_job(store, job)
    with pytest.raises(ValueError, match="JSON"):
        end_job(store, job, DONE, "Done.", {"accuracy": float("nan")})
    assert state_of(store, job) == RUNNING

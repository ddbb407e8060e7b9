"""Workers report that they are alive; the jobs of a worker that is gone are queued again."""

from sqlalchemy import update

from label_data.database.engine import writing
from label_data.database.schema import now_us, workers
from label_data.store.jobs import QUEUED, RUNNING, add_job, job_with_id, start_job, unfinished_jobs
from label_data.store.workers import (
    GONE_AFTER,
    Worker,
    living_workers,
    register_worker,
    report_alive,
    requeue_orphans,
    unregister_worker,
)


def silent_for(store, worker, seconds):
    with writing(store) as connection:
        own_tasks = update(workers).where(workers.c.id == worker)
        connection.execute(own_tasks.values(seen_us=now_us() - int(seconds * 1_000_000)))


def test_a_worker_is_living_from_registration_until_it_unregisters(store):
    assert living_workers(store) == []
    first, second = register_worker(store, "one:/data"), register_worker(store, "two:/data")
    assert living_workers(store) == [Worker(first, "one:/data"), Worker(second, "two:/data")]
    unregister_worker(store, first)
    assert living_workers(store) == [Worker(second, "two:/data")]


def test_a_worker_that_stops_reporting_is_gone_until_it_reports_again(store):
    worker = register_worker(store, "one:/data")
    silent_for(store, worker, GONE_AFTER + 1)
    assert living_workers(store) == []
    report_alive(store, worker, "one:/data")
    assert living_workers(store) == [Worker(worker, "one:/data")]
    silent_for(store, worker, GONE_AFTER - 10)
    assert living_workers(store) == [Worker(worker, "one:/data")]


def test_only_jobs_of_workers_that_are_gone_are_queued_again(store):
    """Four jobs run: of one who is there, one who went silent, one who left, and nobody known."""
    there, silent, left = (
        register_worker(store, "there"),
        register_worker(store, "silent"),
        register_worker(store, "left"),
    )
    jobs = [add_job(store, "train") for _ in range(4)]
    for job, worker in zip(jobs, (there, silent, left, None), strict=True):
        start_job(store, job, worker)
    assert requeue_orphans(store) == 1
    unregister_worker(store, left)
    silent_for(store, silent, GONE_AFTER + 1)
    assert requeue_orphans(store) == 2
    assert requeue_orphans(store) == 0
    assert [job.state for job in unfinished_jobs(store)] == [RUNNING, QUEUED, QUEUED, QUEUED]
    assert str(job_with_id(store, jobs[1]).message) == "Queued again: the worker was restarted."


def test_the_jobs_of_a_killed_worker_are_requeued_once_another_replaces_it(store):
    killed = register_worker(store, "one:/data")
    job = add_job(store, "train")
    start_job(store, job, killed)
    register_worker(store, "one:/data", instead_of=killed)
    assert requeue_orphans(store) == 1
    assert job_with_id(store, job).state == QUEUED


def test_a_removed_worker_that_reports_is_registered_again(store):
    worker = register_worker(store, "one:/data")
    unregister_worker(store, worker)
    report_alive(store, worker, "one:/data")
    assert living_workers(store) == [Worker(worker, "one:/data")]

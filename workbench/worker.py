"""The worker: one process that does the jobs, so that no page ever waits for a model."""

import contextlib
import fcntl
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator

from label_data.data_folder import data_folder
from label_data.records import InputError
from workbench.jobs import queue, wake, worker_lock

log = logging.getLogger("workbench.worker")
NICENESS = 10
"""Pages come first where cores are few."""
LOOK_EVERY = 0.5
"""Seconds between two looks at the parent process, and at most between two at an empty queue."""
LAST_SECONDS = 5.0
"""How long the job under way may take to notice that the worker is to end."""
LOCK_SECONDS = 5.0
"""How long to wait for a worker that is just ending, or a page that is just looking."""


def run_worker() -> None:
    """Do the jobs of the data folder until SIGINT, SIGTERM, or the end of the process that started this one.

    A job under way then stops between two tokens and is queued again; so is, at the next start, one that a kill cut
    off. Exits with a sentence if another worker serves the folder: two would sample the same prompts.
    """
    parent, ended = os.getppid(), threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda _number, _frame: ended.set())
    _log_quietly()
    os.nice(NICENESS)
    # One core stays free: with as many threads as cores, each step waits for the thread that a page holds up. torch
    # reads this when it is imported, which no job has done yet.
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, len(os.sched_getaffinity(0)) - 1)))
    try:
        with _only_worker():
            _serve(parent, ended)
    except InputError as error:
        sys.exit(str(error))


def _log_quietly() -> None:
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", level=logging.WARNING)
    log.setLevel(logging.INFO)


@contextlib.contextmanager
def _only_worker() -> Iterator[None]:
    """Hold the worker's lock, which pages read as a sign of life."""
    data_folder().mkdir(parents=True, exist_ok=True)
    with worker_lock().open("a") as file:
        until = time.monotonic() + LOCK_SECONDS
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > until:
                    raise InputError(f"A worker serves {data_folder()} already. Stop that one first.") from None
                time.sleep(0.1)
        yield


def _serve(parent: int, ended: threading.Event) -> None:
    from workbench import tasks

    tasks.take_up_again(tasks.worker_store())
    # One thread: see workbench.tasks. huey's own signal handlers would let a job run to its end, or restart.
    queue().flush()  # what waits is in the jobs table; old messages would only wake in vain
    consumer = queue().create_consumer(workers=1, max_delay=LOOK_EVERY)
    consumer._set_signal_handlers = lambda: None
    consumer.start()
    wake()
    log.info("worker started, process %d, data in %s", os.getpid(), data_folder())
    while not ended.wait(LOOK_EVERY) and os.getppid() == parent:
        consumer.check_worker_health()
    tasks.stopping.set()
    consumer.shutdown_timeout = LAST_SECONDS
    consumer.stop(graceful=True)
    log.info("worker ended")
    logging.shutdown()
    if any(thread.is_alive() for _, thread in consumer.worker_threads):
        os._exit(0)  # a thread inside torch can't be ended; its job is queued again at the next start

"""The worker: a process that executes jobs, so that no page ever waits for a model.

A data folder has one worker. Workers on several machines, each with its own data folder, may share a store.
"""

import contextlib
import fcntl
import logging
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from functools import partial
from typing import TextIO

from label_data.data_folder import create_data_folder, data_folder
from label_data.database.engine import Store
from label_data.errors import InputError
from label_data.store.workers import SEEN_EVERY, register_worker, report_alive, requeue_orphans, unregister_worker
from workbench.jobs.queue import wake, worker_lock, worker_queue
from workbench.logs import log_as_json

log = logging.getLogger("workbench.worker")
NICENESS = 10
"""Gives pages priority on machines with few cores."""
LOOK_EVERY = 0.5
"""Seconds between two checks of the parent process, and the maximum between two checks of an empty queue."""
LAST_SECONDS = 5.0
"""How long the running job may take to notice that the worker is to end."""
LOCK_SECONDS = 5.0
"""How long to wait for a previous worker that is just ending."""


def run_worker() -> None:
    """Execute jobs until SIGINT, SIGTERM, or the end of the parent process.

    The running job then stops between two tokens and is queued again. A job that a kill interrupted is queued again at
    the next start. Exits with an error if the data folder already has a worker: the two would share files and cores.
    """
    parent, ended = os.getppid(), threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda _number, _frame: ended.set())
    log_as_json()
    log.setLevel(logging.INFO)
    os.nice(NICENESS)
    # One core stays free: with as many threads as cores, each step waits for the thread that a page delays. torch
    # reads this when it is imported, which no job has done yet.
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, len(os.sched_getaffinity(0)) - 1)))
    try:
        with _only_worker() as lock:
            _serve(parent, ended, lock)
    except InputError as error:
        sys.exit(str(error))


@contextlib.contextmanager
def _only_worker() -> Iterator[TextIO]:
    """Hold the lock of the data folder's worker. Yields the lock file, which holds the previous worker's id."""
    create_data_folder()
    with worker_lock().open("a+") as file:
        deadline = time.monotonic() + LOCK_SECONDS
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise InputError("workbench.jobs.second_worker", folder=data_folder()) from None
                time.sleep(0.1)
        yield file


def _serve(parent: int, ended: threading.Event, lock: TextIO) -> None:
    from workbench.jobs import execution

    store, place = execution.worker_store(), f"{socket.gethostname()}:{data_folder().resolve()}"
    execution.worker = _register(store, place, lock)
    execution.resume_jobs(store)
    threading.Thread(target=_show_life, args=(store, execution.worker, place, ended), daemon=True).start()
    # One thread: see workbench.jobs.execution. huey's signal handlers would let a job run to its end, or restart.
    consumer = worker_queue(partial(execution.work, store)).create_consumer(workers=1, max_delay=LOOK_EVERY)
    consumer._set_signal_handlers = lambda: None
    consumer.start()
    wake()
    log.info("worker started", extra={"worker": execution.worker, "process_id": os.getpid(), "place": place})
    while not ended.wait(LOOK_EVERY) and os.getppid() == parent:
        consumer.check_worker_health()
    ended.set()
    execution.stopping.set()
    consumer.shutdown_timeout = LAST_SECONDS
    consumer.stop(graceful=True)
    is_stuck = any(thread.is_alive() for _, thread in consumer.worker_threads)
    unregister_worker(store, execution.worker)
    log.info("worker ended", extra={"worker": execution.worker})
    logging.shutdown()
    if is_stuck:
        os._exit(0)  # a thread inside torch can't be ended; the next worker queues its job again


def _register(store: Store, place: str, lock: TextIO) -> str:
    """Register in the store and return the worker's id. Replaces the folder's last worker, whose lock was free."""
    lock.seek(0)
    worker = register_worker(store, place, instead_of=lock.read())
    lock.truncate(0)
    lock.write(worker)
    lock.flush()
    return worker


def _show_life(store: Store, worker: str, place: str, ended: threading.Event) -> None:
    """Until the worker ends, record that it is alive, and queue the jobs of workers that are gone."""
    while not ended.wait(SEEN_EVERY):
        try:
            report_alive(store, worker, place)
            if orphans := requeue_orphans(store):
                log.warning("queued the jobs of workers that are gone", extra={"jobs": orphans})
                wake()
        except Exception as error:  # a database that is unreachable for a while must not end this thread
            log.warning(
                "could not record that the worker is alive", extra={"worker": worker, "error": type(error).__name__}
            )

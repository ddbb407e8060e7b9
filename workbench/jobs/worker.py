"""A worker: a process that does the jobs, so that no page ever waits for a model.

One serves a data folder. Several, on machines and in data folders of their own, may share a store.
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
"""Pages come first where cores are few."""
LOOK_EVERY = 0.5
"""Seconds between two looks at the parent process, and at most between two at an empty queue."""
LAST_SECONDS = 5.0
"""How long the job under way may take to notice that the worker is to end."""
LOCK_SECONDS = 5.0
"""How long to wait for a worker that is just ending."""


def run_worker() -> None:
    """Do the jobs of the data folder until SIGINT, SIGTERM, or the end of the process that started this one.

    A job under way then stops between two tokens and is queued again; so is, at the next start, one that a kill cut
    off. Exits with a sentence if another worker serves the folder: the two would share its files and its cores.
    """
    parent, ended = os.getppid(), threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda _number, _frame: ended.set())
    log_as_json()
    log.setLevel(logging.INFO)
    os.nice(NICENESS)
    # One core stays free: with as many threads as cores, each step waits for the thread that a page holds up. torch
    # reads this when it is imported, which no job has done yet.
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, len(os.sched_getaffinity(0)) - 1)))
    try:
        with _only_worker() as lock:
            _serve(parent, ended, lock)
    except InputError as error:
        sys.exit(str(error))


@contextlib.contextmanager
def _only_worker() -> Iterator[TextIO]:
    """Hold the lock of the data folder's worker, and yield the file: in it is the id of the worker before."""
    create_data_folder()
    with worker_lock().open("a+") as file:
        until = time.monotonic() + LOCK_SECONDS
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > until:
                    raise InputError(f"A worker serves {data_folder()} already. Stop that one first.") from None
                time.sleep(0.1)
        yield file


def _serve(parent: int, ended: threading.Event, lock: TextIO) -> None:
    from workbench.jobs import tasks

    store, place = tasks.worker_store(), f"{socket.gethostname()}:{data_folder().resolve()}"
    tasks.worker = _entered(store, place, lock)
    tasks.take_up_again(store)
    threading.Thread(target=_show_life, args=(store, tasks.worker, place, ended), daemon=True).start()
    # One thread: see workbench.jobs.tasks. huey's own signal handlers would let a job run to its end, or restart.
    consumer = worker_queue(partial(tasks.work, store)).create_consumer(workers=1, max_delay=LOOK_EVERY)
    consumer._set_signal_handlers = lambda: None
    consumer.start()
    wake()
    log.info("worker started", extra={"worker": tasks.worker, "process_id": os.getpid(), "place": place})
    while not ended.wait(LOOK_EVERY) and os.getppid() == parent:
        consumer.check_worker_health()
    ended.set()
    tasks.stopping.set()
    consumer.shutdown_timeout = LAST_SECONDS
    consumer.stop(graceful=True)
    is_stuck = any(thread.is_alive() for _, thread in consumer.worker_threads)
    unregister_worker(store, tasks.worker)
    log.info("worker ended", extra={"worker": tasks.worker})
    logging.shutdown()
    if is_stuck:
        os._exit(0)  # a thread inside torch can't be ended; its job is queued again by who comes next


def _entered(store: Store, place: str, lock: TextIO) -> str:
    """Enter the store in the stead of the folder's last worker, which is gone: its lock was free."""
    lock.seek(0)
    worker = register_worker(store, place, instead_of=lock.read())
    lock.truncate(0)
    lock.write(worker)
    lock.flush()
    return worker


def _show_life(store: Store, worker: str, place: str, ended: threading.Event) -> None:
    """Say that this worker is there, and look for others that are gone, until it ends."""
    while not ended.wait(SEEN_EVERY):
        try:
            report_alive(store, worker, place)
            if orphans := requeue_orphans(store):
                log.warning("jobs queued again whose workers are gone", extra={"jobs": orphans})
                wake()
        except Exception as error:  # a database that is away for a while must not end this
            log.warning("could not show life", extra={"worker": worker, "error": type(error).__name__})

"""Faults to plant into a writer's process, which prove that the checker detects them."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from secrets import token_hex
from typing import Any

from sqlalchemy import Connection

from label_data.assignment import answers, tasks
from label_data.database.engine import Store, writing
from label_data.settings import ProjectSettings
from tests.whole.nothing_lost.history import History


def acknowledge_early(history: History) -> None:
    """Acknowledge a ranking 50 ms before it is committed."""

    @contextmanager
    def early(store: Store, concurrently: bool = False) -> Iterator[Connection]:
        with writing(store, concurrently) as connection:
            yield connection
            last = history.calls[-1]
            if last.what == "submit" and not any(call.fields == last.fields for call in history.calls[:-1]):
                history.was_told("saved")
                time.sleep(0.05)

    answers.writing = early


def lease_without_place(_history: History) -> None:
    """Lease a prompt regardless of how many annotators have it."""
    lease_more = tasks.lease_more

    def careless(connection: Connection, project: str, annotator: str, settings: ProjectSettings, *more: Any) -> None:
        lease_more(connection, project, annotator, replace(settings, annotators_per_prompt=100), *more)

    tasks.lease_more = careless


def submit_without_key(_history: History) -> None:
    """Store every submission as new, whatever its name and whatever its task already has."""
    submit = answers.submit

    def anew(store: Store, answer: answers.Answer, annotator: str) -> str:
        with writing(store) as connection:
            connection.exec_driver_sql("DROP INDEX IF EXISTS uq_rankings_task")
        return submit(store, replace(answer, submission=token_hex(16), revises=None), annotator)

    def anew_then_next(store: Store, answer: answers.Answer, annotator: str) -> tuple[str, list[tasks.Task]]:
        return anew(store, answer, annotator), []

    answers.submit, answers.submit_then_next = anew, anew_then_next


def count_without_lock(_history: History) -> None:
    """Read the counters without a lock, so that on PostgreSQL others can read them at the same moment."""
    answers._LOCKED = answers._TASK_AND_ITEM


MUTANTS: dict[str, Callable[[History], None]] = {
    "early": acknowledge_early,
    "no-place": lease_without_place,
    "no-key": submit_without_key,
    "no-lock": count_without_lock,
}

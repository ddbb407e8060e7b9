"""What an annotator did: their own rankings, to be listed, searched, and opened to be changed."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, select

from label_data import schema
from label_data.assignment import Task, task_in, task_of
from label_data.contents import groups_in
from label_data.database import Store, reading
from label_data.records import Demonstration, Group, InputError, Ranking

_later = schema.rankings.alias("later")
_is_newest = ~select(_later.c.number).where(_later.c.revises == schema.rankings.c.submission).exists()


def current_submission(connection: Connection, token: str) -> str | None:
    """Return the submission of the task's newest ranking, or None if it has none."""
    rankings = schema.rankings
    return connection.scalar(select(rankings.c.submission).where(rankings.c.task == token, _is_newest))


@dataclass(frozen=True, slots=True)
class Work:
    """One task that its annotator has ranked: what My work lists, and what is opened to be changed."""

    task: Task
    ranking: Ranking
    """The newest of its chain."""
    demonstration: Demonstration | None = None
    """What was written with it."""


def work_of(store: Store, annotator: str, search: str = "", limit: int = 20) -> list[Work]:
    """Return up to `limit` of the annotator's own rankings, newest first, whose prompt has the text, case aside."""
    wanted = search.casefold().strip()
    found: list[Work] = []
    with reading(store) as connection:
        last = None
        while len(found) < limit and (rows := _ranked_rows(connection, annotator, last)):
            last = rows[-1].ranking_number
            by_prompt = {group.prompt.id: group for group in groups_in(connection, [row.prompt_id for row in rows])}
            for row in rows:
                group = by_prompt[row.prompt_id]
                if any(wanted in message.content.casefold() for message in group.prompt.messages):
                    found.append(_work(connection, row, row.submission, group))
    return found[:limit]


def _ranked_rows(connection: Connection, annotator: str, before: int | None) -> Sequence[Row[Any]]:
    """Return up to 100 of the annotator's ranked tasks, the newest current ranking first."""
    tasks, items, rankings = schema.tasks, schema.items, schema.rankings
    query = (
        select(tasks, items.c.prompt_id, rankings.c.number.label("ranking_number"), rankings.c.submission)
        .join(rankings, rankings.c.task == tasks.c.token)
        .join(items, items.c.number == tasks.c.item)
        .where(tasks.c.annotator == annotator, _is_newest)
        .order_by(rankings.c.number.desc())
        .limit(100)
    )
    return connection.execute(query if before is None else query.where(rankings.c.number < before)).all()


def _work(connection: Connection, task: Row[Any], submission: str, group: Group) -> Work:
    (ranking,) = (ranking for ranking in group.rankings if ranking.submission == submission)
    written = (found for found in group.demonstrations if found.submission == submission)
    return Work(task_of(connection, task, group), ranking, next(written, None))


def reopened(store: Store, token: str, annotator: str) -> Work:
    """Return the annotator's ranked task, to be changed; InputError if it is not theirs or not ranked yet."""
    with reading(store) as connection:
        task = task_in(connection, token, annotator)
        current = current_submission(connection, token)
        if current is None:
            raise InputError("This prompt is not ranked yet. Rank it on the Rank page.")
        (group,) = groups_in(connection, [task.prompt_id])
        return _work(connection, task, current, group)


def policies_of(store: Store, token: str, annotator: str) -> tuple[str, ...]:
    """Return who wrote what the annotator was shown, in that order; InputError before it is ranked."""
    return tuple(completion.policy or "?" for completion in reopened(store, token, annotator).task.completions)

"""What an annotator did: their own rankings, to be listed, searched, opened to be changed, and withdrawn."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, bindparam, insert, select, update

from label_data.assignment.tasks import Task, task_of, task_row
from label_data.database import schema
from label_data.database.engine import Store, reading, writing
from label_data.errors import InputError
from label_data.records import Demonstration, Group, Ranking
from label_data.store.counting import LOCKED_ITEM, settle_task
from label_data.store.projects import current_settings
from label_data.store.stored_groups import groups_in

_later = schema.rankings.alias("later")
_is_newest = ~select(_later.c.number).where(_later.c.revises == schema.rankings.c.submission).exists()
_CURRENT = (
    select(schema.rankings.c.submission)
    .join(
        schema.tasks,
        (schema.tasks.c.item == schema.rankings.c.item) & (schema.tasks.c.token == schema.rankings.c.task),
    )
    .where(schema.tasks.c.token == bindparam("of_token"), _is_newest)
)
_is_retracted = (
    select(schema.retractions.c.submission)
    .where(schema.retractions.c.submission == schema.rankings.c.submission)
    .exists()
)


def current_submission(connection: Connection, token: str) -> str | None:
    """Return the submission of the task's newest ranking, or None if it has none."""
    return connection.scalar(_CURRENT, {"of_token": token})


@dataclass(frozen=True, slots=True)
class OwnRanking:
    """One task that its annotator has ranked: what My work lists, and what is opened to be changed."""

    task: Task
    ranking: Ranking
    """The newest of its chain."""
    demonstration: Demonstration | None = None
    """What was written with it."""


def own_rankings(
    store: Store, annotator: str, search: str = "", limit: int = 20, project: str | None = None
) -> list[OwnRanking]:
    """Return up to `limit` of the annotator's own rankings, newest first, whose prompt has the text, case aside.

    `project`: only those made for it. What was withdrawn is not among them.
    """
    wanted = search.casefold().strip()
    found: list[OwnRanking] = []
    with reading(store) as connection:
        last = None
        while len(found) < limit and (rows := _ranked_rows(connection, annotator, project, last)):
            last = rows[-1].ranking_number
            by_prompt = {group.prompt.id: group for group in groups_in(connection, [row.prompt_id for row in rows])}
            for row in rows:
                group = by_prompt[row.prompt_id]
                if any(wanted in message.content.casefold() for message in group.prompt.messages):
                    found.append(_work(connection, row, row.submission, group))
    return found[:limit]


def _ranked_rows(connection: Connection, annotator: str, project: str | None, before: int | None) -> Sequence[Row[Any]]:
    """Return up to 100 of the annotator's ranked tasks, the newest current ranking first."""
    tasks, items, rankings = schema.tasks, schema.items, schema.rankings
    query = (
        select(tasks, items.c.prompt_id, rankings.c.number.label("ranking_number"), rankings.c.submission)
        .join(rankings, rankings.c.task == tasks.c.token)
        .join(items, items.c.number == tasks.c.item)
        .where(rankings.c.annotator == annotator, _is_newest, ~_is_retracted)
        .order_by(rankings.c.number.desc())
        .limit(100)
    )
    if project is not None:
        query = query.where(tasks.c.project == project)
    return connection.execute(query if before is None else query.where(rankings.c.number < before)).all()


def _work(connection: Connection, task: Row[Any], submission: str, group: Group) -> OwnRanking:
    (ranking,) = (ranking for ranking in group.rankings if ranking.submission == submission)
    written = (found for found in group.demonstrations if found.submission == submission)
    return OwnRanking(task_of(connection, task, group), ranking, next(written, None))


def reopen(store: Store, token: str, annotator: str) -> OwnRanking:
    """Return the annotator's ranked task, to be changed; InputError if it is not theirs or not ranked yet."""
    with reading(store) as connection:
        task = task_row(connection, token, annotator)
        current = current_submission(connection, token)
        if current is None:
            raise InputError("This prompt is not ranked yet. Rank it on the Rank page.")
        if task.state == schema.RETRACTED:
            raise InputError("You withdrew this ranking. Go back to your work.")
        (group,) = groups_in(connection, [task.prompt_id])
        return _work(connection, task, current, group)


def own_task(store: Store, submission: str, annotator: str) -> str | None:
    """Return the token of the task that this ranking was made for, if it is the annotator's own and not withdrawn.

    `reopen` then opens it, at the newest ranking of its chain.
    """
    rankings, tasks = schema.rankings, schema.tasks
    query = (
        select(tasks.c.token)
        .join(rankings, rankings.c.task == tasks.c.token)
        .where(rankings.c.submission == submission, tasks.c.annotator == annotator, tasks.c.state == schema.DONE)
    )
    with reading(store) as connection:
        return connection.scalar(query)


def ranking_with(store: Store, submission: str) -> tuple[Group, Ranking] | None:
    """Return the ranking with its prompt and completions, revised or withdrawn since or not; None if unknown."""
    query = select(schema.rankings.c.prompt_id).where(schema.rankings.c.submission == submission)
    with reading(store) as connection:
        prompt = connection.scalar(query)
        if prompt is None:
            return None
        (group,) = groups_in(connection, [prompt], revised=True, retracted=True)
    return group, next(one for one in group.rankings if one.submission == submission)


def policies_shown(store: Store, token: str, annotator: str) -> tuple[str, ...]:
    """Return who wrote what the annotator was shown, in that order; InputError before it is ranked."""
    return tuple(completion.policy or "?" for completion in reopen(store, token, annotator).task.completions)


def retract(store: Store, submission: str, annotator: str) -> bool:
    """Withdraw the annotator's ranking with all its revisions; return False if it was withdrawn before.

    Nothing is deleted, but no reader finds it any more: neither training nor an export, nor what was written with it.
    The place it held is free for another annotator; this one is not asked again. A completion that came of a
    demonstration stays, because others may have ranked it. Raises InputError if the ranking is not this annotator's
    own, or not the newest of its chain.
    """
    rankings, retractions = schema.rankings, schema.retractions
    with writing(store) as connection:
        row = connection.execute(
            select(rankings.c.task, rankings.c.annotator).where(rankings.c.submission == submission)
        ).first()
        if row is None or row.task is None or row.annotator != annotator:
            raise InputError("This ranking is not yours, so you can't withdraw it. Reload the page.")
        number = task_row(connection, row.task, annotator).item
        item = connection.execute(LOCKED_ITEM, {"item_number": number}).one()
        task = connection.execute(
            select(schema.tasks).where(schema.tasks.c.token == row.task).with_for_update(key_share=True)
        ).one()
        if task.state == schema.RETRACTED:
            return False
        if current_submission(connection, row.task) != submission:
            raise InputError("You changed this ranking since. Reload, and withdraw the newest one in My work.")
        chain = connection.scalars(select(rankings.c.submission).where(rankings.c.task == row.task)).all()
        if item.gold in chain:
            connection.execute(update(schema.items).where(schema.items.c.number == number).values(gold=None))
            item = connection.execute(LOCKED_ITEM, {"item_number": number}).one()
        now = schema.now_us()
        for one in chain:
            connection.execute(insert(retractions).values(submission=one, retracted_us=now))
        settings, _ = current_settings(connection, task.project)
        settle_task(connection, item, task, schema.RETRACTED, settings.annotators_per_prompt)
        return True

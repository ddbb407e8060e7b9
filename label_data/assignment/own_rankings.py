"""An annotator's own rankings: list, search, reopen for editing, withdraw."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, bindparam, insert, select, update

from label_data.assignment.tasks import Task, task_of, task_row
from label_data.database import schema
from label_data.database.engine import AnyRow, Store, reading, writing
from label_data.errors import InputError
from label_data.records import Demonstration, Group, Ranking
from label_data.store.counting import LOCKED_ITEM, settle_task
from label_data.store.current_rankings import is_current, is_newest
from label_data.store.projects import current_settings
from label_data.store.stored_groups import groups_in

_CURRENT = (
    select(schema.rankings.c.submission)
    .join(
        schema.tasks,
        (schema.tasks.c.item == schema.rankings.c.item) & (schema.tasks.c.token == schema.rankings.c.task),
    )
    .where(schema.tasks.c.token == bindparam("of_token"), is_newest())
)


def current_submission(connection: Connection, token: str) -> str | None:
    """Return the submission of the task's newest ranking, or None if it has none."""
    return connection.scalar(_CURRENT, {"of_token": token})


@dataclass(frozen=True, slots=True)
class OwnRanking:
    """A task that its annotator has ranked, as listed on My work and reopened for editing."""

    task: Task
    ranking: Ranking
    """The newest ranking of the task."""
    demonstration: Demonstration | None = None
    """The answer written with the ranking."""


def own_rankings(
    store: Store, annotator: str, search: str = "", limit: int = 20, project: str | None = None
) -> list[OwnRanking]:
    """Return up to `limit` of the annotator's current rankings whose prompt contains the text, newest first.

    The search ignores case. With `project`, only its rankings are returned. Withdrawn rankings are left out.
    """
    text = search.casefold().strip()
    matching: list[OwnRanking] = []
    with reading(store) as connection:
        last = None
        while len(matching) < limit and (rows := _ranked_rows(connection, annotator, project, last)):
            last = rows[-1].ranking_number
            by_prompt = {group.prompt.id: group for group in groups_in(connection, [row.prompt_id for row in rows])}
            for row in rows:
                group = by_prompt[row.prompt_id]
                if any(text in message.content.casefold() for message in group.prompt.messages):
                    matching.append(_own_ranking(connection, row, row.submission, group))
    return matching[:limit]


def _ranked_rows(connection: Connection, annotator: str, project: str | None, before: int | None) -> Sequence[AnyRow]:
    """Return up to 100 of the annotator's tasks with a current ranking, newest ranking first."""
    tasks, items, rankings = schema.tasks, schema.items, schema.rankings
    query = (
        select(tasks, items.c.prompt_id, rankings.c.number.label("ranking_number"), rankings.c.submission)
        .join(rankings, rankings.c.task == tasks.c.token)
        .join(items, items.c.number == tasks.c.item)
        .where(rankings.c.annotator == annotator, is_current())
        .order_by(rankings.c.number.desc())
        .limit(100)
    )
    if project is not None:
        query = query.where(tasks.c.project == project)
    return connection.execute(query if before is None else query.where(rankings.c.number < before)).all()


def _own_ranking(connection: Connection, task: AnyRow, submission: str, group: Group) -> OwnRanking:
    (ranking,) = (ranking for ranking in group.rankings if ranking.submission == submission)
    demonstrations = (written for written in group.demonstrations if written.submission == submission)
    return OwnRanking(task_of(connection, task, group), ranking, next(demonstrations, None))


def reopen(store: Store, token: str, annotator: str) -> OwnRanking:
    """Return the annotator's ranked task for editing. Raises InputError if it is not theirs, unranked or withdrawn."""
    with reading(store) as connection:
        task = task_row(connection, token, annotator)
        current = current_submission(connection, token)
        if current is None:
            raise InputError("label_data.assignment.not_ranked")
        if task.state == schema.RETRACTED:
            raise InputError("label_data.assignment.withdrawn")
        (group,) = groups_in(connection, [task.prompt_id])
        return _own_ranking(connection, task, current, group)


def own_task(store: Store, submission: str, annotator: str) -> str | None:
    """Return the token of the ranking's task if the task is the annotator's own and not withdrawn, else None.

    `reopen` opens the task with its newest ranking.
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
    """Return the ranking with its group, even if it was revised or withdrawn; None if it does not exist."""
    query = select(schema.rankings.c.prompt_id).where(schema.rankings.c.submission == submission)
    with reading(store) as connection:
        prompt = connection.scalar(query)
        if prompt is None:
            return None
        (group,) = groups_in(connection, [prompt], revised=True, retracted=True)
    return group, next(ranking for ranking in group.rankings if ranking.submission == submission)


def policies_shown(store: Store, token: str, annotator: str) -> tuple[str, ...]:
    """Return the policies of the completions in the order shown. Raises InputError if the task is not ranked yet."""
    return tuple(completion.policy or "?" for completion in reopen(store, token, annotator).task.completions)


def retract(store: Store, submission: str, annotator: str) -> bool:
    """Withdraw the annotator's ranking with all its revisions; return False if it was withdrawn before.

    Nothing is deleted, but training and exports no longer include the ranking or the demonstration sent with it. Its
    place is free for another annotator; this annotator does not get the prompt again. A completion made from the
    demonstration stays, because others may have ranked it. Raises InputError if the ranking is not this annotator's
    own, or not the newest of its chain.
    """
    rankings, retractions = schema.rankings, schema.retractions
    with writing(store) as connection:
        row = connection.execute(
            select(rankings.c.task, rankings.c.annotator).where(rankings.c.submission == submission)
        ).first()
        if row is None or row.task is None or row.annotator != annotator:
            raise InputError("label_data.assignment.not_own")
        number = task_row(connection, row.task, annotator).item
        item = connection.execute(LOCKED_ITEM, {"item_number": number}).one()
        task = connection.execute(
            select(schema.tasks).where(schema.tasks.c.token == row.task).with_for_update(key_share=True)
        ).one()
        if task.state == schema.RETRACTED:
            return False
        if current_submission(connection, row.task) != submission:
            raise InputError("label_data.assignment.edited_since")
        chain = connection.scalars(select(rankings.c.submission).where(rankings.c.task == row.task)).all()
        if item.gold in chain:
            connection.execute(update(schema.items).where(schema.items.c.number == number).values(gold=None))
            item = connection.execute(LOCKED_ITEM, {"item_number": number}).one()
        now = schema.now_us()
        for revision in chain:
            connection.execute(insert(retractions).values(submission=revision, retracted_us=now))
        settings, _ = current_settings(connection, task.project)
        settle_task(connection, item, task, schema.RETRACTED, settings.annotators_per_prompt)
        return True

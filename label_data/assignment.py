"""Who ranks what next: a task is one prompt leased to one annotator, with the order in which it is shown.

A task's token and the place of a completion on the screen are all that a browser gets to see: nothing that leaves
here tells which policy wrote what. Leases end by the database's clock; work that comes late is kept all the same.
"""

import json
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, delete, insert, select, update

from label_data import schema
from label_data.contents import groups_in
from label_data.database import Store, writing
from label_data.projects import PROJECT, settings_in
from label_data.records import (
    MOST_COMPLETIONS,
    Completion,
    Demonstration,
    Group,
    InputError,
    Prompt,
    Ranking,
    Span,
    canonical,
    distinct,
)
from label_data.settings import ProjectSettings
from label_data.store import add_completion, add_demonstration, add_ranking

SECOND = 1_000_000
AHEAD = 2
"""Tasks that an annotator holds: the one on the screen, and the one sent along so that it is there at once."""
ANNOTATOR_POLICY = "annotator"
"""Policy of a completion that an annotator wrote. It names nobody: who wrote it is in the demonstration."""


@dataclass(frozen=True, slots=True)
class Task:
    """One prompt to be ranked by one annotator."""

    token: str
    """Random; the browser sends it back."""
    prompt: Prompt
    completions: tuple[Completion, ...]
    """In the order shown."""
    annotator: str
    assigned: int
    """Microseconds since 1970, UTC."""
    draft: str = ""
    """The half-done ranking, as this annotator's browser wrote it (`label_data.drafts`); empty if there is none."""


def next_tasks(store: Store, annotator: str, project: str = PROJECT, count: int = AHEAD) -> list[Task]:
    """Return the annotator's open tasks, oldest first, leasing more up to `count` while there are prompts.

    Asked twice it gives the same tasks: a reload or a second tab shows what the first showed. Each lease starts
    anew when its task is asked for.
    """
    tasks, items = schema.tasks, schema.items
    with writing(store) as connection:
        settings, _ = settings_in(connection, project)
        _expire(connection)
        lease = settings.lease_minutes * 60 * SECOND
        mine = (tasks.c.annotator == annotator) & (tasks.c.state == schema.OPEN)
        connection.execute(update(tasks).where(mine).values(expires_us=schema.now_us() + lease))
        seen = select(tasks.c.item).where(tasks.c.annotator == annotator, tasks.c.state != schema.EXPIRED)
        open_tasks = (
            select(tasks, items.c.prompt_id)
            .join(items, items.c.number == tasks.c.item)
            .where(mine, items.c.project == project)
            .order_by(tasks.c.assigned_us, tasks.c.number)
        )
        held = connection.execute(open_tasks).all()
        free = (
            select(items)
            .where(
                items.c.project == project,
                items.c.state == schema.READY,
                items.c.done + items.c.leased < settings.annotators_per_prompt,
                items.c.number.not_in(seen),
            )
            .order_by(items.c.number)
            .limit(max(0, count - len(held)))
        )
        for item in connection.execute(free).all():
            _lease(connection, item, annotator, lease)
        return [_task(connection, row) for row in connection.execute(open_tasks.limit(count)).all()]


def _expire(connection: Connection) -> None:
    """Take back tasks whose lease ran out, so that others get their prompts."""
    tasks, items = schema.tasks, schema.items
    over = select(tasks.c.number, tasks.c.item).where(
        tasks.c.state == schema.OPEN, tasks.c.expires_us <= schema.now_us()
    )
    for number, item in connection.execute(over.limit(20)).all():
        connection.execute(update(tasks).where(tasks.c.number == number).values(state=schema.EXPIRED))
        connection.execute(update(items).where(items.c.number == item).values(leased=items.c.leased - 1))


def _lease(connection: Connection, item: Row[Any], annotator: str, lease: int) -> None:
    """Give the item to the annotator: its different completions in an order drawn for this annotator alone.

    Of more than nine the first nine are shown: those of the policies, then as many as fit of those annotators wrote.
    A task of theirs that had expired is opened again as it was, so that a draft or a late answer still fits it.
    """
    tasks, items = schema.tasks, schema.items
    again = (tasks.c.item == item.number) & (tasks.c.annotator == annotator)
    until = {"state": schema.OPEN, "expires_us": schema.now_us() + lease}
    if not connection.execute(update(tasks).where(again).values(**until)).rowcount:
        (group,) = groups_in(connection, [item.prompt_id])
        shown = [completion.id for completion in distinct(group.completions)[:MOST_COMPLETIONS]]
        secrets.SystemRandom().shuffle(shown)
        connection.execute(
            insert(tasks).values(
                token=secrets.token_hex(16),
                item=item.number,
                annotator=annotator,
                shown=canonical(shown),
                assigned_us=schema.now_us(),
                **until,
            )
        )
    connection.execute(update(items).where(items.c.number == item.number).values(leased=items.c.leased + 1))


def _task(connection: Connection, row: Row[Any]) -> Task:
    (group,) = groups_in(connection, [row.prompt_id])
    return task_of(connection, row, group)


def task_of(connection: Connection, row: Row[Any], group: Group) -> Task:
    """Return the task of a row of its table, whose group is given."""
    by_id = {completion.id: completion for completion in group.completions}
    shown = tuple(by_id[completion] for completion in json.loads(row.shown))
    draft = connection.scalar(select(schema.drafts.c.content).where(schema.drafts.c.task == row.token)) or ""
    return Task(row.token, group.prompt, shown, row.annotator, row.assigned_us, draft)


@dataclass(frozen=True, slots=True)
class Answer:
    """What the browser sends for a task: completions are named by their place on the screen, from 0."""

    token: str
    submission: str
    outcome: str
    order: Sequence[Sequence[int]] = ()
    strength: Sequence[int | None] = ()
    flags: dict[int, Sequence[str]] | None = None
    reason: str = ""
    seconds: float | None = None
    ratings: dict[int, int] | None = None
    spans: Sequence[tuple[int, int, int, str]] = ()
    """(place, start, end, kind); see `Span`."""
    demonstration: str = ""
    """The answer that the annotator would have wanted; empty if none was written."""
    edited_from: int | None = None
    """Place of the completion that the demonstration was edited from."""
    revises: str | None = None
    """Submission of the annotator's ranking of the same task that this one replaces."""


def submit(store: Store, answer: Answer, annotator: str, project: str = PROJECT) -> str:
    """Append the answer as a ranking and close its task; return "saved", "repeat" or "ranked already".

    "repeat": this submission was stored before. "ranked already": another one of the same task was, from a second
    tab; that one counts. An answer that `revises` is stored beside the ranking it replaces, and counts no prompt
    twice. Raises InputError if the task is not this annotator's, the answer does not fit it, or what it revises is
    not their newest ranking of it: two tabs can't both revise one.
    """
    rankings = schema.rankings
    with writing(store) as connection:
        task = task_in(connection, answer.token, annotator)
        settings, revision = settings_in(connection, project)
        if not answer.submission:
            raise InputError("The answer has no submission id, so a repeat could not be told. Reload the page.")
        ranking = _ranking(answer, task, settings, project, revision)
        if ranking.spans:  # the group checks them beside the texts
            (group,) = groups_in(connection, [task.prompt_id])
            Group(group.prompt, group.completions, (ranking,))
        if ranking.outcome == "ranked" and ranking.unranked and not settings.allow_partial:
            places = f"{len(ranking.unranked)} of {len(ranking.shown)} completions"
            raise InputError(f"{places} are not placed; place them all.")
        first = connection.execute(
            select(rankings.c.submission).where(rankings.c.task == task.token, rankings.c.revises.is_(None))
        ).first()
        if ranking.revises is None and first is not None and first.submission != ranking.submission:
            return "ranked already"
        if ranking.revises is not None:
            chain = select(rankings.c.submission).where(rankings.c.task == task.token)
            if ranking.revises not in connection.scalars(chain).all():
                raise InputError("You ranked this prompt in another tab. Reload, and change that ranking in My work.")
        if add_ranking(connection, ranking, task.token) == "repeat":
            return "repeat"
        connection.execute(delete(schema.drafts).where(schema.drafts.c.task == task.token))
        if answer.demonstration:
            _add_demonstration(connection, answer, ranking, settings)
        if ranking.revises is None:
            _close(connection, task, settings)
        return "saved"


def task_in(connection: Connection, token: str, annotator: str) -> Row[Any]:
    """Return the row of the annotator's task, with its prompt_id and done; InputError if it is not theirs."""
    tasks, items = schema.tasks, schema.items
    task = connection.execute(
        select(tasks, items.c.prompt_id, items.c.done)
        .join(items, items.c.number == tasks.c.item)
        .where(tasks.c.token == token, tasks.c.annotator == annotator)
    ).first()
    if task is None:
        raise InputError("This task was not given to you, or its prompt went to another. Reload the page.")
    return task


def _close(connection: Connection, task: Row[Any], settings: ProjectSettings) -> None:
    """Count the first ranking of a task, and free the place that its lease held."""
    tasks, items = schema.tasks, schema.items
    freed = 1 if task.state == schema.OPEN else 0
    connection.execute(update(tasks).where(tasks.c.number == task.number).values(state=schema.DONE))
    connection.execute(
        update(items)
        .where(items.c.number == task.item)
        .values(
            done=items.c.done + 1,
            leased=items.c.leased - freed,
            state=schema.RANKED if task.done + 1 >= settings.annotators_per_prompt else schema.READY,
        )
    )


def _add_demonstration(connection: Connection, answer: Answer, ranking: Ranking, settings: ProjectSettings) -> None:
    """Keep what the annotator wrote; where the project says so it joins the completions that others are shown."""
    demonstration = Demonstration(
        ranking.prompt_id,
        answer.demonstration,
        ranking.annotator,
        None if answer.edited_from is None else ranking.shown[answer.edited_from],
        ranking.submission,
        connection.scalar(select(schema.now_us())),
        project=ranking.project,
        project_revision=ranking.project_revision,
    )
    add_demonstration(connection, demonstration)
    if settings.demonstrations_join:
        add_completion(connection, Completion(ranking.prompt_id, demonstration.text, ANNOTATOR_POLICY))


def _ranking(answer: Answer, task: Row[Any], settings: ProjectSettings, project: str, revision: int) -> Ranking:
    shown = json.loads(task.shown)
    flags, ratings = answer.flags or {}, answer.ratings or {}
    places = [place for group in answer.order for place in group] + [*flags, *ratings]
    places += [span[0] for span in answer.spans] + ([] if answer.edited_from is None else [answer.edited_from])
    if any(type(place) is not int or not 0 <= place < len(shown) for place in places):
        raise InputError(f"The answer names places {places}, but {len(shown)} completions were shown. Reload the page.")
    return Ranking(
        prompt_id=task.prompt_id,
        annotator=task.annotator,
        shown=tuple(shown),
        order=tuple(tuple(shown[place] for place in group) for group in answer.order),
        outcome=answer.outcome,
        strength=tuple(answer.strength),
        flags={shown[place]: tuple(names) for place, names in flags.items()},
        reason=answer.reason,
        seconds=answer.seconds,
        started=task.assigned_us,
        revises=answer.revises,
        assisted=settings.reveal_policies and answer.revises is not None,
        project=project,
        project_revision=revision,
        submission=answer.submission,
        ratings={shown[place]: rating for place, rating in ratings.items()},
        spans=tuple(Span(shown[place], start, end, kind) for place, start, end, kind in answer.spans),
    )

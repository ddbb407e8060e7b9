"""Submit an annotator's answer to a task: store it as a ranking, once, and close the task."""

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

from sqlalchemy import BindParameter, Connection, bindparam, delete, select, update

from label_data.assignment.picking import lock_cursor
from label_data.assignment.tasks import TASK, TASKS_HELD, Task, lease_without_waiting, task_not_held
from label_data.database import schema
from label_data.database.engine import AnyRow, Store, change, writing
from label_data.errors import InputError
from label_data.records import Completion, Demonstration, Group, Outcome, Ranking, Span
from label_data.settings import ProjectSettings
from label_data.store.counting import LOCKED_ITEM, settle_task
from label_data.store.projects import PROJECT, current_settings_columns, settings_from_row
from label_data.store.single_records import add_completion, add_demonstration, add_ranking
from label_data.store.stored_groups import groups_in

log = logging.getLogger(__name__)

_items, _tasks, _rankings, _drafts = schema.items, schema.tasks, schema.rankings, schema.drafts
_token: BindParameter[str] = bindparam("of_token")

ANNOTATOR_POLICY = "annotator"
"""Policy of completions written by annotators. The demonstration, not the policy, names the annotator."""

_DROP_DRAFT = delete(_drafts).where(_drafts.c.task == _token)
_TASK_AND_ITEM = TASK.add_columns(
    *_items.c["done", "leased", "skipped", "place", "gold", "least"], *current_settings_columns(_tasks.c.project)
)
_LOCKED = _TASK_AND_ITEM.with_for_update(key_share=True, of=(_items, _tasks))
"""PostgreSQL locks the rows in the order named and returns their values after it got the locks; the other columns have
the values from before it waited."""
_CHAIN = select(_rankings.c.submission).where(
    _rankings.c.item == bindparam("item_number"),  # uses the index; a prompt has few rankings
    _rankings.c.task == _token,
)
_GOLD = update(_items).where(_items.c.number == bindparam("item_number")).values(gold=bindparam("new_gold"))


@dataclass(frozen=True, slots=True)
class Answer:
    """What the browser sends for a task. Completions are named by their place on the screen, from 0."""

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
    """The answer that the annotator wrote; empty if none."""
    edited_from: int | None = None
    """Place of the completion that the annotator edited to write the demonstration."""
    revises: str | None = None
    """Submission of the annotator's earlier ranking of the task that this answer replaces."""


def submit(store: Store, answer: Answer, annotator: str) -> str:
    """Store the answer as a ranking and close its task; return "saved", "repeat" or "ranked already".

    "repeat": this submission was stored before. "ranked already": another submission for the task was stored before,
    from a second tab, and counts. A revision is stored beside the ranking that it replaces, and its prompt counts once.
    The answer is checked against the project's current settings, and the ranking carries their revision.

    Raises InputError if the task is not this annotator's, if the answer does not fit the task, or if the ranking that
    it revises was withdrawn or is not the newest of the task (two tabs can't both revise a ranking).
    """
    with writing(store, concurrently=True) as connection:
        status, _ = _submit(connection, answer, annotator)
        return status


def submit_then_next(
    store: Store, answer: Answer, annotator: str, project: str = PROJECT, count: int = TASKS_HELD
) -> tuple[str, list[Task]]:
    """Do what `submit` and then `next_tasks` do, in one transaction, so the annotator waits for the disk once.

    Returns the results of both, or no tasks if the caller has to call `next_tasks`. That function may wait for rows
    locked by others, or release expired leases of others, which must not happen while the submitted task is locked.
    The same holds for an answer of another project, and for a skip: a skip returns its prompt to the queue, which locks
    the project, and that lock comes last. If leasing the next tasks fails, the answer is stored anyway. Raises
    InputError as `submit` does.
    """
    if answer.outcome == "skipped":
        return submit(store, answer, annotator), []
    status = None
    try:
        with writing(store, concurrently=True) as connection:
            lock_cursor(connection, project, annotator)  # before the item; see `label_data.store.queue`
            status, of_project = _submit(connection, answer, annotator)
            tasks = lease_without_waiting(connection, annotator, project, count) if of_project == project else []
        return status, tasks
    except Exception as error:
        if status is None and isinstance(error, InputError):
            raise
        log.warning("could not lease the next tasks with the answer; storing the answer alone", exc_info=True)
    return submit(store, answer, annotator), []


def _submit(connection: Connection, answer: Answer, annotator: str) -> tuple[str, str]:
    """Submit within an open transaction; return the status, as `submit` does, and the task's project."""
    locked = connection.execute(_LOCKED, {"of_token": answer.token, "who": annotator}).first()
    if locked is None:
        raise task_not_held()
    task = item = locked  # a row with the columns of both
    settings, revision = settings_from_row(task)
    if not answer.submission:
        raise InputError("label_data.assignment.no_submission")
    ranking = _ranking(answer, task, settings, revision)
    if ranking.spans:  # making the group checks them against the texts
        (group,) = groups_in(connection, [task.prompt_id])
        Group(group.prompt, group.completions, (ranking,))
    if ranking.outcome == "ranked" and ranking.unranked and not settings.allow_partial:
        raise InputError("label_data.assignment.unplaced", count=len(ranking.unranked), shown=len(ranking.shown))
    if ranking.revises is not None and ranking.revises not in _chain(connection, task):
        raise InputError("label_data.assignment.other_tab")
    status = add_ranking(connection, ranking, task.token, task.item)
    if status != "saved":
        return status, task.project
    change(connection, _DROP_DRAFT, of_token=task.token)
    if answer.demonstration:
        _add_demonstration(connection, answer, ranking, settings)
    if item.gold is not None and item.gold == ranking.revises:
        gold = None if ranking.outcome == "skipped" else ranking.submission
        connection.execute(_GOLD, {"item_number": task.item, "new_gold": gold})
        item = connection.execute(LOCKED_ITEM, {"item_number": task.item}).one()
    state = schema.SKIPPED if ranking.outcome == "skipped" else schema.DONE
    settle_task(connection, item, task, state, settings.annotators_per_prompt)
    return status, task.project


def _chain(connection: Connection, task: AnyRow) -> Sequence[str]:
    return connection.scalars(_CHAIN, {"item_number": task.item, "of_token": task.token}).all()


def _add_demonstration(connection: Connection, answer: Answer, ranking: Ranking, settings: ProjectSettings) -> None:
    """Store what the annotator wrote; if the project says so, add it to the completions that others rank."""
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


def _ranking(answer: Answer, task: AnyRow, settings: ProjectSettings, revision: int) -> Ranking:
    shown = json.loads(task.shown)
    flags, ratings = answer.flags or {}, answer.ratings or {}
    places = [place for group in answer.order for place in group] + [*flags, *ratings]
    places += [span[0] for span in answer.spans] + ([] if answer.edited_from is None else [answer.edited_from])
    if any(type(place) is not int or not 0 <= place < len(shown) for place in places):
        raise InputError("label_data.assignment.wrong_places", places=places, count=len(shown))
    return Ranking(
        prompt_id=task.prompt_id,
        annotator=task.annotator,
        shown=tuple(shown),
        order=tuple(tuple(shown[place] for place in group) for group in answer.order),
        outcome=cast(Outcome, answer.outcome),  # the record checks it
        strength=tuple(answer.strength),
        flags={shown[place]: tuple(names) for place, names in flags.items()},
        reason=answer.reason,
        seconds=answer.seconds,
        started=task.assigned_us,
        revises=answer.revises,
        assisted=settings.reveal_policies and (answer.revises is not None or task.purpose == "repeat"),
        project=task.project,
        project_revision=revision,
        submission=answer.submission,
        purpose=task.purpose,
        ratings={shown[place]: rating for place, rating in ratings.items()},
        spans=tuple(Span(shown[place], start, end, kind) for place, start, end, kind in answer.spans),
    )

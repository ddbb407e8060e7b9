"""Take an annotator's answer to a task: store it once, and close the task."""

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, bindparam, delete, select, update

from label_data.assignment.picking import lock_cursor
from label_data.assignment.tasks import AHEAD, TASK, Task, lease_without_waiting, task_not_held
from label_data.database import schema
from label_data.database.engine import Store, change, writing
from label_data.errors import InputError
from label_data.records import Completion, Demonstration, Group, Ranking, Span
from label_data.settings import ProjectSettings
from label_data.store.counting import LOCKED_ITEM, settle_task
from label_data.store.projects import PROJECT, current_settings_columns, settings_from_row
from label_data.store.single_records import add_completion, add_demonstration, add_ranking
from label_data.store.stored_groups import groups_in

log = logging.getLogger(__name__)

_items, _tasks, _rankings, _drafts = schema.items, schema.tasks, schema.rankings, schema.drafts
_token = bindparam("of_token")

ANNOTATOR_POLICY = "annotator"
"""Policy of a completion that an annotator wrote. It names nobody: who wrote it is in the demonstration."""


_DROP_DRAFT = delete(_drafts).where(_drafts.c.task == _token)


_TASK_AND_ITEM = TASK.add_columns(
    *_items.c["done", "leased", "skipped", "place", "gold", "least"], *current_settings_columns(_tasks.c.project)
)


_LOCKED = _TASK_AND_ITEM.with_for_update(key_share=True, of=(_items, _tasks))
"""PostgreSQL locks the rows in the order named, and returns them as they are once it has the locks; what is not locked
is as it was before it waited."""


_CHAIN = select(_rankings.c.submission).where(
    _rankings.c.item == bindparam("item_number"),  # the index; a prompt has few rankings
    _rankings.c.task == _token,
)


_GOLD = update(_items).where(_items.c.number == bindparam("item_number")).values(gold=bindparam("new_gold"))


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


def submit(store: Store, answer: Answer, annotator: str) -> str:
    """Append the answer as a ranking and close its task; return "saved", "repeat" or "ranked already".

    "repeat": this submission was stored before. "ranked already": another one of the same task was, from a second
    tab; that one counts. An answer that `revises` is stored beside the ranking it replaces, and counts no prompt
    twice. The ranking carries the revision of the settings that its project has now, against which it is checked.

    Raises InputError if the task is not this annotator's, the answer does not fit it, what it revises is not their
    newest ranking of it (two tabs can't both revise one) or was withdrawn.
    """
    with writing(store, concurrently=True) as connection:
        said, _ = _submitted(connection, answer, annotator)
        return said


def submit_then_next(
    store: Store, answer: Answer, annotator: str, project: str = PROJECT, count: int = AHEAD
) -> tuple[str, list[Task]]:
    """Do what `submit` and then `next_tasks` do, in one transaction: who goes on ranking waits for the disk once.

    Return what each returns, or no tasks where `next_tasks` has to be asked: it waits, for rows that others have locked
    or for leases of others to be taken back, and who holds a submitted task must wait for none of these. Nor is an
    answer kept waiting that was for another project, or a skip, which gives its prompt back: that locks the project,
    and its lock comes last. Whatever fails with the tasks, the answer is stored. Raises InputError as `submit` does.
    """
    if answer.outcome == "skipped":
        return submit(store, answer, annotator), []
    said = None
    try:
        with writing(store, concurrently=True) as connection:
            lock_cursor(connection, project, annotator)  # before the item, as everywhere
            said, of_project = _submitted(connection, answer, annotator)
            tasks = lease_without_waiting(connection, annotator, project, count) if of_project == project else []
        return said, tasks
    except Exception as error:
        if said is None and isinstance(error, InputError):
            raise
        log.warning("an answer and the next tasks did not go together", exc_info=True)
    return submit(store, answer, annotator), []


def _submitted(connection: Connection, answer: Answer, annotator: str) -> tuple[str, str]:
    """Do it inside a transaction that is open already; return what `submit` does, and the task's project."""
    of_task = {"of_token": answer.token, "who": annotator}
    task = item = connection.execute(_LOCKED, of_task).first()
    if task is None:
        raise task_not_held()
    settings, revision = settings_from_row(task)
    if not answer.submission:
        raise InputError("The answer has no submission id, so a repeat could not be told. Reload the page.")
    ranking = _ranking(answer, task, settings, revision)
    if ranking.spans:  # the group checks them beside the texts
        (group,) = groups_in(connection, [task.prompt_id])
        Group(group.prompt, group.completions, (ranking,))
    if ranking.outcome == "ranked" and ranking.unranked and not settings.allow_partial:
        places = f"{len(ranking.unranked)} of {len(ranking.shown)} completions"
        raise InputError(f"{places} are not placed; place them all.")
    if ranking.revises is not None and ranking.revises not in _chain(connection, task):
        raise InputError("You ranked this prompt in another tab. Reload, and change that ranking in My work.")
    said = add_ranking(connection, ranking, task.token, task.item)
    if said != "saved":
        return said, task.project
    change(connection, _DROP_DRAFT, of_token=task.token)
    if answer.demonstration:
        _add_demonstration(connection, answer, ranking, settings)
    if item.gold is not None and item.gold == ranking.revises:
        gold = None if ranking.outcome == "skipped" else ranking.submission
        connection.execute(_GOLD, {"item_number": task.item, "new_gold": gold})
        item = connection.execute(LOCKED_ITEM, {"item_number": task.item}).one()
    state = schema.SKIPPED if ranking.outcome == "skipped" else schema.DONE
    settle_task(connection, item, task, state, settings.annotators_per_prompt)
    return said, task.project


def _chain(connection: Connection, task: Row[Any]) -> Sequence[str]:
    return connection.scalars(_CHAIN, {"item_number": task.item, "of_token": task.token}).all()


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


def _ranking(answer: Answer, task: Row[Any], settings: ProjectSettings, revision: int) -> Ranking:
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
        assisted=settings.reveal_policies and (answer.revises is not None or task.purpose == "repeat"),
        project=task.project,
        project_revision=revision,
        submission=answer.submission,
        purpose=task.purpose,
        ratings={shown[place]: rating for place, rating in ratings.items()},
        spans=tuple(Span(shown[place], start, end, kind) for place, start, end, kind in answer.spans),
    )

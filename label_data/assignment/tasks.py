"""Who ranks what next: a task is one prompt leased to one annotator, with the order in which it is shown.

A task's token and the place of a completion on the screen are all that a browser gets to see: nothing that leaves
here tells which policy wrote what. Leases end by the database's clock; work that comes late is kept all the same.
"""

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, bindparam, delete, select, update

from label_data.assignment.leases import lease_more, lock_cursor, outlook, take_back_lapsed
from label_data.database import schema
from label_data.database.engine import Store, change, writing
from label_data.records import Completion, Demonstration, Group, InputError, Prompt, Ranking, Span
from label_data.settings import ProjectSettings
from label_data.store.counting import LOCKED_ITEM, settle
from label_data.store.projects import PROJECT, newest_settings, settings_of
from label_data.store.rows import add_completion, add_demonstration, add_ranking
from label_data.store.stored_groups import completion_in, groups_in, prompt_in

log = logging.getLogger(__name__)
AHEAD = 2
"""Tasks that an annotator holds: the one on the screen, and the one sent along so that it is there at once."""
ANNOTATOR_POLICY = "annotator"
"""Policy of a completion that an annotator wrote. It names nobody: who wrote it is in the demonstration."""

_items, _tasks, _rankings, _drafts = schema.items, schema.tasks, schema.rankings, schema.drafts
_token, _annotator = bindparam("of_token"), bindparam("who")
_my_open = (_tasks.c.annotator == _annotator) & schema.is_open & (_tasks.c.project == bindparam("of_project"))
_HELD = (
    select(_tasks.c["token", "annotator", "shown", "assigned_us"], schema.prompts, _drafts.c.content.label("draft"))
    .join(_items, _items.c.number == _tasks.c.item)
    .join(schema.prompts, schema.prompts.c.id == _items.c.prompt_id)
    .outerjoin(_drafts, _drafts.c.task == _tasks.c.token)
    .where(_my_open)
    .order_by(_tasks.c.assigned_us, _tasks.c.number)
)
_HELD_COMPLETIONS = (
    select(schema.completions)
    .join(_items, _items.c.prompt_id == schema.completions.c.prompt_id)
    .join(_tasks, _tasks.c.item == _items.c.number)
    .where(_my_open)
)
_DRAFT = select(_drafts.c.content).where(_drafts.c.task == _token)
_DROP_DRAFT = delete(_drafts).where(_drafts.c.task == _token)
_TASK = (
    select(_tasks, _items.c.prompt_id)
    .join(_items, _items.c.number == _tasks.c.item)
    .where(_tasks.c.token == _token, _tasks.c.annotator == _annotator)
)
_TASK_AND_ITEM = _TASK.add_columns(
    *_items.c["done", "leased", "skipped", "place", "gold", "least"], *newest_settings(_tasks.c.project)
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
    """The half-done ranking, as this annotator's browser wrote it (`drafts`); empty if there is none."""


def next_tasks(store: Store, annotator: str, project: str = PROJECT, count: int = AHEAD) -> list[Task]:
    """Return the annotator's open tasks, oldest first, leasing more up to `count` while there are prompts.

    Asked twice it gives the same tasks: a reload or a second tab shows what the first showed. Each lease starts anew
    when its task is asked for, once a minute of it is gone. Some tasks are repeats or gold prompts; nothing in a Task
    tells which.
    """
    with writing(store, beside_others=True) as connection:
        lock_cursor(connection, project, annotator)
        now = outlook(connection, project, annotator)
        if not now.others_lapsed:
            return _leased(connection, annotator, project, now, count)
    take_back_lapsed(store, but_of=annotator)
    with writing(store, beside_others=True) as connection:
        lock_cursor(connection, project, annotator)
        return _leased(connection, annotator, project, outlook(connection, project, annotator), count)


def _leased(
    connection: Connection, annotator: str, project: str, now: Row[Any], count: int, waits: bool = True
) -> list[Task]:
    settings, _ = settings_of(now)
    lease_more(connection, project, annotator, settings, now, count, waits)
    mine = {"who": annotator, "of_project": project}
    by_id = {row.id: completion_in(row) for row in connection.execute(_HELD_COMPLETIONS, mine)}
    return [_task(row, prompt_in(row), by_id, row.draft or "") for row in connection.execute(_HELD, mine).all()[:count]]


def _leased_at_once(connection: Connection, annotator: str, project: str, count: int) -> list[Task]:
    """Return all `count` tasks, or none if some of them would have to be waited for."""
    now = outlook(connection, project, annotator)
    tasks = [] if now.others_lapsed else _leased(connection, annotator, project, now, count, waits=False)
    return tasks if len(tasks) == count else []


def _task(row: Row[Any], prompt: Prompt, by_id: Mapping[str, Completion], draft: str) -> Task:
    shown = tuple(by_id[completion] for completion in json.loads(row.shown))
    return Task(row.token, prompt, shown, row.annotator, row.assigned_us, draft)


def task_of(connection: Connection, row: Row[Any], group: Group) -> Task:
    """Return the task of a row of its table, whose group is given."""
    by_id = {completion.id: completion for completion in group.completions}
    draft = connection.scalar(_DRAFT, {"of_token": row.token}) or ""
    return _task(row, group.prompt, by_id, draft)


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
    with writing(store, beside_others=True) as connection:
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
        with writing(store, beside_others=True) as connection:
            lock_cursor(connection, project, annotator)  # before the item, as everywhere
            said, of_project = _submitted(connection, answer, annotator)
            tasks = _leased_at_once(connection, annotator, project, count) if of_project == project else []
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
        raise _not_given()
    settings, revision = settings_of(task)
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
    settle(connection, item, task, state, settings.annotators_per_prompt)
    return said, task.project


def _chain(connection: Connection, task: Row[Any]) -> Sequence[str]:
    return connection.scalars(_CHAIN, {"item_number": task.item, "of_token": task.token}).all()


def task_in(connection: Connection, token: str, annotator: str) -> Row[Any]:
    """Return the row of the annotator's task, with its prompt_id; InputError if it is not theirs."""
    task = connection.execute(_TASK, {"of_token": token, "who": annotator}).first()
    if task is None:
        raise _not_given()
    return task


def _not_given() -> InputError:
    return InputError("This task was not given to you, or its prompt went to another. Reload the page.")


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

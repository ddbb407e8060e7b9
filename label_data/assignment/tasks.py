"""Tasks: prompts leased to an annotator, with the completions in the order shown.

A browser gets only a task's token, its texts and the completions' places on the screen; nothing tells which policy
wrote which completion. Leases expire by the database's clock; rankings that come late are stored anyway.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import BindParameter, Connection, bindparam, select

from label_data.assignment.leases import release_expired
from label_data.assignment.picking import assignment_state, lease_more, lock_cursor
from label_data.database import schema
from label_data.database.engine import AnyRow, Store, writing
from label_data.errors import InputError
from label_data.records import Completion, Group, Prompt
from label_data.store.projects import PROJECT, settings_from_row
from label_data.store.stored_groups import completion_from_row, prompt_from_row

TASKS_HELD = 2
"""Tasks that an annotator holds: the one on the screen, and the next one, sent along so that it appears at once."""

_items, _tasks, _rankings, _drafts = schema.items, schema.tasks, schema.rankings, schema.drafts
_token: BindParameter[str] = bindparam("of_token")
_annotator: BindParameter[str] = bindparam("who")
_is_held = (_tasks.c.annotator == _annotator) & schema.is_open & (_tasks.c.project == bindparam("of_project"))
_HELD = (
    select(*_tasks.c["token", "annotator", "shown", "assigned_us"], *schema.prompts.c, _drafts.c.content.label("draft"))
    .join(_items, _items.c.number == _tasks.c.item)
    .join(schema.prompts, schema.prompts.c.id == _items.c.prompt_id)
    .outerjoin(_drafts, _drafts.c.task == _tasks.c.token)
    .where(_is_held)
    .order_by(_tasks.c.assigned_us, _tasks.c.number)
)
_HELD_COMPLETIONS = (
    select(schema.completions)
    .join(_items, _items.c.prompt_id == schema.completions.c.prompt_id)
    .join(_tasks, _tasks.c.item == _items.c.number)
    .where(_is_held)
)
_DRAFT = select(_drafts.c.content).where(_drafts.c.task == _token)
TASK = (
    select(_tasks, _items.c.prompt_id)
    .join(_items, _items.c.number == _tasks.c.item)
    .where(_tasks.c.token == _token, _tasks.c.annotator == _annotator)
)


@dataclass(frozen=True, slots=True)
class Task:
    """A prompt to be ranked by one annotator."""

    token: str
    """Random id; the browser sends it back."""
    prompt: Prompt
    completions: tuple[Completion, ...]
    """In the order shown."""
    annotator: str
    assigned: int
    """Microseconds since 1970, UTC."""
    draft: str = ""
    """The unfinished ranking, as the annotator's browser wrote it (`drafts`); empty if there is none."""


def next_tasks(store: Store, annotator: str, project: str = PROJECT, count: int = TASKS_HELD) -> list[Task]:
    """Return the annotator's open tasks, oldest first; lease more, up to `count`, while there are prompts.

    A second call returns the same tasks, so a reload or a second tab shows what the first showed. A call restarts a
    lease of which a minute has passed. Some tasks are hidden repeats or gold prompts; nothing in a Task shows which.
    """
    with writing(store, concurrently=True) as connection:
        lock_cursor(connection, project, annotator)
        state = assignment_state(connection, project, annotator)
        if not state.others_expired:
            return _lease(connection, annotator, project, state, count)
    release_expired(store, except_of=annotator)
    with writing(store, concurrently=True) as connection:
        lock_cursor(connection, project, annotator)
        return _lease(connection, annotator, project, assignment_state(connection, project, annotator), count)


def _lease(
    connection: Connection, annotator: str, project: str, state: AnyRow, count: int, waits: bool = True
) -> list[Task]:
    settings, _ = settings_from_row(state)
    lease_more(connection, project, annotator, settings, state, count, waits)
    held = {"who": annotator, "of_project": project}
    by_id = {row.id: completion_from_row(row) for row in connection.execute(_HELD_COMPLETIONS, held)}
    return [
        _task(row, prompt_from_row(row), by_id, row.draft or "")
        for row in connection.execute(_HELD, held).all()[:count]
    ]


def lease_without_waiting(connection: Connection, annotator: str, project: str, count: int) -> list[Task]:
    """Return `count` tasks, or none if that would have to wait for rows locked by others."""
    state = assignment_state(connection, project, annotator)
    tasks = [] if state.others_expired else _lease(connection, annotator, project, state, count, waits=False)
    return tasks if len(tasks) == count else []


def _task(row: AnyRow, prompt: Prompt, by_id: Mapping[str, Completion], draft: str) -> Task:
    shown = tuple(by_id[completion] for completion in json.loads(row.shown))
    return Task(row.token, prompt, shown, row.annotator, row.assigned_us, draft)


def task_of(connection: Connection, row: AnyRow, group: Group) -> Task:
    """Return the task of a row of its table; `group` is the group of its prompt."""
    by_id = {completion.id: completion for completion in group.completions}
    draft = connection.scalar(_DRAFT, {"of_token": row.token}) or ""
    return _task(row, group.prompt, by_id, draft)


def task_row(connection: Connection, token: str, annotator: str) -> AnyRow:
    """Return the row of the annotator's task, with its prompt_id. Raises InputError if it is not theirs."""
    task = connection.execute(TASK, {"of_token": token, "who": annotator}).first()
    if task is None:
        raise task_not_held()
    return task


def task_not_held() -> InputError:
    """Return the error for a task that this annotator does not hold."""
    return InputError("label_data.assignment.not_held")

"""Who ranks what next: a task is one prompt leased to one annotator, with the order in which it is shown.

A task's token and the place of a completion on the screen are all that a browser gets to see: nothing that leaves
here tells which policy wrote what. Leases end by the database's clock; work that comes late is kept all the same.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, bindparam, select

from label_data.assignment.leases import release_expired
from label_data.assignment.picking import assignment_state, lease_more, lock_cursor
from label_data.database import schema
from label_data.database.engine import Store, writing
from label_data.errors import InputError
from label_data.records import Completion, Group, Prompt
from label_data.store.projects import PROJECT, settings_from_row
from label_data.store.stored_groups import completion_from_row, prompt_from_row

AHEAD = 2
"""Tasks that an annotator holds: the one on the screen, and the one sent along so that it is there at once."""

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
TASK = (
    select(_tasks, _items.c.prompt_id)
    .join(_items, _items.c.number == _tasks.c.item)
    .where(_tasks.c.token == _token, _tasks.c.annotator == _annotator)
)


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
    with writing(store, concurrently=True) as connection:
        lock_cursor(connection, project, annotator)
        now = assignment_state(connection, project, annotator)
        if not now.others_lapsed:
            return _leased(connection, annotator, project, now, count)
    release_expired(store, but_of=annotator)
    with writing(store, concurrently=True) as connection:
        lock_cursor(connection, project, annotator)
        return _leased(connection, annotator, project, assignment_state(connection, project, annotator), count)


def _leased(
    connection: Connection, annotator: str, project: str, now: Row[Any], count: int, waits: bool = True
) -> list[Task]:
    settings, _ = settings_from_row(now)
    lease_more(connection, project, annotator, settings, now, count, waits)
    mine = {"who": annotator, "of_project": project}
    by_id = {row.id: completion_from_row(row) for row in connection.execute(_HELD_COMPLETIONS, mine)}
    return [
        _task(row, prompt_from_row(row), by_id, row.draft or "")
        for row in connection.execute(_HELD, mine).all()[:count]
    ]


def lease_without_waiting(connection: Connection, annotator: str, project: str, count: int) -> list[Task]:
    """Return all `count` tasks, or none if some of them would have to be waited for."""
    now = assignment_state(connection, project, annotator)
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


def task_row(connection: Connection, token: str, annotator: str) -> Row[Any]:
    """Return the row of the annotator's task, with its prompt_id; InputError if it is not theirs."""
    task = connection.execute(TASK, {"of_token": token, "who": annotator}).first()
    if task is None:
        raise task_not_held()
    return task


def task_not_held() -> InputError:
    """Return the error for a task that this annotator does not hold."""
    return InputError("This task was not given to you, or its prompt went to another. Reload the page.")

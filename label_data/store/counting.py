"""Which rankings count towards the number of annotators that a project asks for each prompt.

Never more than that many do. One that comes late, when its place went to another, is stored all the same and counts as
soon as a place is free. A skip counts for nothing: another annotator gets the prompt. Repeats and answers to gold
prompts test annotators and count for nothing either.
"""

from typing import Any

from sqlalchemy import Case, Connection, Integer, Row, bindparam, case, select, update

from label_data.database import schema
from label_data.database.engine import change
from label_data.store.queue import enqueue

_items, _tasks = schema.items, schema.tasks


def rankings_requested(name: str) -> Case[int]:
    """Return how many annotators are asked for each item, in SQL; `name`: of the value that the project asks for."""
    of_project = bindparam(name, type_=Integer)
    return case((_items.c.least > of_project, _items.c.least), else_=of_project)


LOCKED_ITEM = select(_items).where(_items.c.number == bindparam("item_number")).with_for_update(key_share=True)
_SET_TASK = (
    update(_tasks)
    .where(_tasks.c.number == bindparam("task_number"))
    .values(state=bindparam("new_state"), counted=bindparam("new_counted"))
)
_uncounted = (_tasks.c.state == schema.DONE) & (_tasks.c.purpose == "") & (_tasks.c.counted == 0)
_LATE = (
    select(_tasks.c.number)
    .where(_tasks.c.item == bindparam("item_number"), _uncounted)
    .order_by(_tasks.c.number)
    .limit(bindparam("spare"))
)
_SET_ITEM = (
    update(_items)
    .where(_items.c.number == bindparam("item_number"))
    .values(
        {name: bindparam(f"new_{name}") for name in ("done", "leased", "skipped", "state", "place")},
    )
)


def settle_task(connection: Connection, item: Row[Any], task: Row[Any], state: str, asked: int) -> None:
    """Give the task its new state, and count it or free its place.

    `item` and `task` are the rows as locked by this transaction, or one row that has the columns of both; `asked`:
    annotators that the project asks for.
    """
    asked = max(asked, item.least)
    if task.purpose:
        _set_task(connection, task.number, state, counted=False)
        return
    was_open = task.state == schema.OPEN
    is_free = item.done < asked if was_open else item.done + item.leased < asked
    counted = state == schema.DONE and (bool(task.counted) or is_free)
    _set_task(connection, task.number, state, counted)
    _set_item(
        connection,
        task.item,
        item,
        asked,
        done=item.done + counted - task.counted,
        leased=item.leased - was_open,
        skipped=item.skipped + (state == schema.SKIPPED) - (task.state == schema.SKIPPED),
        is_freed=(was_open or bool(task.counted)) and not counted,
    )


def recount_item(connection: Connection, item: Row[Any], asked: int) -> None:
    """Work out again what counts of a locked item, after another number was asked for or it is no gold prompt now."""
    asked = max(asked, item.least)
    _set_item(connection, item.number, item, asked, item.done, item.leased, item.skipped, is_freed=True)


def _set_item(
    connection: Connection,
    number: int,
    item: Row[Any],
    asked: int,
    done: int,
    leased: int,
    skipped: int,
    is_freed: bool,
) -> None:
    if is_freed and done + leased < asked:
        late = connection.scalars(_LATE, {"item_number": number, "spare": asked - done - leased}).all()
        for task in late:
            _set_task(connection, task, schema.DONE, counted=True)
        done += len(late)
    state = schema.RANKED if done >= asked or item.gold is not None else schema.READY
    keeps_place = state == schema.READY and not is_freed
    values = {"done": done, "leased": leased, "skipped": skipped, "state": state}
    values["place"] = item.place if keeps_place else None
    change(connection, _SET_ITEM, item_number=number, **{f"new_{name}": value for name, value in values.items()})
    if state == schema.READY and values["place"] is None:
        enqueue(connection, item.project)


def _set_task(connection: Connection, number: int, state: str, counted: bool) -> None:
    change(connection, _SET_TASK, task_number=number, new_state=state, new_counted=int(counted))


def recount_project(connection: Connection, project: str, before: int, asked: int) -> None:
    """Work out again what counts in a whole project that asked for `before` annotators and now asks for `asked`."""
    mine = (_items.c.project == project) & _items.c.gold.is_(None)
    taken = _items.c.done + _items.c.leased
    late = select(_tasks.c.item).where(_tasks.c.project == project, _uncounted).distinct()
    for number in connection.scalars(late.order_by(_tasks.c.item)).all():
        item = connection.execute(LOCKED_ITEM, {"item_number": number}).one()
        if item.gold is None and item.done + item.leased < max(asked, item.least):
            recount_item(connection, item, asked)
    ready, ranked = mine & (_items.c.state == schema.READY), mine & (_items.c.state == schema.RANKED)
    numbers = {"before": before, "asked": asked}
    asked_before, asked_now = map(rankings_requested, numbers)
    enough = _items.c.done >= asked_now
    # Cursors passed by an item all of whose places were taken; it has one free now.
    has_one_again = ready & (taken >= asked_before) & (taken < asked_now)
    for where, values in (
        (ready & enough, {"state": schema.RANKED, "place": None}),
        (ranked & ~enough, {"state": schema.READY, "place": None}),
        (has_one_again, {"place": None}),
    ):
        connection.execute(update(_items).where(where).values(values), numbers)
    enqueue(connection, project)

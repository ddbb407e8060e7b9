"""Count the rankings of each prompt towards the number of annotators that its project requests.

At most that many rankings of a prompt count. A late ranking, whose place went to another annotator, is stored anyway
and counts once a place is free. A skip does not count: another annotator gets the prompt. Hidden repeats and answers to
gold prompts test annotators and do not count either.
"""

from sqlalchemy import Case, Connection, Integer, bindparam, case, select, update

from label_data.database import schema
from label_data.database.engine import AnyRow, change
from label_data.store.queue import enqueue

_items, _tasks = schema.items, schema.tasks


def rankings_requested(parameter: str) -> Case[int]:
    """Return an SQL expression for the number of rankings requested of an item.

    `parameter` is the name of the query parameter with the number that the project requests.
    """
    of_project = bindparam(parameter, type_=Integer)
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


def settle_task(connection: Connection, item: AnyRow, task: AnyRow, state: str, requested: int) -> None:
    """Set the task's new state, and count its ranking or free its place.

    `item` and `task` are the rows as locked by this transaction, or a row with the columns of both. `requested` is the
    number of annotators per prompt that the project requests.
    """
    requested = max(requested, item.least)
    if task.purpose:
        _set_task(connection, task.number, state, counted=False)
        return
    was_open = task.state == schema.OPEN
    is_free = item.done < requested if was_open else item.done + item.leased < requested
    counted = state == schema.DONE and (bool(task.counted) or is_free)
    _set_task(connection, task.number, state, counted)
    _set_item(
        connection,
        task.item,
        item,
        requested,
        done=item.done + counted - task.counted,
        leased=item.leased - was_open,
        skipped=item.skipped + (state == schema.SKIPPED) - (task.state == schema.SKIPPED),
        is_freed=(was_open or bool(task.counted)) and not counted,
    )


def recount_item(connection: Connection, item: AnyRow, requested: int) -> None:
    """Count the rankings of a locked item again, after its requested number or its gold ranking changed."""
    requested = max(requested, item.least)
    _set_item(connection, item.number, item, requested, item.done, item.leased, item.skipped, is_freed=True)


def _set_item(
    connection: Connection,
    number: int,
    item: AnyRow,
    requested: int,
    done: int,
    leased: int,
    skipped: int,
    is_freed: bool,
) -> None:
    if is_freed and done + leased < requested:
        late = connection.scalars(_LATE, {"item_number": number, "spare": requested - done - leased}).all()
        for task in late:
            _set_task(connection, task, schema.DONE, counted=True)
        done += len(late)
    state = schema.RANKED if done >= requested or item.gold is not None else schema.READY
    keeps_place = state == schema.READY and not is_freed
    values = {"done": done, "leased": leased, "skipped": skipped, "state": state}
    values["place"] = item.place if keeps_place else None
    change(connection, _SET_ITEM, item_number=number, **{f"new_{name}": value for name, value in values.items()})
    if state == schema.READY and values["place"] is None:
        enqueue(connection, item.project)


def _set_task(connection: Connection, number: int, state: str, counted: bool) -> None:
    change(connection, _SET_TASK, task_number=number, new_state=state, new_counted=int(counted))


def recount_project(connection: Connection, project: str, before: int, requested: int) -> None:
    """Count the rankings of a project again, after the number it requests changed from `before` to `requested`."""
    of_project = (_items.c.project == project) & _items.c.gold.is_(None)
    taken = _items.c.done + _items.c.leased
    late = select(_tasks.c.item).where(_tasks.c.project == project, _uncounted).distinct()
    for number in connection.scalars(late.order_by(_tasks.c.item)).all():
        item = connection.execute(LOCKED_ITEM, {"item_number": number}).one()
        if item.gold is None and item.done + item.leased < max(requested, item.least):
            recount_item(connection, item, requested)
    ready = of_project & (_items.c.state == schema.READY)
    ranked = of_project & (_items.c.state == schema.RANKED)
    numbers = {"before": before, "now": requested}
    requested_before, requested_now = rankings_requested("before"), rankings_requested("now")
    is_complete = _items.c.done >= requested_now
    # Cursors have passed an item that had no free place; now it has one, so it goes to the end of the queue.
    has_place_again = ready & (taken >= requested_before) & (taken < requested_now)
    complete = update(_items).where(ready & is_complete).values(state=schema.RANKED, place=None)
    incomplete = update(_items).where(ranked & ~is_complete).values(state=schema.READY, place=None)
    for statement in (complete, incomplete, update(_items).where(has_place_again).values(place=None)):
        connection.execute(statement, numbers)
    enqueue(connection, project)

"""A project's queue: every item that is ready has a place in it, and each annotator walks along it with a cursor.

An item that becomes available again, because a lease ran out, a ranking was withdrawn or more annotators are asked
for, goes to the end. So whatever lies behind an annotator's cursor is nothing for that annotator: the next task is
found by one look at the index, whether ten prompts are behind it or fifty thousand. Places are given out under a lock
that is held until they are committed; else a cursor could pass one that another connection had not committed yet.

Locks are taken in one order everywhere: cursor, item, task, draft, project; of several tasks that of the lowest number
first. Who goes on to further items with a task locked (`assignment.tasks.submit_then_next`) takes those alone that
nobody has locked.
"""

from sqlalchemy import Connection, bindparam, func, select, update

from label_data.database import schema
from label_data.errors import InputError

_items, _projects = schema.items, schema.projects
_project = bindparam("of_project")
_NEXT_PLACE = select(_projects.c.next_place).where(_projects.c.id == _project)
_LOCK = _NEXT_PLACE.with_for_update(key_share=True)
_waiting = (
    select(_items.c.number, func.row_number().over(order_by=_items.c.number).label("rank"))
    .where(_items.c.project == _project, _items.c.state == schema.READY, _items.c.place.is_(None))
    .subquery()
)
_PLACE = (
    update(_items)
    .where(_items.c.number == _waiting.c.number)
    .values(place=bindparam("first_place") - 1 + _waiting.c.rank)
)
_ADVANCE = update(_projects).where(_projects.c.id == _project).values(next_place=bindparam("place_after"))


def enqueue(connection: Connection, project: str) -> None:
    """Give every item of the project that is ready and has no place one at the end, first added first.

    To send an item to the end, set its place to NULL before. Raises InputError if there is no such project.
    """
    first = connection.scalar(_LOCK, {"of_project": project})
    if first is None:
        raise InputError(f"There is no project {project!r} in this store. Add it on the Project page.")
    placed = connection.execute(_PLACE, {"of_project": project, "first_place": first}).rowcount
    if placed:
        connection.execute(_ADVANCE, {"of_project": project, "place_after": first + placed})

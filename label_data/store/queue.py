"""A project's queue: every ready item has a place in it, and each annotator advances along it with a cursor.

An item that becomes available again (a lease expired, a ranking was withdrawn, more annotators are requested) goes to
the end. So no item behind an annotator's cursor is available to that annotator, and the next task takes one index
look-up, however many prompts are behind the cursor. Places are assigned under a lock that is held until the commit;
otherwise a cursor could pass a place that another connection had not committed yet.

All code takes locks in the same order: cursor, item, task, draft, project; several tasks by ascending number. Code that
goes on to other items while it has a task locked (`assignment.answers.submit_then_next`) takes only unlocked items.
"""

from sqlalchemy import BindParameter, Connection, bindparam, func, select, update

from label_data.database import schema
from label_data.errors import InputError

_items, _projects = schema.items, schema.projects
_project: BindParameter[str] = bindparam("of_project")
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
    """Put every ready item of the project without a place at the end of the queue, oldest first.

    To move an item to the end, set its place to NULL first. Raises InputError if there is no such project.
    """
    first = connection.scalar(_LOCK, {"of_project": project})
    if first is None:
        raise InputError("label_data.store.project_missing", project=project)
    placed = connection.execute(_PLACE, {"of_project": project, "first_place": first}).rowcount
    if placed:
        connection.execute(_ADVANCE, {"of_project": project, "place_after": first + placed})

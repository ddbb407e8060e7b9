"""Pick the next prompts for an annotator, and lease them as tasks."""

import json
import secrets
from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Any

from sqlalchemy import BigInteger, Connection, Row, Select, bindparam, func, or_, select, update

from label_data.assignment.leases import EXPIRES, LOCK_OPEN, OTHERS_LAPSED, SECOND
from label_data.canonical import canonical
from label_data.database import schema
from label_data.database.engine import change
from label_data.records import MOST_COMPLETIONS, distinct
from label_data.settings import ProjectSettings
from label_data.store.counting import rankings_requested
from label_data.store.projects import current_settings_columns
from label_data.store.queue import enqueue
from label_data.store.single_records import UPSERT
from label_data.store.stored_groups import completion_from_row

FRESH = 60 * SECOND
"""Microseconds of a lease, or a twentieth of it if that is less, after which it is renewed when its annotator asks for
work. Many rankings take less, and a new end would be an entry in every index of the tasks."""

_items, _tasks, _cursors = schema.items, schema.tasks, schema.cursors
_who, _of = bindparam("who"), bindparam("of_project")

WINDOW = 50
"""Prompts, the next there are for an annotator, from which those who work in random order draw."""


_random = secrets.SystemRandom()


_has_place = _items.c.done + _items.c.leased < rankings_requested("asked")


_had = (
    select(_tasks.c.number)
    .where(
        _tasks.c.item == _items.c.number,
        _tasks.c.annotator == _who,
        or_(_tasks.c.purpose != "", ~schema.task_is(schema.EXPIRED)),
    )
    .exists()
)


_ahead = (
    select(_items)
    .where(
        _items.c.project == _of,
        _items.c.state == schema.READY,
        _items.c.place > bindparam("place"),
        _has_place,
        ~_had,
    )
    .order_by(_items.c.place)
)


_first_ahead = _ahead.with_only_columns(_items.c.place).limit(1).scalar_subquery()


_in_order = _ahead.with_only_columns(_items.c["number", "prompt_id"], _items.c.place.label("draw"))


_window = _ahead.with_only_columns(_items.c.number).limit(WINDOW).subquery()


_at_random = (
    select(_items.c["number", "prompt_id"], func.random().label("draw"))
    .join(_window, _window.c.number == _items.c.number)
    .where(_has_place)
    .order_by("draw")
)


_given_before = (
    select(_tasks.c.item)
    .where(_tasks.c.annotator == _who, schema.task_is(schema.EXPIRED), _tasks.c.project == _of, _tasks.c.purpose == "")
    .order_by(_tasks.c.number.desc())
    .limit(5)
    .subquery()
)


_mine_again = (
    select(_items)
    .join(_given_before, _given_before.c.item == _items.c.number)
    .where(_items.c.state == schema.READY, _has_place)
    .order_by(_items.c.number)
    .limit(bindparam("wanted"))
)


def _with_completions(pick: Select[Any], skips: bool) -> Select[Any]:
    """Return a statement that locks up to `wanted` of these items, and has a row for each of their completions."""
    locked = pick.limit(bindparam("wanted")).with_for_update(key_share=True, of=_items, skip_locked=skips)
    picked, of_prompt = locked.subquery(), schema.completions
    return (
        select(picked.c.number.label("item_number"), of_prompt)
        .join(of_prompt, of_prompt.c.prompt_id == picked.c.prompt_id)
        .order_by(picked.c.draw, picked.c.number, of_prompt.c.number)
    )


_PICK = {
    order: tuple(_with_completions(pick, skips) for skips in (True, False))
    for order, pick in {"added": _in_order, "fewest": _in_order, "random": _at_random}.items()
}


_MINE_AGAIN = _mine_again.with_for_update(key_share=True, of=_items, skip_locked=True)


_my_cursor = (_cursors.c.project == _of) & (_cursors.c.annotator == _who)


_LOCK_CURSOR = select(_cursors.c.turn).where(_my_cursor).with_for_update(key_share=True)


_MOVE = (
    update(_cursors)
    .where(_my_cursor)
    .values(
        place=func.coalesce(_first_ahead - 1, bindparam("last_place", type_=BigInteger)), turn=bindparam("new_turn")
    )
)


_mine = select(_tasks.c.number).where(_tasks.c.annotator == _who, _tasks.c.project == _of)


_held = _mine.where(schema.is_open)


_OUTLOOK = (
    select(
        OTHERS_LAPSED.label("others_lapsed"),
        _mine.where(schema.task_is(schema.EXPIRED)).exists().label("had_lapse"),
        _held.with_only_columns(func.count()).scalar_subquery().label("held"),
        _held.with_only_columns(func.min(_tasks.c.expires_us - schema.now_us())).scalar_subquery().label("left"),
        (schema.projects.c.next_place - 1).label("last_place"),
        _cursors.c["place", "turn"],
        *current_settings_columns(schema.projects.c.id),
    )
    .join(_cursors, _my_cursor)
    .where(schema.projects.c.id == _of)
)


_LOCK_OPEN_HERE = LOCK_OPEN.where(_tasks.c.project == _of)


_RENEW = (
    update(_tasks).where(_tasks.c.annotator == _who, schema.is_open, _tasks.c.project == _of).values(expires_us=EXPIRES)
)


_NEW_CURSOR = {
    dialect: new(_cursors)
    .values(project=_of, annotator=_who, place=0, turn=bindparam("new_turn"))
    .on_conflict_do_nothing()
    for dialect, new in UPSERT.items()
}


_TURNS = select(func.coalesce(func.max(_tasks.c.turn), 0)).where(_tasks.c.annotator == _who, _tasks.c.project == _of)


_TAKE = update(_items).where(_items.c.number == bindparam("item_number")).values(leased=_items.c.leased + 1)


_TAKE_TO_THE_END = _TAKE.values(place=None)


_AGAIN = (
    update(_tasks)
    .where(
        _tasks.c.item == bindparam("item_number"),
        _tasks.c.annotator == _who,
        _tasks.c.purpose == bindparam("for_purpose"),
        schema.task_is(schema.EXPIRED),
    )
    .values(state=schema.OPEN, expires_us=EXPIRES)
)


_ANEW = {
    dialect: new(_tasks)
    .values(
        token=bindparam("token"),
        item=bindparam("item_number"),
        annotator=_who,
        shown=bindparam("shown"),
        state=schema.OPEN,
        assigned_us=schema.now_us(),
        expires_us=EXPIRES,
        project=_of,
        purpose=bindparam("for_purpose"),
        counted=0,
        turn=bindparam("turn"),
    )
    .on_conflict_do_nothing()
    .returning(_tasks.c.number)
    for dialect, new in UPSERT.items()
}


_had_gold = (
    select(_tasks.c.number)
    .where(
        _tasks.c.item == _items.c.number,
        _tasks.c.annotator == _who,
        or_(_tasks.c.purpose != "gold", ~schema.task_is(schema.EXPIRED)),
    )
    .exists()
)


_GOLD = (
    select(_items.c.number.label("item"), schema.rankings.c.shown)
    .join(schema.rankings, schema.rankings.c.submission == _items.c.gold)
    .where(_items.c.project == _of, _items.c.gold.is_not(None), ~_had_gold)
    .order_by(func.random())
    .limit(1)
)


_second = _tasks.alias("second")


_REPEAT = (
    select(_tasks.c.item, _tasks.c.shown)
    .where(
        _tasks.c.annotator == _who,
        _tasks.c.project == _of,
        _tasks.c.turn.between(bindparam("first_turn"), bindparam("last_turn")),
        _tasks.c.purpose == "",
        schema.task_is(schema.DONE),
        ~select(_second.c.number)
        .where(_second.c.item == _tasks.c.item, _second.c.annotator == _who, _second.c.purpose == "repeat")
        .exists(),
    )
    .order_by(_tasks.c.turn)
    .limit(1)
)


def lock_cursor(connection: Connection, project: str, annotator: str) -> None:
    """Lock the annotator's cursor in the project: two tabs can't both take tasks at one moment."""
    me = {"of_project": project, "who": annotator}
    if connection.execute(_LOCK_CURSOR, me).first() is None:
        turns = connection.scalar(_TURNS, me)
        connection.execute(_NEW_CURSOR[connection.dialect.name], me | {"new_turn": turns})
        connection.execute(_LOCK_CURSOR, me).one()


def assignment_state(connection: Connection, project: str, annotator: str) -> Row[Any]:
    """Return what `lease_more` goes by, read after the annotator's cursor was locked; it has the project's settings.

    If `others_lapsed`, `release_expired` should come first, so that the annotator finds these prompts.
    """
    return connection.execute(_OUTLOOK, {"of_project": project, "who": annotator}).one()


def lease_more(
    connection: Connection,
    project: str,
    annotator: str,
    settings: ProjectSettings,
    state: Row[Any],
    count: int,
    waits: bool = True,
) -> None:
    """Lease items to the annotator until they have `count` tasks, and renew the leases they have, unless all are fresh.

    First what they had before and nobody else was given, then the next of the queue in the project's order of work.
    In place of some of the latter a repeat or a gold prompt is given, by chance, so that nobody can tell which.
    `waits`: for items that are locked, if there is no other one; who holds the lock of an item must not.
    """
    lease = settings.lease_minutes * 60 * SECOND
    me = {"of_project": project, "who": annotator, "lease": lease}
    wanted = count - state.held
    has_given = wanted > 0 and _lease(connection, me, settings, state, wanted, waits)
    if state.held and not lease - min(FRESH, lease // 20) <= state.left <= lease:
        if state.held > 1:
            connection.execute(_LOCK_OPEN_HERE, me)
        change(connection, _RENEW, **me)
    if has_given and settings.order_of_work == "fewest":  # what was given out goes to the end
        enqueue(connection, project)


def _lease(
    connection: Connection,
    me: dict[str, Any],
    settings: ProjectSettings,
    state: Row[Any],
    wanted: int,
    waits: bool,
) -> bool:
    """Lease up to `wanted` more, move the cursor past them, and return whether there were any."""
    look = me | {"asked": settings.annotators_per_prompt, "place": state.place}
    turn = state.turn
    again = connection.execute(_MINE_AGAIN, look | {"wanted": wanted}).all() if state.had_lapse else []
    for item in again:
        if _open_again(connection, me, item.number, ""):
            _take(connection, item.number, settings)
    found: Sequence[Row[Any]] = ()
    if len(again) < wanted:
        skipping, waiting = _PICK[settings.order_of_work]
        found = connection.execute(skipping, look | {"wanted": wanted - len(again)}).all()
        if waits and not found and not again:  # the last items may only be locked, by somebody who will not keep them
            found = connection.execute(waiting, look | {"wanted": 1}).all()
        for item, rows in groupby(found, key=lambda row: row.item_number):
            turn += 1
            is_test = _give_test(connection, me, settings, turn)
            if not is_test and _give(connection, me, item, rows, turn, state.had_lapse):
                _take(connection, item, settings)
    change(connection, _MOVE, **look, last_place=state.last_place, new_turn=turn)
    return bool(again or found)


def _take(connection: Connection, item: int, settings: ProjectSettings) -> None:
    """Take a place of the item."""
    to_the_end = settings.order_of_work == "fewest"
    change(connection, _TAKE_TO_THE_END if to_the_end else _TAKE, item_number=item)


def _open_again(connection: Connection, me: dict[str, Any], item: int, purpose: str) -> bool:
    """Open a task that had lapsed as it was; return whether there was one."""
    return connection.execute(_AGAIN, me | {"item_number": item, "for_purpose": purpose}).rowcount > 0


def _give(
    connection: Connection, me: dict[str, Any], item: int, rows: Iterable[Row[Any]], turn: int, had_lapse: bool
) -> bool:
    """Make a task of the item: its different completions, of these rows, in an order drawn for this annotator alone.

    Of more than nine the first nine are shown: those of the policies, then as many as fit of those annotators wrote.
    A task of theirs that had lapsed (`had_lapse`: there are such tasks) is opened again as it was, so that a draft or a
    late answer still fits it. Return whether they have a task of it now.
    """
    if had_lapse and _open_again(connection, me, item, ""):
        return True
    shown = [completion.id for completion in distinct([completion_from_row(row) for row in rows])[:MOST_COMPLETIONS]]
    _random.shuffle(shown)
    if _insert(connection, me, item, "", shown, turn):
        return True
    # On PostgreSQL their task may have expired, or been submitted late, after `assignment_state` was read.
    return _open_again(connection, me, item, "")


def _give_test(connection: Connection, me: dict[str, Any], settings: ProjectSettings, turn: int) -> bool:
    """Lease a repeat or a gold prompt if the draw says so and there is one; return whether."""
    draw = _random.random()
    if draw < settings.gold_share:
        found = connection.execute(_GOLD, me).first()
        purpose = "gold"
    elif draw < settings.gold_share + settings.repeat_share:
        latest = turn - settings.repeat_gap
        first = _random.randint(1, latest) if latest > 0 else 1
        found = connection.execute(_REPEAT, me | {"first_turn": first, "last_turn": latest}).first()
        purpose = "repeat"
    else:
        return False
    if found is None:
        return False
    if not _open_again(connection, me, found.item, purpose):
        _insert(connection, me, found.item, purpose, _another_order(json.loads(found.shown)), turn)
    return True


def _another_order(shown: Sequence[str]) -> list[str]:
    while (order := _random.sample(shown, len(shown))) == shown:
        pass
    return order


def _insert(
    connection: Connection, me: dict[str, Any], item: int, purpose: str, shown: Sequence[str], turn: int
) -> bool:
    """Make a task; return whether there was none yet of this item and purpose."""
    values = {"item_number": item, "for_purpose": purpose, "shown": canonical(list(shown)), "turn": turn}
    anew = _ANEW[connection.dialect.name]
    return change(connection, anew, **me, **values, token=secrets.token_hex(16)).first() is not None

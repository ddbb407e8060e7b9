"""Pick the next prompts for an annotator and lease them as tasks."""

import json
import secrets
from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Any

from sqlalchemy import BigInteger, BindParameter, Connection, bindparam, func, or_, select, update

from label_data.assignment.leases import EXPIRES, LOCK_OPEN, OTHERS_EXPIRED, SECOND
from label_data.canonical import canonical
from label_data.database import schema
from label_data.database.engine import AnyRow, AnySelect, change
from label_data.records import MOST_COMPLETIONS, distinct
from label_data.settings import ProjectSettings
from label_data.store.counting import rankings_requested
from label_data.store.projects import current_settings_columns
from label_data.store.queue import enqueue
from label_data.store.single_records import UPSERT
from label_data.store.stored_groups import completion_from_row

FRESH = 60 * SECOND
"""Microseconds of a lease, or a twentieth of it if that is less, after which asking for tasks renews it. Many rankings
take less time, and each renewal writes an entry in every index of the tasks."""

_items, _tasks, _cursors = schema.items, schema.tasks, schema.cursors
_who: BindParameter[str] = bindparam("who")
_of: BindParameter[str] = bindparam("of_project")

WINDOW = 50
"""Number of next prompts from which annotators draw in random task order."""

_random = secrets.SystemRandom()

# The items that an annotator can get next

_has_place = _items.c.done + _items.c.leased < rankings_requested("requested")
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
_in_order = _ahead.with_only_columns(*_items.c["number", "prompt_id"], _items.c.place.label("draw"))
_window = _ahead.with_only_columns(_items.c.number).limit(WINDOW).subquery()
_at_random = (
    select(*_items.c["number", "prompt_id"], func.random().label("draw"))
    .join(_window, _window.c.number == _items.c.number)
    .where(_has_place)
    .order_by("draw")
)
_expired_items = (
    select(_tasks.c.item)
    .where(_tasks.c.annotator == _who, schema.task_is(schema.EXPIRED), _tasks.c.project == _of, _tasks.c.purpose == "")
    .order_by(_tasks.c.number.desc())
    .limit(5)
    .subquery()
)
_own_expired = (
    select(_items)
    .join(_expired_items, _expired_items.c.item == _items.c.number)
    .where(_items.c.state == schema.READY, _has_place)
    .order_by(_items.c.number)
    .limit(bindparam("wanted"))
)


def _with_completions(pick: AnySelect, skips: bool) -> AnySelect:
    """Return a query that locks up to `wanted` of these items and has a row for each of their completions."""
    locked = pick.limit(bindparam("wanted")).with_for_update(key_share=True, of=_items, skip_locked=skips)
    picked, of_prompt = locked.subquery(), schema.completions
    return (
        select(picked.c.number.label("item_number"), of_prompt)
        .join(of_prompt, of_prompt.c.prompt_id == picked.c.prompt_id)
        .order_by(picked.c.draw, picked.c.number, of_prompt.c.number)
    )


_ORDERS: dict[str, AnySelect] = {"added": _in_order, "fewest": _in_order, "random": _at_random}
_PICK_UNLOCKED = {order: _with_completions(pick, skips=True) for order, pick in _ORDERS.items()}
_PICK_WAITING = {order: _with_completions(pick, skips=False) for order, pick in _ORDERS.items()}
_OWN_EXPIRED = _own_expired.with_for_update(key_share=True, of=_items, skip_locked=True)

# The annotator's cursor and state

_my_cursor = (_cursors.c.project == _of) & (_cursors.c.annotator == _who)
_LOCK_CURSOR = select(_cursors.c.turn).where(_my_cursor).with_for_update(key_share=True)
_MOVE = (
    update(_cursors)
    .where(_my_cursor)
    .values(
        place=func.coalesce(_first_ahead - 1, bindparam("last_place", type_=BigInteger)), turn=bindparam("new_turn")
    )
)
_own = select(_tasks.c.number).where(_tasks.c.annotator == _who, _tasks.c.project == _of)
_held = _own.where(schema.is_open)
_STATE = (
    select(
        OTHERS_EXPIRED.label("others_expired"),
        _own.where(schema.task_is(schema.EXPIRED)).exists().label("has_expired"),
        _held.with_only_columns(func.count()).scalar_subquery().label("held"),
        _held.with_only_columns(func.min(_tasks.c.expires_us - schema.now_us())).scalar_subquery().label("left"),
        (schema.projects.c.next_place - 1).label("last_place"),
        *_cursors.c["place", "turn"],
        *current_settings_columns(schema.projects.c.id),
    )
    .join(_cursors, _my_cursor)
    .where(schema.projects.c.id == _of)
)

# Leasing

_LOCK_OPEN_HERE = LOCK_OPEN.where(_tasks.c.project == _of)
_RENEW = (
    update(_tasks).where(_tasks.c.annotator == _who, schema.is_open, _tasks.c.project == _of).values(expires_us=EXPIRES)
)
_NEW_CURSOR = {
    dialect: insert(_cursors)
    .values(project=_of, annotator=_who, place=0, turn=bindparam("new_turn"))
    .on_conflict_do_nothing()
    for dialect, insert in UPSERT.items()
}
_TURNS = select(func.coalesce(func.max(_tasks.c.turn), 0)).where(_tasks.c.annotator == _who, _tasks.c.project == _of)
_TAKE = update(_items).where(_items.c.number == bindparam("item_number")).values(leased=_items.c.leased + 1)
_TAKE_AND_REQUEUE = _TAKE.values(place=None)
_REOPEN = (
    update(_tasks)
    .where(
        _tasks.c.item == bindparam("item_number"),
        _tasks.c.annotator == _who,
        _tasks.c.purpose == bindparam("for_purpose"),
        schema.task_is(schema.EXPIRED),
    )
    .values(state=schema.OPEN, expires_us=EXPIRES)
)
_CREATE = {
    dialect: insert(_tasks)
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
    for dialect, insert in UPSERT.items()
}

# Tests of annotators: gold prompts and hidden repeats

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
    """Lock the annotator's cursor in the project, so that two tabs can't lease tasks at the same time."""
    me = {"of_project": project, "who": annotator}
    if connection.execute(_LOCK_CURSOR, me).first() is None:
        turns = connection.scalar(_TURNS, me)
        connection.execute(_NEW_CURSOR[connection.dialect.name], me | {"new_turn": turns})
        connection.execute(_LOCK_CURSOR, me).one()


def assignment_state(connection: Connection, project: str, annotator: str) -> AnyRow:
    """Return the row with which `lease_more` decides; it includes the project's settings. Lock the cursor first.

    If `others_expired`, call `release_expired` first, so that the annotator can get these prompts.
    """
    return connection.execute(_STATE, {"of_project": project, "who": annotator}).one()


def lease_more(
    connection: Connection,
    project: str,
    annotator: str,
    settings: ProjectSettings,
    state: AnyRow,
    count: int,
    waits: bool = True,
) -> None:
    """Lease items to the annotator until they hold `count` tasks, and renew their leases unless all are fresh.

    First come the annotator's own expired tasks that nobody else was given, then the next items of the queue in the
    project's task order. At random, a hidden repeat or a gold prompt replaces one of these. With `waits`, wait for
    locked items if there are no others; a caller that holds the lock of an item must not wait.
    """
    lease = settings.lease_minutes * 60 * SECOND
    me = {"of_project": project, "who": annotator, "lease": lease}
    wanted = count - state.held
    has_leased = wanted > 0 and _lease(connection, me, settings, state, wanted, waits)
    if state.held and not lease - min(FRESH, lease // 20) <= state.left <= lease:
        if state.held > 1:
            connection.execute(_LOCK_OPEN_HERE, me)
        change(connection, _RENEW, **me)
    if has_leased and settings.order_of_work == "fewest":  # assigned items go to the end
        enqueue(connection, project)


def _lease(
    connection: Connection,
    me: dict[str, Any],
    settings: ProjectSettings,
    state: AnyRow,
    wanted: int,
    waits: bool,
) -> bool:
    """Lease up to `wanted` more items and move the cursor past them; return whether there were any."""
    parameters = me | {"requested": settings.annotators_per_prompt, "place": state.place}
    turn = state.turn
    expired = connection.execute(_OWN_EXPIRED, parameters | {"wanted": wanted}).all() if state.has_expired else []
    for item in expired:
        if _reopen(connection, me, item.number, ""):
            _take(connection, item.number, settings)
    picked: Sequence[AnyRow] = ()
    if len(expired) < wanted:
        order = settings.order_of_work
        picked = connection.execute(_PICK_UNLOCKED[order], parameters | {"wanted": wanted - len(expired)}).all()
        if (
            waits and not picked and not expired
        ):  # the last items may be locked by a transaction that does not take them
            picked = connection.execute(_PICK_WAITING[order], parameters | {"wanted": 1}).all()
        for number, rows in groupby(picked, key=lambda row: row.item_number):
            turn += 1
            is_test = _assign_test(connection, me, settings, turn)
            if not is_test and _assign(connection, me, number, rows, turn, state.has_expired):
                _take(connection, number, settings)
    change(connection, _MOVE, **parameters, last_place=state.last_place, new_turn=turn)
    return bool(expired or picked)


def _take(connection: Connection, item: int, settings: ProjectSettings) -> None:
    """Take a place of the item."""
    is_requeued = settings.order_of_work == "fewest"
    change(connection, _TAKE_AND_REQUEUE if is_requeued else _TAKE, item_number=item)


def _reopen(connection: Connection, me: dict[str, Any], item: int, purpose: str) -> bool:
    """Open an expired task again, unchanged; return whether there was one."""
    return connection.execute(_REOPEN, me | {"item_number": item, "for_purpose": purpose}).rowcount > 0


def _assign(
    connection: Connection, me: dict[str, Any], item: int, rows: Iterable[AnyRow], turn: int, has_expired: bool
) -> bool:
    """Create a task for the item with its different completions, in a random order for this annotator.

    `rows` are the rows of the completions. At most nine are shown: those of the policies first, then those written by
    annotators. If the annotator has an expired task of the item (`has_expired`: they have expired tasks), it is opened
    again unchanged, so that a draft or a late answer still fits. Return whether the annotator now has a task of it.
    """
    if has_expired and _reopen(connection, me, item, ""):
        return True
    shown = [completion.id for completion in distinct([completion_from_row(row) for row in rows])[:MOST_COMPLETIONS]]
    _random.shuffle(shown)
    if _create(connection, me, item, "", shown, turn):
        return True
    # On PostgreSQL their task may have expired, or been submitted late, after `assignment_state` was read.
    return _reopen(connection, me, item, "")


def _assign_test(connection: Connection, me: dict[str, Any], settings: ProjectSettings, turn: int) -> bool:
    """Lease a hidden repeat or a gold prompt if the random draw says so and there is one; return whether it did."""
    draw = _random.random()
    if draw < settings.gold_share:
        original = connection.execute(_GOLD, me).first()
        purpose = "gold"
    elif draw < settings.gold_share + settings.repeat_share:
        latest = turn - settings.repeat_gap
        first = _random.randint(1, latest) if latest > 0 else 1
        original = connection.execute(_REPEAT, me | {"first_turn": first, "last_turn": latest}).first()
        purpose = "repeat"
    else:
        return False
    if original is None:
        return False
    if not _reopen(connection, me, original.item, purpose):
        _create(connection, me, original.item, purpose, _another_order(json.loads(original.shown)), turn)
    return True


def _another_order(shown: Sequence[str]) -> list[str]:
    while (order := _random.sample(shown, len(shown))) == shown:
        pass
    return order


def _create(
    connection: Connection, me: dict[str, Any], item: int, purpose: str, shown: Sequence[str], turn: int
) -> bool:
    """Create a task; return False if there is already one of this item and purpose."""
    values = {"item_number": item, "for_purpose": purpose, "shown": canonical(list(shown)), "turn": turn}
    statement = _CREATE[connection.dialect.name]
    return change(connection, statement, **me, **values, token=secrets.token_hex(16)).first() is not None

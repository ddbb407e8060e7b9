"""What somebody who runs a project wants to see: how far each project is, who works on it, and what is stuck."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from sqlalchemy import bindparam, case, func, select

from label_data.database import schema
from label_data.database.engine import Store, reading
from label_data.oversight.progress import WORKING_DAY
from label_data.store.projects import Project, current_settings, projects
from label_data.store.stored_groups import messages_from_json

SECOND = 1_000_000
DAY = 86_400 * SECOND
ACTIVE = 10 * 60
"""Seconds without a sign of life after which an annotator is not at work any more."""
OFTEN_SKIPPED = 3
"""Annotators who skipped a prompt, from which on it is worth a look."""

_items, _tasks, _rankings, _drafts = schema.items, schema.tasks, schema.rankings, schema.drafts
_project = bindparam("project")


@dataclass(frozen=True, slots=True)
class ProjectProgress:
    """How far one project is."""

    project: Project
    waiting: int
    ready: int
    ranked: int
    failed: int
    counted: int
    """Rankings that count."""
    requested: int
    """Rankings that the project asks for: so many annotators for each prompt that is not failed or gold, and one more
    where a ranking was doubted."""
    share: float | None
    """How much of what is asked for is there, 1 for all; None if nothing is asked for. A prompt that has more than was
    asked, from a file, makes up for no other."""
    open: int
    """Prompts with annotators now."""
    often_skipped: int
    """Prompts that `OFTEN_SKIPPED` annotators or more skipped."""


@dataclass(frozen=True, slots=True)
class AnnotatorProgress:
    """What one annotator did for one project."""

    id: str
    name: str
    ranked: int
    today: int
    """Of the last sixteen hours, skips aside: a working day."""
    skipped: int
    withdrawn: int
    open: int
    last_seen: int | None
    """Microseconds since 1970 when they last ranked, wrote a draft or asked for work; None if never."""
    is_active: bool
    """Seen in the last ten minutes?"""


@dataclass(frozen=True, slots=True)
class OpenTask:
    """One prompt that is with an annotator."""

    token: str
    name: str
    """The annotator's."""
    prompt: str
    """Its last message."""
    assigned: int
    """Microseconds since 1970, when it was given out."""
    expires: int
    """Microseconds since 1970, when it goes to another."""
    has_draft: bool
    has_expired: bool
    """Past that; it is taken back when somebody next asks for work."""


@dataclass(frozen=True, slots=True)
class DayCount:
    """Rankings that were submitted on one day, UTC."""

    day: date
    annotator: str
    """The name."""
    rankings: int


STATES = (schema.WAITING, schema.READY, schema.RANKED, schema.FAILED)
"""In the order of the work, and of the fields of `ProjectProgress`."""
_COUNTS = (
    select(
        _items.c.project,
        _items.c.state,
        _items.c.done,
        _items.c.least,
        func.count().label("prompts"),
        func.sum(_items.c.leased).label("leased"),
        func.sum(case((_items.c.gold.is_(None), 1), else_=0)).label("no_gold"),
        func.sum(case((_items.c.skipped >= OFTEN_SKIPPED, 1), else_=0)).label("often_skipped"),
    )
    .group_by(_items.c.project, _items.c.state, _items.c.done, _items.c.least)
    .order_by(_items.c.project)
)


def project_progress(store: Store) -> list[ProjectProgress]:
    """Return how far every project of the store is, first added first."""
    every = projects(store)
    with reading(store) as connection:
        rows = connection.execute(_COUNTS).all()
        asked = {project.id: current_settings(connection, project.id)[0].annotators_per_prompt for project in every}
    found = []
    for project in every:
        mine = [row for row in rows if row.project == project.id]
        wanted = [row for row in mine if row.state != schema.FAILED]
        each = asked[project.id]
        in_all = sum(int(row.no_gold) * max(row.least, each) for row in wanted)
        there = sum(int(row.no_gold) * min(row.done, max(row.least, each)) for row in wanted)
        found.append(
            ProjectProgress(
                project,
                *(sum(row.prompts for row in mine if row.state == state) for state in STATES),
                counted=sum(row.prompts * row.done for row in mine),
                requested=in_all,
                share=there / in_all if in_all else None,
                open=sum(int(row.leased) for row in mine),
                often_skipped=sum(int(row.often_skipped) for row in mine),
            )
        )
    return found


_BY_ANNOTATOR = (
    select(_tasks.c.annotator, schema.annotators.c.name, _tasks.c.state, func.count().label("tasks"))
    .join(schema.annotators, schema.annotators.c.id == _tasks.c.annotator)
    .where(_tasks.c.project == _project)
    .group_by(_tasks.c.annotator, schema.annotators.c.name, _tasks.c.state)
)
_since = bindparam("since")
_RECENT = (
    select(_rankings.c.annotator, func.count().label("rankings"), func.max(_rankings.c.stored_us).label("last"))
    .join(_items, _items.c.number == _rankings.c.item)
    .where(
        _items.c.project == _project,
        _rankings.c.annotator == bindparam("who"),
        _rankings.c.stored_us > schema.now_us() - _since,
        func.coalesce(_rankings.c.revises, "") == "",
        _rankings.c.outcome != "skipped",
    )
    .group_by(_rankings.c.annotator)
)
_LAST_RANKING = select(func.max(_rankings.c.stored_us)).where(_rankings.c.annotator == bindparam("who"))
_LAST_LEASE = select(func.max(_tasks.c.assigned_us), func.max(_tasks.c.expires_us)).where(
    _tasks.c.annotator == bindparam("who"), _tasks.c.state == schema.OPEN
)


def annotator_progress(store: Store, project: str) -> list[AnnotatorProgress]:
    """Return what each annotator did for the project, those seen last first; imported rankings are nobody's here."""
    with reading(store) as connection:
        now = connection.scalar(select(schema.now_us())) or 0
        lease = current_settings(connection, project)[0].lease_minutes * 60 * SECOND
        states: dict[tuple[str, str], dict[str, int]] = {}
        for row in connection.execute(_BY_ANNOTATOR, {"project": project}):
            states.setdefault((row.annotator, row.name), {})[row.state] = row.tasks
        found = []
        for (annotator, name), tasks in states.items():
            who: dict[str, Any] = {"who": annotator, "project": project, "since": WORKING_DAY}
            recent = connection.execute(_RECENT, who).first()
            given, until = connection.execute(_LAST_LEASE, who).one()
            # A lease starts anew with every draft, and, once a minute of it is gone, when its annotator asks for work.
            signs = [connection.scalar(_LAST_RANKING, who), given, until and min(now, until - lease)]
            seen = max((sign for sign in signs if sign is not None), default=None)
            found.append(
                AnnotatorProgress(
                    annotator,
                    name,
                    ranked=tasks.get(schema.DONE, 0),
                    today=recent.rankings if recent else 0,
                    skipped=tasks.get(schema.SKIPPED, 0),
                    withdrawn=tasks.get(schema.RETRACTED, 0),
                    open=tasks.get(schema.OPEN, 0),
                    last_seen=seen,
                    is_active=seen is not None and seen > now - ACTIVE * SECOND,
                )
            )
    return sorted(found, key=lambda one: (-(one.last_seen or 0), one.name))


_OPEN = (
    select(
        _tasks.c["token", "assigned_us", "expires_us"],
        schema.annotators.c.name,
        schema.prompts.c["messages", "category", "source", "licence"],
        _drafts.c.task.is_not(None).label("has_draft"),
        (_tasks.c.expires_us <= schema.now_us()).label("has_expired"),
    )
    .join(_items, _items.c.number == _tasks.c.item)
    .join(schema.prompts, schema.prompts.c.id == _items.c.prompt_id)
    .join(schema.annotators, schema.annotators.c.id == _tasks.c.annotator)
    .outerjoin(_drafts, _drafts.c.task == _tasks.c.token)
    .where(_tasks.c.project == _project, schema.is_open)
    .order_by(_tasks.c.expires_us)
)


def open_tasks(store: Store, project: str) -> list[OpenTask]:
    """Return the tasks that are with annotators, those that go to another soonest first.

    Which of them test their annotator is not told: whoever sees this may be one.
    """
    with reading(store) as connection:
        return [
            OpenTask(
                row.token,
                row.name,
                messages_from_json(row.messages)[-1].content,
                row.assigned_us,
                row.expires_us,
                bool(row.has_draft),
                bool(row.has_expired),
            )
            for row in connection.execute(_OPEN, {"project": project})
        ]


_BY_DAY = (
    select((_rankings.c.stored_us // DAY).label("day"), schema.annotators.c.name, func.count().label("rankings"))
    .join(_items, _items.c.number == _rankings.c.item)
    .join(schema.annotators, schema.annotators.c.id == _rankings.c.annotator)
    .where(
        _items.c.project == _project,
        _rankings.c.task.is_not(None),
        _rankings.c.stored_us >= bindparam("first_us"),
        func.coalesce(_rankings.c.revises, "") == "",
        _rankings.c.outcome != "skipped",
    )
    .group_by("day", schema.annotators.c.name)
    .order_by("day", schema.annotators.c.name)
)


def rankings_by_day(store: Store, project: str, days: int = 30) -> list[DayCount]:
    """Return how many rankings each annotator submitted on each of the last days, UTC; revisions and skips aside."""
    with reading(store) as connection:
        today = datetime.fromtimestamp((connection.scalar(select(schema.now_us())) or 0) / SECOND, UTC).date()
        first = datetime.combine(today - timedelta(days=days - 1), datetime.min.time(), UTC)
        rows = connection.execute(_BY_DAY, {"project": project, "first_us": int(first.timestamp()) * SECOND})
        return [DayCount(date(1970, 1, 1) + timedelta(days=row.day), row.name, row.rankings) for row in rows]

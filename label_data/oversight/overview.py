"""Overview for the person who runs a project: progress, annotators, open tasks and rankings per day."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from sqlalchemy import BindParameter, bindparam, case, func, select

from label_data.database import schema
from label_data.database.engine import AnyRow, Store, reading
from label_data.oversight.progress import WORKING_DAY
from label_data.settings import ProjectSettings
from label_data.store.current_rankings import is_new_work
from label_data.store.projects import Project, current_settings, projects
from label_data.store.stored_groups import messages_from_json

SECOND = 1_000_000
DAY = 86_400 * SECOND
ACTIVE = 10 * 60
"""Seconds without activity after which an annotator no longer counts as active."""
OFTEN_SKIPPED = 3
"""Number of annotators who skipped a prompt from which it is worth checking."""

_items, _tasks, _rankings, _drafts = schema.items, schema.tasks, schema.rankings, schema.drafts
_project: BindParameter[str] = bindparam("project")


@dataclass(frozen=True, slots=True)
class ProjectProgress:
    """Progress of a project."""

    project: Project
    waiting: int
    ready: int
    ranked: int
    failed: int
    counted: int
    """Number of rankings that count."""
    requested: int
    """Number of rankings requested: the annotators per prompt, for each prompt that is not failed or gold, and more for
    prompts sent for relabelling."""
    share: float | None
    """Share of the requested rankings that are done, up to 1; None if none are requested. Extra rankings of a prompt,
    from a file, do not make up for another prompt."""
    open: int
    """Number of open tasks."""
    often_skipped: int
    """Number of prompts that at least `OFTEN_SKIPPED` annotators skipped."""


@dataclass(frozen=True, slots=True)
class AnnotatorProgress:
    """Progress of an annotator in a project."""

    id: str
    name: str
    ranked: int
    today: int
    """Number of prompts ranked in the last sixteen hours, a working day; skips do not count."""
    skipped: int
    withdrawn: int
    open: int
    last_seen: int | None
    """When they last ranked, wrote a draft or asked for tasks, in microseconds since 1970; None if never."""
    is_active: bool
    """Whether they were seen in the last ten minutes."""


@dataclass(frozen=True, slots=True)
class OpenTask:
    """An open task."""

    token: str
    name: str
    """The annotator's name."""
    prompt: str
    """The prompt's last message."""
    assigned: int
    """When it was assigned, in microseconds since 1970."""
    expires: int
    """When it expires, in microseconds since 1970."""
    has_draft: bool
    has_expired: bool
    """Whether it has expired. It is released when another annotator next asks for tasks."""


@dataclass(frozen=True, slots=True)
class DayCount:
    """Number of rankings that an annotator submitted on a day, UTC."""

    day: date
    annotator: str
    """The annotator's name."""
    rankings: int


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
    """Return the progress of every project of the store, oldest project first."""
    all_projects = projects(store)
    with reading(store) as connection:
        rows = connection.execute(_COUNTS).all()
        settings = {project.id: current_settings(connection, project.id)[0] for project in all_projects}
    return [
        _progress(project, [row for row in rows if row.project == project.id], settings[project.id])
        for project in all_projects
    ]


def _progress(project: Project, rows: Sequence[AnyRow], settings: ProjectSettings) -> ProjectProgress:
    """Return the progress of a project from its rows of `_COUNTS`."""
    prompts = Counter[str]()
    requested = done = 0
    for row in rows:
        prompts[row.state] += row.prompts
        if row.state != schema.FAILED:
            per_prompt = max(row.least, settings.annotators_per_prompt)
            requested += int(row.no_gold) * per_prompt
            done += int(row.no_gold) * min(row.done, per_prompt)
    return ProjectProgress(
        project,
        waiting=prompts[schema.WAITING],
        ready=prompts[schema.READY],
        ranked=prompts[schema.RANKED],
        failed=prompts[schema.FAILED],
        counted=sum(row.prompts * row.done for row in rows),
        requested=requested,
        share=done / requested if requested else None,
        open=sum(int(row.leased) for row in rows),
        often_skipped=sum(int(row.often_skipped) for row in rows),
    )


_BY_ANNOTATOR = (
    select(_tasks.c.annotator, schema.annotators.c.name, _tasks.c.state, func.count().label("tasks"))
    .join(schema.annotators, schema.annotators.c.id == _tasks.c.annotator)
    .where(_tasks.c.project == _project)
    .group_by(_tasks.c.annotator, schema.annotators.c.name, _tasks.c.state)
)
_RECENT = (
    select(_rankings.c.annotator, func.count().label("rankings"), func.max(_rankings.c.stored_us).label("last"))
    .join(_items, _items.c.number == _rankings.c.item)
    .where(
        _items.c.project == _project,
        _rankings.c.annotator == bindparam("who"),
        _rankings.c.stored_us > schema.now_us() - bindparam("since"),
        is_new_work,
    )
    .group_by(_rankings.c.annotator)
)
_LAST_RANKING = select(func.max(_rankings.c.stored_us)).where(_rankings.c.annotator == bindparam("who"))
_LAST_LEASE = select(func.max(_tasks.c.assigned_us), func.max(_tasks.c.expires_us)).where(
    _tasks.c.annotator == bindparam("who"), _tasks.c.state == schema.OPEN
)


def annotator_progress(store: Store, project: str) -> list[AnnotatorProgress]:
    """Return the progress of each annotator in the project, last seen first. Imported rankings are not included."""
    with reading(store) as connection:
        now = connection.scalar(select(schema.now_us())) or 0
        lease = current_settings(connection, project)[0].lease_minutes * 60 * SECOND
        states: dict[tuple[str, str], dict[str, int]] = {}
        for row in connection.execute(_BY_ANNOTATOR, {"project": project}):
            states.setdefault((row.annotator, row.name), {})[row.state] = row.tasks
        annotators = []
        for (annotator, name), tasks in states.items():
            parameters: dict[str, str | int] = {"who": annotator, "project": project, "since": WORKING_DAY}
            recent = connection.execute(_RECENT, parameters).first()
            assigned, expires = connection.execute(_LAST_LEASE, parameters).one()
            # A lease restarts with every draft, and when its annotator asks for tasks after a minute of it has passed.
            times = [connection.scalar(_LAST_RANKING, parameters), assigned, expires and min(now, expires - lease)]
            seen = max((time for time in times if time is not None), default=None)
            annotators.append(
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
    return sorted(annotators, key=lambda annotator: (-(annotator.last_seen or 0), annotator.name))


_OPEN = (
    select(
        *_tasks.c["token", "assigned_us", "expires_us"],
        schema.annotators.c.name,
        schema.prompts.c.messages,
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
    """Return the open tasks, first to expire first.

    The result does not show which tasks test their annotator, because the person who sees it may be an annotator.
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
        is_new_work,
    )
    .group_by("day", schema.annotators.c.name)
    .order_by("day", schema.annotators.c.name)
)


def rankings_by_day(store: Store, project: str, days: int = 30) -> list[DayCount]:
    """Return how many prompts each annotator ranked on each of the last days, UTC; revisions and skips do not count."""
    with reading(store) as connection:
        today = datetime.fromtimestamp((connection.scalar(select(schema.now_us())) or 0) / SECOND, UTC).date()
        first = datetime.combine(today - timedelta(days=days - 1), datetime.min.time(), UTC)
        rows = connection.execute(_BY_DAY, {"project": project, "first_us": int(first.timestamp()) * SECOND})
        return [DayCount(date(1970, 1, 1) + timedelta(days=row.day), row.name, row.rankings) for row in rows]

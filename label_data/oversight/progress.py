"""Progress counts of a project, its newest prompts, and counts of the whole store."""

from collections import Counter

from sqlalchemy import bindparam, func, select

from label_data.database import schema
from label_data.database.engine import Store, reading
from label_data.records import Prompt
from label_data.store.adding import Added
from label_data.store.current_rankings import is_new_work
from label_data.store.projects import PROJECT
from label_data.store.stored_groups import prompt_from_row

WORKING_DAY = 16 * 3600 * 1_000_000
"""Sixteen hours, in microseconds: the time zone of an annotator is unknown, and no working day is longer."""


def item_counts(store: Store, project: str = PROJECT) -> dict[str, int]:
    """Return the number of prompts in each state: waiting, ready, ranked, failed."""
    items = schema.items
    query = select(items.c.state, func.count()).where(items.c.project == project).group_by(items.c.state)
    states = (schema.WAITING, schema.READY, schema.RANKED, schema.FAILED)
    with reading(store) as connection:
        counts = {row[0]: row[1] for row in connection.execute(query)}
    return dict.fromkeys(states, 0) | counts


def untouched_ready(store: Store, project: str = PROJECT) -> int:
    """Return how many ready prompts no annotator has ranked, skipped or open: the supply ahead of the annotators."""
    items = schema.items
    untouched = items.c.done + items.c.leased + items.c.skipped == 0
    free = (items.c.project == project) & (items.c.state == schema.READY) & untouched
    with reading(store) as connection:
        return connection.scalar(select(func.count()).where(free)) or 0


def newest_prompts(store: Store, limit: int, project: str = PROJECT) -> list[tuple[Prompt, str]]:
    """Return the project's newest prompts with their states, newest first."""
    items, prompts = schema.items, schema.prompts
    query = select(prompts, items.c.state).join(items, items.c.prompt_id == prompts.c.id)
    newest = query.where(items.c.project == project).order_by(items.c.number.desc()).limit(limit)
    with reading(store) as connection:
        return [(prompt_from_row(row), row.state) for row in connection.execute(newest)]


def origins(store: Store, project: str | None = None) -> Counter[tuple[str, str]]:
    """Return the number of prompts of the store, or of a project, by (source, licence)."""
    items, prompts = schema.items, schema.prompts
    query = select(prompts.c.source, prompts.c.licence, func.count()).group_by(prompts.c.source, prompts.c.licence)
    if project is not None:
        query = query.where(prompts.c.id.in_(select(items.c.prompt_id).where(items.c.project == project)))
    with reading(store) as connection:
        return Counter({(source, licence): count for source, licence, count in connection.execute(query)})


_rankings = schema.rankings
_TODAY = select(func.count()).where(
    _rankings.c.annotator == bindparam("who"),
    _rankings.c.stored_us > schema.now_us() - WORKING_DAY,
    is_new_work,
)


def rankings_today(store: Store, annotator: str) -> int:
    """Return how many prompts the annotator ranked in the last sixteen hours, a working day; skips do not count."""
    with reading(store) as connection:
        return connection.scalar(_TODAY, {"who": annotator}) or 0


_NEW_WORK_AFTER = (
    select(_rankings.c.number)
    .join(schema.items, schema.items.c.number == _rankings.c.item)
    .where(
        _rankings.c.number > bindparam("after"),
        schema.items.c.project == bindparam("project"),
        is_new_work,
        _rankings.c.purpose == "",
    )
    .limit(bindparam("most"))
)


def newest_ranking(store: Store) -> int:
    """Return the number of the newest ranking of any project; 0 if there is none."""
    with reading(store) as connection:
        return connection.scalar(select(func.max(_rankings.c.number))) or 0


def rankings_after(store: Store, number: int, project: str, most: int) -> int:
    """Return how many rankings the project has after this number, counting at most `most`.

    Skips, revisions and tests of annotators do not count. The query scans the primary key from that number.
    """
    with reading(store) as connection:
        rows = connection.execute(_NEW_WORK_AFTER, {"after": number, "project": project, "most": most})
        return len(rows.all())


def store_counts(store: Store, project: str | None = None) -> Added:
    """Return how many prompts, completions and rankings the store, or a project, has.

    Revised and withdrawn rankings are included.
    """
    prompts, completions, rankings, items = schema.prompts, schema.completions, schema.rankings, schema.items
    queries = [select(func.count()).select_from(table) for table in (prompts, completions, rankings)]
    if project is not None:
        ids = select(items.c.prompt_id).where(items.c.project == project)
        numbers = select(items.c.number).where(items.c.project == project)
        conditions = (prompts.c.id.in_(ids), completions.c.prompt_id.in_(ids), rankings.c.item.in_(numbers))
        queries = [query.where(condition) for query, condition in zip(queries, conditions, strict=True)]
    with reading(store) as connection:
        return Added(*(connection.scalar(query) or 0 for query in queries))

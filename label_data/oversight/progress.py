"""How far the work is: counts, and what was added last."""

from collections import Counter

from sqlalchemy import bindparam, func, select

from label_data.database import schema
from label_data.database.engine import Store, reading
from label_data.records import Prompt
from label_data.store.adding import Added
from label_data.store.projects import PROJECT
from label_data.store.stored_groups import prompt_from_row

WORKING_DAY = 16 * 3600 * 1_000_000
"""Microseconds; no time zone is known of an annotator, and no day is longer."""


def item_counts(store: Store, project: str = PROJECT) -> dict[str, int]:
    """Return how many prompts are waiting, ready, ranked and failed."""
    items = schema.items
    query = select(items.c.state, func.count()).where(items.c.project == project).group_by(items.c.state)
    states = (schema.WAITING, schema.READY, schema.RANKED, schema.FAILED)
    with reading(store) as connection:
        return dict.fromkeys(states, 0) | dict(connection.execute(query).all())


def untouched_ready(store: Store, project: str = PROJECT) -> int:
    """Return how many prompts are ready, and neither ranked or skipped nor with an annotator: what is ahead of them."""
    items = schema.items
    untouched = items.c.done + items.c.leased + items.c.skipped == 0
    free = (items.c.project == project) & (items.c.state == schema.READY) & untouched
    with reading(store) as connection:
        return connection.scalar(select(func.count()).where(free)) or 0


def newest_prompts(store: Store, limit: int, project: str = PROJECT) -> list[tuple[Prompt, str]]:
    """Return the project's newest prompts with their states, newest first."""
    items, prompts = schema.items, schema.prompts
    query = select(prompts, items.c.state).join(items, items.c.prompt_id == prompts.c.id)
    mine = query.where(items.c.project == project).order_by(items.c.number.desc()).limit(limit)
    with reading(store) as connection:
        return [(prompt_from_row(row), row.state) for row in connection.execute(mine)]


def origins(store: Store, project: str | None = None) -> Counter[tuple[str, str]]:
    """Return how many prompts of the store, or of one project, came from which (source, licence)."""
    items, prompts = schema.items, schema.prompts
    query = select(prompts.c.source, prompts.c.licence, func.count()).group_by(prompts.c.source, prompts.c.licence)
    if project is not None:
        query = query.where(prompts.c.id.in_(select(items.c.prompt_id).where(items.c.project == project)))
    with reading(store) as connection:
        return Counter({(source, licence): number for source, licence, number in connection.execute(query)})


_rankings = schema.rankings
_TODAY = select(func.count()).where(
    _rankings.c.annotator == bindparam("who"),
    _rankings.c.stored_us > schema.now_us() - WORKING_DAY,
    func.coalesce(_rankings.c.revises, "") == "",  # SQLite takes the index on `revises` for IS NULL: nearly all rows
    _rankings.c.outcome != "skipped",
)


def rankings_today(store: Store, annotator: str) -> int:
    """Return how many rankings, skips aside, the annotator sent in the last sixteen hours: a working day."""
    with reading(store) as connection:
        return connection.scalar(_TODAY, {"who": annotator}) or 0


_SAID_SINCE = (
    select(_rankings.c.number)
    .join(schema.items, schema.items.c.number == _rankings.c.item)
    .where(
        _rankings.c.number > bindparam("after"),
        schema.items.c.project == bindparam("project"),
        func.coalesce(_rankings.c.revises, "") == "",
        _rankings.c.outcome != "skipped",
        _rankings.c.purpose == "",
    )
    .limit(bindparam("most"))
)


def newest_ranking(store: Store) -> int:
    """Return the number of the ranking that was stored last, of whatever project; 0 before the first."""
    with reading(store) as connection:
        return connection.scalar(select(func.max(_rankings.c.number))) or 0


def rankings_after(store: Store, number: int, project: str, most: int) -> int:
    """Return how many rankings the project has after the one of this number, counting to `most` and no further.

    Skips, changes of earlier rankings, and tests of annotators are not among them. One walk along the key from there.
    """
    with reading(store) as connection:
        found = connection.execute(_SAID_SINCE, {"after": number, "project": project, "most": most})
        return len(found.all())


def store_counts(store: Store, project: str | None = None) -> Added:
    """Return how many prompts, completions and rankings the store, or one project of it, holds.

    Rankings that were revised or withdrawn are among them.
    """
    prompts, completions, rankings, items = schema.prompts, schema.completions, schema.rankings, schema.items
    mine = select(items.c.prompt_id).where(items.c.project == project)
    numbers = select(items.c.number).where(items.c.project == project)
    with reading(store) as connection:
        return Added(
            *(
                connection.scalar(query if project is None else query.where(column.in_(of_project))) or 0
                for query, column, of_project in (
                    (select(func.count()).select_from(prompts), prompts.c.id, mine),
                    (select(func.count()).select_from(completions), completions.c.prompt_id, mine),
                    (select(func.count()).select_from(rankings), rankings.c.item, numbers),
                )
            )
        )

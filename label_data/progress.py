"""How far the work is: counts, and what was added last."""

from sqlalchemy import func, select

from label_data import schema
from label_data.contents import prompt_in
from label_data.database import Store, reading
from label_data.projects import PROJECT
from label_data.records import Prompt
from label_data.store import Added

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
    """Return how many prompts are ready and neither ranked nor with an annotator: what is ahead of them."""
    items = schema.items
    free = (items.c.project == project) & (items.c.state == schema.READY) & (items.c.done + items.c.leased == 0)
    with reading(store) as connection:
        return connection.scalar(select(func.count()).where(free)) or 0


def newest_prompts(store: Store, limit: int, project: str = PROJECT) -> list[tuple[Prompt, str]]:
    """Return the project's newest prompts with their states, newest first."""
    items, prompts = schema.items, schema.prompts
    query = select(prompts, items.c.state).join(items, items.c.prompt_id == prompts.c.id)
    mine = query.where(items.c.project == project).order_by(items.c.number.desc()).limit(limit)
    with reading(store) as connection:
        return [(prompt_in(row), row.state) for row in connection.execute(mine)]


def rankings_today(store: Store, annotator: str) -> int:
    """Return how many rankings, skips aside, the annotator sent in the last sixteen hours: a working day."""
    rankings = schema.rankings
    since = schema.now_us() - WORKING_DAY
    mine = (rankings.c.annotator == annotator) & (rankings.c.stored_us > since) & rankings.c.revises.is_(None)
    with reading(store) as connection:
        counted = select(func.count()).where(mine, rankings.c.outcome != "skipped")
        return connection.scalar(counted) or 0


def store_counts(store: Store) -> Added:
    """Return how many prompts, completions and rankings the store holds, revised rankings included."""
    with reading(store) as connection:
        tables = (schema.prompts, schema.completions, schema.rankings)
        return Added(*(connection.scalar(select(func.count()).select_from(table)) or 0 for table in tables))

"""Gold prompts: their ranking is known, so that what annotators answer can be held against it.

A researcher ranks them like any other, and then says that these rankings are the known ones; or a file of the groups
format does, by the purpose "key". From then on such a prompt is handed out as a test alone, to every annotator in time,
in place of the share of tasks that the project's settings say, and nothing shows which it is.
"""

from sqlalchemy import Connection, select, update

from label_data.database import schema
from label_data.database.engine import Store, reading, writing
from label_data.errors import InputError
from label_data.store.counting import LOCKED_ITEM, recount_item
from label_data.store.projects import PROJECT, current_settings

_rankings, _later = schema.rankings, schema.rankings.alias("later")
IS_CURRENT = ~select(_later.c.number).where(_later.c.revises == _rankings.c.submission).exists() & (
    _rankings.c.submission.not_in(select(schema.retractions.c.submission))
)
"""Was the ranking neither changed nor withdrawn since?"""


def mark_gold(store: Store, submission: str) -> bool:
    """Make the prompt of this ranking a gold one, and the ranking the known one; return False if it is that already.

    Raises InputError if there is no such ranking, it was changed or withdrawn since, or it is a skip or a test itself.
    """
    with writing(store) as connection:
        return _mark(connection, submission)


def _mark(connection: Connection, submission: str) -> bool:
    row = connection.execute(
        select(_rankings.c.item, _rankings.c.outcome, _rankings.c.purpose).where(
            _rankings.c.submission == submission, IS_CURRENT
        )
    ).first()
    if row is None or row.item is None:
        raise InputError(f"Ranking {submission!r} is not stored, or was changed or withdrawn since. Choose another.")
    if row.outcome == "skipped" or row.purpose:
        raise InputError(
            f"Ranking {submission!r} is a skip or a test of an annotator. Choose one that says what is right."
        )
    item = connection.execute(LOCKED_ITEM, {"item_number": row.item}).one()
    if item.gold == submission:
        return False
    gold = {"gold": submission, "state": schema.RANKED, "place": None}
    connection.execute(update(schema.items).where(schema.items.c.number == row.item).values(**gold))
    return True


def mark_all_gold(store: Store, annotator: str, project: str = PROJECT) -> int:
    """Make every prompt that the annotator ranked in the project a gold one, skips aside; return how many are new."""
    items = schema.items
    ranked = (
        select(_rankings.c.submission)
        .join(items, items.c.number == _rankings.c.item)
        .where(items.c.project == project, _rankings.c.annotator == annotator, IS_CURRENT)
        .where(_rankings.c.outcome != "skipped", _rankings.c.purpose == "")
        .order_by(_rankings.c.number)
    )
    with writing(store) as connection:
        return sum(_mark(connection, submission) for submission in connection.scalars(ranked).all())


def unmark_gold(store: Store, submission: str) -> bool:
    """Make the gold prompt of this ranking an ordinary one again; return False if it is none."""
    items = schema.items
    with writing(store) as connection:
        number = connection.scalar(select(items.c.number).where(items.c.gold == submission))
        if number is None:
            return False
        connection.execute(update(items).where(items.c.number == number).values(gold=None))
        item = connection.execute(LOCKED_ITEM, {"item_number": number}).one()
        settings, _ = current_settings(connection, item.project)
        recount_item(connection, item, settings.annotators_per_prompt)
        return True


def gold_prompts(store: Store, project: str = PROJECT) -> int:
    """Return how many gold prompts the project has."""
    items = schema.items
    with reading(store) as connection:
        gold = select(items.c.number).where(items.c.project == project, items.c.gold.is_not(None))
        return len(connection.execute(gold).all())

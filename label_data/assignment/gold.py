"""Gold prompts: prompts with a known ranking, used to check annotators.

A researcher ranks a prompt like any other and then marks the ranking as known; or a file of the groups format marks it
with the purpose "key". From then on the prompt is assigned only as a test. Over time every annotator gets it, in the
share of tasks that the project's settings give, and nothing shows that it is a test.
"""

from sqlalchemy import Connection, select, update

from label_data.database import schema
from label_data.database.engine import Store, reading, writing
from label_data.errors import InputError
from label_data.store.counting import LOCKED_ITEM, recount_item
from label_data.store.current_rankings import is_current
from label_data.store.projects import PROJECT, current_settings

_rankings = schema.rankings


def mark_gold(store: Store, submission: str) -> bool:
    """Make this ranking the known ranking of its prompt, which becomes a gold prompt; return False if it is already.

    Raises InputError if the ranking does not exist, was edited or withdrawn, is a skip, or is itself a test.
    """
    with writing(store) as connection:
        return _mark(connection, submission)


def _mark(connection: Connection, submission: str) -> bool:
    row = connection.execute(
        select(_rankings.c.item, _rankings.c.outcome, _rankings.c.purpose).where(
            _rankings.c.submission == submission, is_current()
        )
    ).first()
    if row is None or row.item is None:
        raise InputError("label_data.assignment.gold_unavailable", ranking=submission)
    if row.outcome == "skipped" or row.purpose:
        raise InputError("label_data.assignment.gold_without_order", ranking=submission)
    item = connection.execute(LOCKED_ITEM, {"item_number": row.item}).one()
    if item.gold == submission:
        return False
    gold = {"gold": submission, "state": schema.RANKED, "place": None}
    connection.execute(update(schema.items).where(schema.items.c.number == row.item).values(**gold))
    return True


def mark_all_gold(store: Store, annotator: str, project: str = PROJECT) -> int:
    """Make every prompt that the annotator ranked in the project a gold prompt; return how many are new."""
    items = schema.items
    ranked = (
        select(_rankings.c.submission)
        .join(items, items.c.number == _rankings.c.item)
        .where(items.c.project == project, _rankings.c.annotator == annotator, is_current())
        .where(_rankings.c.outcome != "skipped", _rankings.c.purpose == "")
        .order_by(_rankings.c.number)
    )
    with writing(store) as connection:
        return sum(_mark(connection, submission) for submission in connection.scalars(ranked).all())


def unmark_gold(store: Store, submission: str) -> bool:
    """Make the gold prompt of this ranking an ordinary prompt again; return False if it is not gold."""
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
    """Return the number of gold prompts of the project."""
    items = schema.items
    with reading(store) as connection:
        gold = select(items.c.number).where(items.c.project == project, items.c.gold.is_not(None))
        return len(connection.execute(gold).all())

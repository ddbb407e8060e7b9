"""Rankings that are doubted, sent to somebody else: one more annotator is asked for their prompt, blind.

The prompt comes back into its project's queue and is given to whoever has not ranked it, as any other prompt is: in an
order drawn anew, with nothing of what was said before and nothing that tells why. Both rankings stay and both count;
what is right is for whoever reads them, not for the model that doubted one.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import func, select, update

from label_data.assignment.gold import IS_CURRENT
from label_data.database import schema
from label_data.database.engine import Store, reading, writing
from label_data.store.counting import LOCKED_ITEM, recount_item
from label_data.store.projects import PROJECT, current_settings

_items, _rankings = schema.items, schema.rankings


@dataclass(frozen=True, slots=True)
class RelabellingRequest:
    """What became of prompts whose rankings were doubted."""

    requested: int
    """Of which one more ranking is asked for now."""
    already_requested: int
    """Of which one was asked for before."""
    still_open: int
    """Which others are to rank anyway."""
    unavailable: int
    """Rankings that are not of this project's prompts, or were changed or withdrawn since; and gold prompts, whose
    ranking is known."""


def request_relabelling(store: Store, submissions: Iterable[str], project: str = PROJECT) -> RelabellingRequest:
    """Ask one more annotator for the prompt of each of these rankings; no prompt is asked for twice."""
    found = {"requested": 0, "already_requested": 0, "still_open": 0, "unavailable": 0}
    with writing(store) as connection:
        settings, _ = current_settings(connection, project)
        wanted: dict[int, None] = {}
        for submission in dict.fromkeys(submissions):
            number = connection.scalar(
                select(_items.c.number)
                .join(_rankings, _rankings.c.item == _items.c.number)
                .where(_rankings.c.submission == submission, _items.c.project == project, IS_CURRENT)
            )
            if number is None:
                found["unavailable"] += 1
            else:
                wanted[number] = None
        for number in sorted(wanted):
            item = connection.execute(LOCKED_ITEM, {"item_number": number}).one()
            if item.gold is not None:
                found["unavailable"] += 1
            elif item.least:
                found["already_requested"] += 1
            elif item.state != schema.RANKED:
                found["still_open"] += 1
            else:
                found["requested"] += 1
                one_more = max(item.done, settings.annotators_per_prompt) + 1
                connection.execute(update(_items).where(_items.c.number == number).values(least=one_more))
                item = connection.execute(LOCKED_ITEM, {"item_number": number}).one()
                recount_item(connection, item, settings.annotators_per_prompt)
    return RelabellingRequest(**found)


def relabelling_progress(store: Store, project: str = PROJECT) -> tuple[int, int]:
    """Return of how many prompts one more ranking was asked for, and how many of them have it."""
    of_project = (_items.c.project == project) & (_items.c.least > 0)
    with reading(store) as connection:
        asked = connection.scalar(select(func.count()).where(of_project)) or 0
        there = connection.scalar(select(func.count()).where(of_project, _items.c.done >= _items.c.least)) or 0
    return asked, there

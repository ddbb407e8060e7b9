"""Send suspect rankings to one more annotator for blind relabelling.

The prompt returns to its project's queue and goes to an annotator who has not ranked it, like any other prompt: in a
new random order, without the earlier ranking or the reason. Both rankings are kept and both count. People decide which
is right, not the model that flagged one.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import func, select, update

from label_data.database import schema
from label_data.database.engine import Store, reading, writing
from label_data.store.counting import LOCKED_ITEM, recount_item
from label_data.store.current_rankings import is_current
from label_data.store.projects import PROJECT, current_settings

_items, _rankings = schema.items, schema.rankings


@dataclass(frozen=True, slots=True)
class RelabellingRequest:
    """Result of a request to relabel suspect rankings."""

    requested: int
    """Prompts that now need one more ranking."""
    already_requested: int
    """Prompts for which one more ranking was requested before."""
    still_open: int
    """Prompts that other annotators are to rank anyway."""
    unavailable: int
    """Rankings that are not of this project or were edited or withdrawn, and rankings of gold prompts."""


def request_relabelling(store: Store, submissions: Iterable[str], project: str = PROJECT) -> RelabellingRequest:
    """Request one more ranking of the prompt of each of these rankings, at most once per prompt."""
    requested = already_requested = still_open = unavailable = 0
    with writing(store) as connection:
        settings, _ = current_settings(connection, project)
        items: set[int] = set()
        for submission in dict.fromkeys(submissions):
            number = connection.scalar(
                select(_items.c.number)
                .join(_rankings, _rankings.c.item == _items.c.number)
                .where(_rankings.c.submission == submission, _items.c.project == project, is_current())
            )
            if number is None:
                unavailable += 1
            else:
                items.add(number)
        for number in sorted(items):
            item = connection.execute(LOCKED_ITEM, {"item_number": number}).one()
            if item.gold is not None:
                unavailable += 1
            elif item.least:
                already_requested += 1
            elif item.state != schema.RANKED:
                still_open += 1
            else:
                requested += 1
                one_more = max(item.done, settings.annotators_per_prompt) + 1
                connection.execute(update(_items).where(_items.c.number == number).values(least=one_more))
                item = connection.execute(LOCKED_ITEM, {"item_number": number}).one()
                recount_item(connection, item, settings.annotators_per_prompt)
    return RelabellingRequest(requested, already_requested, still_open, unavailable)


def relabelling_progress(store: Store, project: str = PROJECT) -> tuple[int, int]:
    """Return the number of prompts for which relabelling was requested, and how many of them are done."""
    of_project = (_items.c.project == project) & (_items.c.least > 0)
    with reading(store) as connection:
        requested = connection.scalar(select(func.count()).where(of_project)) or 0
        done = connection.scalar(select(func.count()).where(of_project, _items.c.done >= _items.c.least)) or 0
    return requested, done

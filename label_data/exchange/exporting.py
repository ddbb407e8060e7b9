"""Export a project to a file in any of the formats."""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from label_data.database.engine import Store
from label_data.errors import InputError
from label_data.exchange.known_formats import WITH_MARGIN, WRITERS
from label_data.files.rows_out import NothingToWrite
from label_data.formats import groups, spreadsheet
from label_data.sentences import Sentence, say
from label_data.store.bare_groups import bare_groups
from label_data.store.stored_groups import groups as stored_groups


@dataclass(frozen=True, slots=True)
class Exported:
    """The result of an export."""

    rows: int
    left_out: Counter[Sentence]
    """What the format has no place for -> how many."""


def export_file(
    store: Store, file: Path, format_: str, with_margin: bool = False, project: str | None = None
) -> Exported:
    """Write the store to the file in a format of `known_formats.WRITERS`, whole or not at all.

    `project`: export only its prompts and the rankings made for it; by default all projects.

    "groups" gets everything, also revised rankings; other formats get what they have a place for of the current
    rankings, and with `with_margin` their strengths too. Raises InputError if the file can't be written, or if the
    store has nothing for it.
    """
    left_out: Counter[Sentence] = Counter()
    write = WRITERS[format_]
    if with_margin:
        if format_ not in WITH_MARGIN:
            raise InputError("label_data.exchange.no_margin", format=format_, formats=", ".join(sorted(WITH_MARGIN)))
        write = partial(write, with_margin=True)
    # Which of the two kinds of groups a format takes depends on its name.
    exported_groups: Iterable[Any]
    if format_ in (groups.NAME, spreadsheet.NAME):
        exported_groups = stored_groups(store, revised=format_ == groups.NAME, project=project)
    else:
        exported_groups = bare_groups(store, project)
    return exported(partial(write, file, exported_groups), left_out)


def exported(write: Callable[[Counter[Sentence]], int], left_out: Counter[Sentence]) -> Exported:
    """Write, and return the number of rows and what was left out; InputError with the reasons if there is no row."""
    try:
        return Exported(write(left_out), +left_out)
    except NothingToWrite as error:
        remedy = say("label_data.exchange.rank_first")
        counted = (+left_out).most_common()
        if counted:
            reasons = _reason(*counted[0])
            for reason, count in counted[1:]:
                reasons = say("label_data.exchange.reasons", first=reasons, second=_reason(reason, count))
            remedy = say("label_data.exchange.left_out", reasons=reasons)
        raise InputError("label_data.exchange.nothing_written", problem=error.sentence, remedy=remedy) from None


def _reason(reason: Sentence, count: int) -> Sentence:
    return say("label_data.exchange.reason", count=count, reason=reason)

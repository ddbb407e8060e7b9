"""Export a project to a file in any format."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from label_data.database.engine import Store
from label_data.errors import InputError
from label_data.exchange.known_formats import WITH_MARGIN, WRITERS
from label_data.files.rows_out import NothingToWrite
from label_data.formats import groups, spreadsheet
from label_data.store.bare_groups import bare_groups
from label_data.store.stored_groups import groups as stored_groups


@dataclass(frozen=True, slots=True)
class Exported:
    """What became of the content of the store."""

    rows: int
    left_out: Counter[str]
    """What the format has no place for -> how many."""


def export_file(
    store: Store, file: Path, format_: str, with_margin: bool = False, project: str | None = None
) -> Exported:
    """Write the store to the file in a format of `known_formats.WRITERS`, whole or not at all.

    `project`: only its prompts, and the rankings made for it; by default those of all projects.

    "groups" gets all there is, revised rankings included; others what they have a place for of current rankings,
    `with_margin` their strengths too. Raises InputError if the file can't be written, or if the store holds nothing
    for it.
    """
    left_out: Counter[str] = Counter()
    write = WRITERS[format_]
    if with_margin:
        if format_ not in WITH_MARGIN:
            raise InputError(f"Format {format_} has no margin. Leave it out, or use {', '.join(sorted(WITH_MARGIN))}.")
        write = partial(write, with_margin=True)
    if format_ in (groups.NAME, spreadsheet.NAME):
        found = stored_groups(store, revised=format_ == groups.NAME, project=project)
    else:
        found = bare_groups(store, project)
    return exported(partial(write, file, found), left_out)


def exported(write: Callable[[Counter[str]], int], left_out: Counter[str]) -> Exported:
    """Write, and return how many rows that gave and what was left out; InputError with the reasons if there is none."""
    try:
        return Exported(write(left_out), +left_out)
    except NothingToWrite as error:
        reasons = "; ".join(f"{times:,} x {reason}" for reason, times in (+left_out).most_common())
        raise InputError(f"{error} {f'Left out: {reasons}' if reasons else 'Rank or import first'}.") from None

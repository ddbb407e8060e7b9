"""Count, check, copy, back up and restore a store."""

import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from tqdm import tqdm

from label_data.assignment.gold import gold_prompts
from label_data.commands.options import ProjectOption, StoreOption, input_errors, opened_store
from label_data.comparisons import group_comparisons
from label_data.database.engine import Store, displayed_address
from label_data.oversight.check import (
    WAL_RESET,
    database_version,
    has_wal_reset_fault,
    problems,
    repair_counters,
    store_revision,
)
from label_data.oversight.copies import CopySummary, back_up, copy_store, restore
from label_data.oversight.progress import item_counts
from label_data.store.projects import Project, project_named
from label_data.store.stored_groups import groups


def stats(store: StoreOption = "", project: ProjectOption = "") -> None:
    """Count what a project holds."""
    with input_errors(), opened_store(store) as opened:
        found = _counts(opened, project_named(opened, project))
    table = Table(box=None, show_header=False)
    table.add_column(justify="right")
    for name, number in found.items():
        table.add_row(f"{number:,}", name)
    Console().print(table)


def _counts(store: Store, project: Project) -> Counter[str]:
    found = Counter(prompts=0, completions=0, rankings=0, comparisons=0, annotators=0)
    annotators = set()
    for group in groups(store, project=project.id):
        found.update(prompts=1, completions=len(group.completions), rankings=len(group.rankings))
        found["comparisons"] += len(group_comparisons(group))
        found.update(f"rankings with outcome {ranking.outcome}" for ranking in group.rankings)
        found.update(f"rankings from source {ranking.source}" for ranking in group.rankings)
        annotators |= {ranking.annotator for ranking in group.rankings}
    found["annotators"] = len(annotators)
    found.update({f"prompts {state}": number for state, number in item_counts(store, project.id).items()})
    if known := gold_prompts(store, project.id):
        found["gold prompts"] = known
    return found


def check(
    store: StoreOption = "",
    mend: Annotated[bool, typer.Option(help="first count again what is kept counted, from tasks and rankings")] = False,
) -> None:
    """Look for damage: the file, references, triggers, counters, ids and hashes. Ends with status 1 if there is any."""
    with input_errors(), opened_store(store) as opened:
        version = database_version(opened)
        print(f"{displayed_address(opened.url)} on {version}, tables at {store_revision(opened)}")
        if opened.dialect.name == "sqlite" and has_wal_reset_fault(sqlite3.sqlite_version_info):
            print(f"Know this: {WAL_RESET}")
        if mend:
            print(f"Counters mended: those of {repair_counters(opened):,} prompts were wrong.")
        found = 0
        with _progress() as advance:
            for found, problem in enumerate(problems(opened, advance), start=1):  # noqa: B007 - the last is the count
                tqdm.write(problem)
    print(f"{found:,} problems." if found else "Sound: no problem found.")
    raise typer.Exit(1 if found else 0)


def copy_command(
    source: Annotated[str, typer.Argument(metavar="FROM", help="store file or database URL")],
    target: Annotated[str, typer.Argument(metavar="TO", help="store file or database URL; new, or never used")],
) -> None:
    """Copy a store, whole and proven, to a new one on either back end. Whoever writes meanwhile is not disturbed."""
    with input_errors(), opened_store(source) as old, opened_store(target, create=True) as new, _progress() as advance:
        copied = copy_store(old, new, advance)
    _print_copied(copied, "Both export")


def backup(file: Annotated[Path, typer.Argument(help="the file to make")], store: StoreOption = "") -> None:
    """Copy the store, while it is used, into one file, and prove it."""
    with input_errors(), opened_store(store) as opened, _progress() as advance:
        copied = back_up(opened, file, advance)
    _print_copied(copied, f"The store and {file} export")


def restore_command(
    file: Annotated[Path, typer.Argument(help="what backup made")],
    store: StoreOption = "",
) -> None:
    """Copy a backup into a store that is new; one in use is refused: move its file away, or name another database."""
    with input_errors(), opened_store(store, create=True) as target, _progress() as advance:
        copied = restore(file, target, advance)
    _print_copied(copied, f"{file} and {displayed_address(target.url)} export")


@contextmanager
def _progress() -> Iterator[Callable[[str, int], object]]:
    """Yield what shows, in a terminal, how many rows of which table are done."""
    with tqdm(unit=" rows", disable=None, leave=False) as bar:

        def advance(table: str, rows: int) -> None:
            bar.set_description(table, refresh=False)
            bar.update(rows)

        yield advance


def _print_copied(copied: CopySummary, both: str) -> None:
    for table, rows in copied.rows.items():
        print(f"{rows:>12,} {table}")
    print(f"{both} the same bytes, sha256 {copied.sha256}.")

"""The commands stats, check, copy, backup and restore."""

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
    """Count the prompts, completions and rankings of a project."""
    with input_errors(), opened_store(store) as opened:
        counts = _counts(opened, project_named(opened, project))
    table = Table(box=None, show_header=False)
    table.add_column(justify="right")
    for name, number in counts.items():
        table.add_row(f"{number:,}", name)
    Console().print(table)


def _counts(store: Store, project: Project) -> Counter[str]:
    counts = Counter(prompts=0, completions=0, rankings=0, comparisons=0, annotators=0)
    annotators = set()
    for group in groups(store, project=project.id):
        counts.update(prompts=1, completions=len(group.completions), rankings=len(group.rankings))
        counts["comparisons"] += len(group_comparisons(group))
        counts.update(f"rankings with outcome {ranking.outcome}" for ranking in group.rankings)
        counts.update(f"rankings from source {ranking.source}" for ranking in group.rankings)
        annotators |= {ranking.annotator for ranking in group.rankings}
    counts["annotators"] = len(annotators)
    counts.update({f"prompts {state}": number for state, number in item_counts(store, project.id).items()})
    if gold := gold_prompts(store, project.id):
        counts["gold prompts"] = gold
    return counts


def check(
    store: StoreOption = "",
    mend: Annotated[bool, typer.Option(help="first recompute the stored counters from tasks and rankings")] = False,
) -> None:
    """Check a store for damage: file, references, triggers, counters, ids and hashes. Exit status 1 if any is found."""
    with input_errors(), opened_store(store) as opened:
        version = database_version(opened)
        print(f"{displayed_address(opened.url)} on {version}, tables at {store_revision(opened)}")
        if opened.dialect.name == "sqlite" and has_wal_reset_fault(sqlite3.sqlite_version_info):
            print(f"Note: {WAL_RESET}")
        if mend:
            print(f"Corrected the counters of {repair_counters(opened):,} prompts.")
        count = 0
        with _progress() as advance:
            for problem in problems(opened, advance):
                tqdm.write(str(problem))
                count += 1
    print(f"{count:,} problems." if count else "No problems found.")
    raise typer.Exit(1 if count else 0)


def copy_command(
    source: Annotated[str, typer.Argument(metavar="FROM", help="store file or database URL")],
    target: Annotated[str, typer.Argument(metavar="TO", help="store file or database URL; must be new or never used")],
) -> None:
    """Copy a store to a new one, SQLite or PostgreSQL, and verify the copy. The store can stay in use."""
    with input_errors(), opened_store(source) as old, opened_store(target, create=True) as new, _progress() as advance:
        copied = copy_store(old, new, advance)
    _print_copied(copied, "Both export")


def backup(file: Annotated[Path, typer.Argument(help="file to write")], store: StoreOption = "") -> None:
    """Back up the store to one file, and verify the backup. The store can stay in use."""
    with input_errors(), opened_store(store) as opened, _progress() as advance:
        copied = back_up(opened, file, advance)
    _print_copied(copied, f"The store and {file} export")


def restore_command(
    file: Annotated[Path, typer.Argument(help="file written by backup")],
    store: StoreOption = "",
) -> None:
    """Restore a backup to a new store. An existing store is never overwritten: move it away, or name another."""
    with input_errors(), opened_store(store, create=True) as target, _progress() as advance:
        copied = restore(file, target, advance)
    _print_copied(copied, f"{file} and {displayed_address(target.url)} export")


@contextmanager
def _progress() -> Iterator[Callable[[str, int], object]]:
    """Yield a function that shows, in a terminal, how many rows of which table are done."""
    with tqdm(unit=" rows", disable=None, leave=False) as bar:

        def advance(table: str, rows: int) -> None:
            bar.set_description(table, refresh=False)
            bar.update(rows)

        yield advance


def _print_copied(copied: CopySummary, both: str) -> None:
    for table, rows in copied.rows.items():
        print(f"{rows:>12,} {table}")
    print(f"{both} the same bytes, sha256 {copied.sha256}.")

"""python -m label_data import | export | stats | check: the store from a terminal."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from tqdm import tqdm

from label_data.check import database_version, problems
from label_data.comparisons import group_comparisons
from label_data.data_folder import default_store
from label_data.database import Store, open_store
from label_data.formats import READERS, WRITERS, prompts
from label_data.formats.rows_out import ENDINGS
from label_data.records import InputError
from label_data.store import Added, groups, item_counts
from label_data.transfer import export_file, import_files

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False, help="The store: data in and out, and checks.")
Reading = StrEnum("Reading", {name: name for name in READERS})
Writing = StrEnum("Writing", {name: name for name in WRITERS})
StoreOption = Annotated[str, typer.Option("--store", help="store file or database URL [default: the data folder's]")]


@contextmanager
def input_errors() -> Iterator[None]:
    """Print what the person can put right alone, and end with status 1; any other error keeps its traceback."""
    try:
        yield
    except InputError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from None


def _store(address: str, create: bool = False) -> Store:
    return open_store(address or default_store(), create)


@app.command("import")
def import_command(
    files: Annotated[list[Path], typer.Argument(help="the files to read")],
    format_: Annotated[Reading | None, typer.Option("--format", help="what they hold [default: recognised]")] = None,
    store: StoreOption = "",
    column: Annotated[str, typer.Option(help="prompts: the field or column that holds the prompt")] = prompts.COLUMN,
    category: Annotated[str, typer.Option(help="prompts: their category, where a row names none")] = "",
    name: Annotated[list[str] | None, typer.Option(help="OUR=THEIRS: what the file calls a field (table, …)")] = None,
) -> None:
    """Add what the files hold to the store: all of it, or with an error nothing."""
    with input_errors(), tqdm(unit=" prompts", disable=None, leave=False) as progress:
        found = import_files(
            _store(store, create=True),
            files,
            format_ or "",
            column,
            category,
            _mapped(name or []),
            lambda rows: progress.update(),
        )
    if format_ is None:
        for file, said, rows in found.files:
            print(f"{file}: {said}; {rows:,} {'row' if rows == 1 else 'rows'} taken.")
    print(f"Added {_spelled(found.added)}.")
    if found.repeated != Added():
        print(f"There already, in the store or earlier in the files: {_spelled(found.repeated)}.")
    _print_counts("Left out", found.left_out)


@app.command("export")
def export_command(
    format_: Annotated[Writing, typer.Option("--format", help="what to write")],
    out: Annotated[Path, typer.Option(help=f"the file; its name ends in {', '.join(ENDINGS)}")],
    store: StoreOption = "",
    margin: Annotated[bool, typer.Option(help="trl: write strengths as margins")] = False,
) -> None:
    """Write the store to one file: everything (groups), or the comparisons for TRL's trainers (trl)."""
    with input_errors():
        written = export_file(_store(store), out, format_, margin)
    print(f"Wrote {written.rows:,} rows to {out}.")
    _print_counts("Not in the file", written.left_out)


@app.command()
def stats(store: StoreOption = "") -> None:
    """Count what the store holds."""
    with input_errors():
        found = _counts(_store(store))
    table = Table(box=None, show_header=False)
    table.add_column(justify="right")
    for name, number in found.items():
        table.add_row(f"{number:,}", name)
    Console().print(table)


def _counts(store: Store) -> Counter[str]:
    found = Counter(prompts=0, completions=0, rankings=0, comparisons=0, annotators=0)
    annotators = set()
    for group in groups(store):
        found.update(prompts=1, completions=len(group.completions), rankings=len(group.rankings))
        found["comparisons"] += len(group_comparisons(group))
        found.update(f"rankings with outcome {ranking.outcome}" for ranking in group.rankings)
        found.update(f"rankings from source {ranking.source}" for ranking in group.rankings)
        annotators |= {ranking.annotator for ranking in group.rankings}
    found["annotators"] = len(annotators)
    found.update({f"prompts {state}": number for state, number in item_counts(store).items()})
    return found


@app.command()
def check(store: StoreOption = "") -> None:
    """Look for damage: the file, references, counters, ids and hashes. Ends with status 1 if there is any."""
    with input_errors():
        opened = _store(store)
        print(f"{opened.url.render_as_string()} on {database_version(opened)}")
        found = 0
        for found, problem in enumerate(problems(opened), start=1):  # noqa: B007 - the last number is the count
            print(problem)
    print(f"{found:,} problems." if found else "Sound: no problem found.")
    raise typer.Exit(1 if found else 0)


def _mapped(pairs: list[str]) -> dict[str, str]:
    for pair in pairs:
        if "=" not in pair:
            raise InputError(f"--name {pair}: found no equals sign. Write our name and the file's: chosen=better.")
    return dict(pair.split("=", 1) for pair in pairs)


def _spelled(added: Added) -> str:
    return f"{added.prompts:,} prompts, {added.completions:,} completions and {added.rankings:,} rankings"


def _print_counts(verb: str, left_out: Counter[str]) -> None:
    for reason, times in left_out.most_common():
        print(f"{verb}, {times:,} x: {reason}.")


if __name__ == "__main__":
    app(prog_name="python -m label_data")

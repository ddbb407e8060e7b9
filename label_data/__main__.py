"""python -m label_data: the store from a terminal: data in and out, versions, projects, quality, checks, copies."""

import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console
from rich.table import Table
from tqdm import tqdm

from label_data.assignment.gold import gold_prompts, mark_all_gold
from label_data.commands.options import ProjectOption, StoreOption, input_errors
from label_data.commands.options import opened_store as _opened
from label_data.commands.versions import app as versions_app
from label_data.commands.versions import snapshot
from label_data.comparisons import group_comparisons
from label_data.database.engine import Store, shown
from label_data.exchange.card import export_card
from label_data.exchange.hub import push
from label_data.exchange.importing import Imported, Preview, export_file, import_files, preview
from label_data.exchange.known_formats import FILE_ENDINGS, LACKS, READERS, WITH_MARGIN, WRITERS
from label_data.formats import prompts
from label_data.oversight.check import (
    WAL_RESET,
    database_version,
    has_wal_reset_fault,
    mend_counters,
    problems,
    store_revision,
)
from label_data.oversight.copies import Copied, back_up, copy_store, restore
from label_data.oversight.progress import item_counts, origins
from label_data.records import InputError
from label_data.store.adding import Added
from label_data.store.annotators import annotator_with_name
from label_data.store.projects import Project, add_project, project_named, project_settings, projects
from label_data.store.stored_groups import groups

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False, help="The store: data in and out, and checks.")
Reading = StrEnum("Reading", {name: name for name in READERS})
Writing = StrEnum("Writing", {name: name for name in WRITERS})
OUT_ENDINGS = dict.fromkeys(ending for endings in FILE_ENDINGS.values() for ending in endings)
app.command()(snapshot)
app.add_typer(versions_app, name="versions")


@app.command("import")
def import_command(
    files: Annotated[
        list[str], typer.Argument(help="files, folders, and data sets as hub:OWNER/NAME[:CONFIG][:SPLIT]")
    ],
    format_: Annotated[
        Reading | None,
        typer.Option(
            "--format", metavar="FORMAT", help=f"what they hold; recognised if not given: {', '.join(READERS)}"
        ),
    ] = None,
    store: StoreOption = "",
    column: Annotated[str, typer.Option(help="prompts: the field or column that holds the prompt")] = prompts.COLUMN,
    category: Annotated[str, typer.Option(help="prompts: their category, where a row names none")] = "",
    project: ProjectOption = "",
    name: Annotated[list[str] | None, typer.Option(help="OUR=THEIRS: what the file calls a field (table, …)")] = None,
    source: Annotated[
        str, typer.Option(help="where the prompts come from; by default what the file says, or its name")
    ] = "",
    licence: Annotated[str, typer.Option(help="under which terms; by default what the file or the hub says")] = "",
    dry_run: Annotated[bool, typer.Option(help="read everything, show what is there, and store nothing")] = False,
) -> None:
    """Add what the files hold to a project: all of it, or with an error nothing."""
    with input_errors(), tqdm(unit=" prompts", disable=None, leave=False) as progress:
        how = {"format_": format_ or "", "column": column, "category": category, "names": _mapped(name or [])}
        how |= {"source": source, "licence": licence, "on_progress": lambda rows: progress.update()}
        if dry_run:
            found: Imported | Preview = preview(files, **how)
        else:
            with _opened(store, create=True) as opened:
                found = import_files(opened, files, project=project_named(opened, project).id, **how)
    if format_ is None:
        for file, said, many in found.files:
            print(f"{file}: {said}; {many:,} {'group' if many == 1 else 'groups'}.")
    if isinstance(found, Preview):
        _print_preview(found)
    else:
        print(f"Added {_spelled(found.added)}.")
        if found.added.joined:
            print(f"In the store already, and in this project now: {found.added.joined:,} prompts.")
        if found.repeated != Added():
            print(f"There already, in the store or earlier in the files: {_spelled(found.repeated)}.")
    _print_counts("Left out", found.left_out)


def _print_preview(found: Preview) -> None:
    print(f"Found {_spelled(found.found)}, what comes again counted again; stored nothing.")
    for group in found.first:
        print(f"\n{_shortened(group.prompt.messages[-1].content)}")
        rank = {
            id: place for ranking in group.rankings[:1] for place, tied in enumerate(ranking.order, 1) for id in tied
        }
        for completion in group.completions:
            print(f"  {rank.get(completion.id, '-')}. {_shortened(completion.text)}")
        for demonstration in group.demonstrations:
            print(f"  written: {_shortened(demonstration.text)}")
    print()


def _shortened(text: str) -> str:
    """Return the beginning of a text as one line that a terminal only shows."""
    line = " ".join(text.split())
    return "".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in line[:99]) + "…" * (len(line) > 99)


@app.command("export")
def export_command(
    format_: Annotated[
        Writing, typer.Option("--format", metavar="FORMAT", help=f"what to write: {', '.join(WRITERS)}")
    ],
    out: Annotated[Path, typer.Option(help=f"the file; its name ends in {', '.join(OUT_ENDINGS)}")],
    store: StoreOption = "",
    margin: Annotated[bool, typer.Option(help=f"write strengths as margins: {', '.join(sorted(WITH_MARGIN))}")] = False,
    project: ProjectOption = "",
    version: Annotated[str, typer.Option(help="a version of the data instead of what a project holds now")] = "",
    side: Annotated[
        Literal["train", "held_out"] | None, typer.Option(help="with --version: one side of its split; by default both")
    ] = None,
    push_to_hub: Annotated[
        str, typer.Option(help="OWNER/NAME: also put the file and a card there, private if new")
    ] = "",
    public: Annotated[bool, typer.Option(help="with --push-to-hub: for everybody to see, if it is new")] = False,
) -> None:
    """Write a project to one file: everything (groups), a table to look at (spreadsheet), or what a trainer takes."""
    described, held_out = "", 0
    with input_errors(), _opened(store) as opened:
        if side and not version:
            raise InputError(f"--side {side}: a side of what? Name a version of the data with --version.")
        if version:
            from label_data.versions.export import export_version
            from label_data.versions.version import version_named  # pandas and scipy: for versions alone

            found = version_named(opened, version)
            mine, described, held_out = found.project, found.card, found.manifest["counts"]["held-out prompts"]
            written = export_version(opened, found, out, format_, margin, side)
        else:
            mine = project_named(opened, project).id
            written = export_file(opened, out, format_, margin, mine)
        came_from = origins(opened, mine)
    print(f"Wrote {written.rows:,} rows to {out}.")
    if held_out and side is None:
        print(f"Both sides are in it, {held_out:,} held-out prompts too: to train on it, leave them out: --side train.")
    _print_counts("Not in the file", written.left_out)
    if format_ in LACKS:
        print(f"Format {format_} has no place for {LACKS[format_]}.")
    if push_to_hub:
        card = export_card(out, format_, written.rows, written.left_out, came_from) + f"\n{described}" * bool(described)
        with input_errors():
            print(f"On the hub: {push(out, card, push_to_hub, private=not public)}")


@app.command()
def stats(store: StoreOption = "", project: ProjectOption = "") -> None:
    """Count what a project holds."""
    with input_errors(), _opened(store) as opened:
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


@app.command("projects")
def projects_command(
    store: StoreOption = "",
    add: Annotated[str, typer.Option(help="name of a project to be added, with the default settings")] = "",
) -> None:
    """List the store's projects, each with its prompts by state; with --add, add one first."""
    with input_errors(), _opened(store, create=bool(add)) as opened:
        if add:
            add_project(opened, add)
        for project in projects(opened):
            counts = item_counts(opened, project.id)
            states = ", ".join(f"{number:,} {state}" for state, number in counts.items())
            print(f"{project.id}: {project.name!r}, revision {project_settings(opened, project.id)[1]}, {states}")


@app.command()
def gold(
    annotator: Annotated[str, typer.Argument(help="name of who ranked prompts as they should be ranked")],
    store: StoreOption = "",
    project: ProjectOption = "",
) -> None:
    """Make every prompt that this annotator ranked a gold one: others get it as a test, by the project's share."""
    with input_errors(), _opened(store) as opened:
        mine = project_named(opened, project).id
        new = mark_all_gold(opened, annotator_with_name(opened, annotator).id, mine)
        print(f"{new:,} new gold prompts, {gold_prompts(opened, mine):,} in all.")


@app.command()
def quality(
    store: Annotated[str, typer.Argument(help="store file or database URL; by default the data folder's")] = "",
    project: ProjectOption = "",
    out: Annotated[Path | None, typer.Option(help="also write the whole report to this .html or .json file")] = None,
    seed: Annotated[int, typer.Option(help="decides the resamples of every interval")] = 0,
) -> None:
    """Say how much to believe a project's rankings: agreement, bias, effort, reliability, policies, and what to do."""
    from label_data.quality.page import EVERYBODY, check_ending, headline, write_report
    from label_data.quality.report import (
        quality as quality_report,  # pandas, scipy and matplotlib: for this command alone
    )

    with input_errors():
        if out:
            check_ending(out)
    with input_errors(), _opened(store) as opened:
        ranked = groups(opened, ranked_only=True, project=project_named(opened, project).id)
        counted = tqdm(ranked, unit=" prompts", disable=None, leave=False)
        found = quality_report(counted, seed=seed)
        written = write_report(found, out) if out else []
    print("\n".join(headline(found)))
    print("\nWhat to do:" if found.findings else "\nNothing stands out.")
    for one in found.findings:
        print(f"- {one.about or EVERYBODY}: {one.what} {one.todo}")
    if written:
        print(f"\nThe report is {written[0]}, with {len(written) - 1} plots.")


@app.command()
def check(
    store: StoreOption = "",
    mend: Annotated[bool, typer.Option(help="first count again what is kept counted, from tasks and rankings")] = False,
) -> None:
    """Look for damage: the file, references, triggers, counters, ids and hashes. Ends with status 1 if there is any."""
    with input_errors(), _opened(store) as opened:
        version = database_version(opened)
        print(f"{shown(opened.url)} on {version}, tables at {store_revision(opened)}")
        if opened.dialect.name == "sqlite" and has_wal_reset_fault(sqlite3.sqlite_version_info):
            print(f"Know this: {WAL_RESET}")
        if mend:
            print(f"Counters mended: those of {mend_counters(opened):,} prompts were wrong.")
        found = 0
        with _progress() as advance:
            for found, problem in enumerate(problems(opened, advance), start=1):  # noqa: B007 - the last is the count
                tqdm.write(problem)
    print(f"{found:,} problems." if found else "Sound: no problem found.")
    raise typer.Exit(1 if found else 0)


@app.command("copy")
def copy_command(
    source: Annotated[str, typer.Argument(metavar="FROM", help="store file or database URL")],
    target: Annotated[str, typer.Argument(metavar="TO", help="store file or database URL; new, or never used")],
) -> None:
    """Copy a store, whole and proven, to a new one on either back end. Whoever writes meanwhile is not disturbed."""
    with input_errors(), _opened(source) as old, _opened(target, create=True) as new, _progress() as advance:
        copied = copy_store(old, new, advance)
    _print_copied(copied, "Both export")


@app.command()
def backup(file: Annotated[Path, typer.Argument(help="the file to make")], store: StoreOption = "") -> None:
    """Copy the store, while it is used, into one file, and prove it."""
    with input_errors(), _opened(store) as opened, _progress() as advance:
        copied = back_up(opened, file, advance)
    _print_copied(copied, f"The store and {file} export")


@app.command("restore")
def restore_command(
    file: Annotated[Path, typer.Argument(help="what backup made")],
    store: StoreOption = "",
) -> None:
    """Copy a backup into a store that is new; one in use is refused: move its file away, or name another database."""
    with input_errors(), _opened(store, create=True) as target, _progress() as advance:
        copied = restore(file, target, advance)
    _print_copied(copied, f"{file} and {shown(target.url)} export")


@contextmanager
def _progress() -> Iterator[Callable[[str, int], object]]:
    """Yield what shows, in a terminal, how many rows of which table are done."""
    with tqdm(unit=" rows", disable=None, leave=False) as bar:

        def advance(table: str, rows: int) -> None:
            bar.set_description(table, refresh=False)
            bar.update(rows)

        yield advance


def _print_copied(copied: Copied, both: str) -> None:
    for table, rows in copied.rows.items():
        print(f"{rows:>12,} {table}")
    print(f"{both} the same bytes, sha256 {copied.sha256}.")


def _mapped(pairs: list[str]) -> dict[str, str]:
    for pair in pairs:
        if "=" not in pair:
            raise InputError(f"--name {pair}: found no equals sign. Write our name and the file's: chosen=better.")
    return dict(pair.split("=", 1) for pair in pairs)


def _spelled(added: Added) -> str:
    counts = {"prompt": added.prompts, "completion": added.completions, "ranking": added.rankings}
    prompts, completions, rankings = (f"{of:,} {name}{'' if of == 1 else 's'}" for name, of in counts.items())
    return f"{prompts}, {completions} and {rankings}"


def _print_counts(verb: str, left_out: Counter[str]) -> None:
    for reason, times in left_out.most_common():
        print(f"{verb}, {times:,} x: {reason}.")


if __name__ == "__main__":
    app(prog_name="python -m label_data")

"""Import and export."""

from collections import Counter
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal

import typer
from tqdm import tqdm

from label_data.commands.options import ProjectOption, StoreOption, input_errors, opened_store
from label_data.errors import InputError
from label_data.exchange.card import export_card
from label_data.exchange.exporting import export_file
from label_data.exchange.hub import push
from label_data.exchange.importing import Imported, Preview, import_files, preview
from label_data.exchange.known_formats import FILE_ENDINGS, LACKS, READERS, WITH_MARGIN, WRITERS
from label_data.formats import prompts
from label_data.oversight.progress import origins
from label_data.store.adding import Added
from label_data.store.projects import project_named

Reading = StrEnum("Reading", {name: name for name in READERS})


Writing = StrEnum("Writing", {name: name for name in WRITERS})


OUT_ENDINGS = dict.fromkeys(ending for endings in FILE_ENDINGS.values() for ending in endings)


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
            with opened_store(store, create=True) as opened:
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
    with input_errors(), opened_store(store) as opened:
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

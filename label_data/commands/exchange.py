"""The commands import and export."""

from collections import Counter
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal

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
from label_data.sentences import Sentence
from label_data.store.adding import Added
from label_data.store.projects import project_named

# mypy wants the members of an Enum as literals, but these are the names of the formats.
ReadFormat = StrEnum("ReadFormat", {name: name for name in READERS})  # type: ignore[misc]
WriteFormat = StrEnum("WriteFormat", {name: name for name in WRITERS})  # type: ignore[misc]
OUT_ENDINGS = dict.fromkeys(ending for endings in FILE_ENDINGS.values() for ending in endings)


def import_command(
    files: Annotated[
        list[str], typer.Argument(help="files, folders, and data sets as hub:OWNER/NAME[:CONFIG][:SPLIT]")
    ],
    format_: Annotated[
        ReadFormat | None,
        typer.Option(
            "--format",
            metavar="FORMAT",
            help=f"format of the files; by default detected from the first row: {', '.join(READERS)}",
        ),
    ] = None,
    store: StoreOption = "",
    column: Annotated[str, typer.Option(help="format prompts: field or column that holds the prompt")] = prompts.COLUMN,
    category: Annotated[str, typer.Option(help="format prompts: category of rows without one")] = "",
    project: ProjectOption = "",
    name: Annotated[
        list[str] | None,
        typer.Option(help="OUR=THEIRS: a field and its name in the file: chosen=better (table, argilla, label-studio)"),
    ] = None,
    source: Annotated[
        str, typer.Option(help="source of the prompts; by default the one stated in the file, or the file's name")
    ] = "",
    licence: Annotated[
        str, typer.Option(help="licence of the prompts; by default the one stated in the file or on the hub")
    ] = "",
    dry_run: Annotated[bool, typer.Option(help="read the files and preview their content, but store nothing")] = False,
) -> None:
    """Import files into a project: everything, or nothing if there is an error."""
    with input_errors(), tqdm(unit=" prompts", disable=None, leave=False) as progress:
        # Arguments of both functions, of several types.
        options: dict[str, Any] = {
            "format_": format_ or "",
            "column": column,
            "category": category,
            "names": _mapped(name or []),
            "source": source,
            "licence": licence,
            "on_progress": lambda rows: progress.update(),
        }
        if dry_run:
            result: Imported | Preview = preview(files, **options)
        else:
            with opened_store(store, create=True) as opened:
                result = import_files(opened, files, project=project_named(opened, project).id, **options)
    if format_ is None:
        for file, kind, count in result.files:
            print(f"{file}: {kind}; {count:,} {'group' if count == 1 else 'groups'}.")
    if isinstance(result, Preview):
        _print_preview(result)
    else:
        print(f"Added {_counts(result.added)}.")
        if result.added.joined:
            print(f"In the store already, and now in this project: {result.added.joined:,} prompts.")
        if result.repeated != Added():
            print(f"Already in the store, or earlier in the files: {_counts(result.repeated)}.")
    _print_left_out("Left out", result.left_out)


def _print_preview(result: Preview) -> None:
    print(f"Found {_counts(result.found)}, repeats included; stored nothing.")
    for group in result.first:
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
    """Return the beginning of a text as one line that a terminal shows and does not execute."""
    line = " ".join(text.split())
    return "".join(
        character if character.isprintable() else ascii(character)[1:-1] for character in line[:99]
    ) + "…" * (len(line) > 99)


def export_command(
    format_: Annotated[
        WriteFormat, typer.Option("--format", metavar="FORMAT", help=f"format of the file: {', '.join(WRITERS)}")
    ],
    out: Annotated[Path, typer.Option(help=f"file to write; its name ends in {', '.join(OUT_ENDINGS)}")],
    store: StoreOption = "",
    margin: Annotated[
        bool, typer.Option(help=f"include preference strengths as margins; formats: {', '.join(sorted(WITH_MARGIN))}")
    ] = False,
    project: ProjectOption = "",
    version: Annotated[str, typer.Option(help="version to export instead of the project's current data")] = "",
    side: Annotated[
        Literal["train", "held_out"] | None, typer.Option(help="with --version: one side of its split; by default both")
    ] = None,
    push_to_hub: Annotated[
        str,
        typer.Option(
            help="OWNER/NAME: also upload the file and a data card to this hub data set; a new one is private"
        ),
    ] = "",
    public: Annotated[bool, typer.Option(help="with --push-to-hub: make a new data set public")] = False,
) -> None:
    """Export a project to one file: everything (groups), a table (spreadsheet), or the format of a trainer."""
    version_card, held_out = "", 0
    with input_errors(), opened_store(store) as opened:
        if side and not version:
            raise InputError("label_data.commands.side_without_version", side=side)
        if version:
            from label_data.versions.export import export_version
            from label_data.versions.version import version_named  # pandas and scipy: for versions alone

            exported_version = version_named(opened, version)
            project_id, version_card = exported_version.project, exported_version.card
            held_out = exported_version.manifest["counts"]["held-out prompts"]
            written = export_version(opened, exported_version, out, format_, margin, side)
        else:
            project_id = project_named(opened, project).id
            written = export_file(opened, out, format_, margin, project_id)
        prompt_origins = origins(opened, project_id)
    print(f"Wrote {written.rows:,} rows to {out}.")
    if held_out and side is None:
        print(
            f"The file has both sides, also {held_out:,} held-out prompts. For training, leave them out: --side train."
        )
    _print_left_out("Not in the file", written.left_out)
    if format_ in LACKS:
        print(f"Format {format_} has no place for: {LACKS[format_]}.")
    if push_to_hub:
        card = export_card(out, format_, written.rows, written.left_out, prompt_origins)
        card += f"\n{version_card}" if version_card else ""
        with input_errors():
            print(f"On the hub: {push(out, card, push_to_hub, private=not public)}")


def _mapped(pairs: list[str]) -> dict[str, str]:
    for pair in pairs:
        if "=" not in pair:
            raise InputError("label_data.commands.name_without_equals", pair=pair)
    return dict(pair.split("=", 1) for pair in pairs)


def _counts(added: Added) -> str:
    counts = {"prompt": added.prompts, "completion": added.completions, "ranking": added.rankings}
    prompts, completions, rankings = (f"{count:,} {name}{'' if count == 1 else 's'}" for name, count in counts.items())
    return f"{prompts}, {completions} and {rankings}"


def _print_left_out(heading: str, left_out: Counter[Sentence]) -> None:
    for reason, count in left_out.most_common():
        print(f"{heading}, {count:,} x: {reason}.")

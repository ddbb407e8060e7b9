"""python -m label_data snapshot | versions: versions of a project's data from a terminal."""

from pathlib import Path
from typing import Annotated

import typer
from tqdm import tqdm

from label_data.commands.options import ProjectOption, StoreOption, input_errors, opened_store
from label_data.dates import format_time
from label_data.store.projects import project_named
from label_data.versions.near_duplicates import THRESHOLD
from label_data.versions.recipes import Aggregate, Recipe, Ties, Weights, margins_from

app = typer.Typer(help="Versions of a project's data: list, show and compare them.", pretty_exceptions_enable=False)
NameArgument = Annotated[str, typer.Argument(help="the version's name")]


def snapshot(
    name: Annotated[str, typer.Argument(help="what to call it")],
    store: StoreOption = "",
    project: ProjectOption = "",
    where: Annotated[
        list[str] | None, typer.Option(help="FIELD=VALUE or FIELD!=VALUE; repeat for each condition")
    ] = None,
    held_out: Annotated[float, typer.Option(help="share of the prompts that is held out")] = 0.2,
    near: Annotated[float, typer.Option(help="overlap from which prompts are near-duplicates")] = THRESHOLD,
    seed: Annotated[int, typer.Option(help="decides the split")] = 0,
    ties: Annotated[Ties, typer.Option(help="say nothing; count half each way; stay ties")] = "drop",
    aggregate: Annotated[Aggregate, typer.Option(help="of several annotators")] = "raw",
    weights: Annotated[Weights, typer.Option(help="what weighs 1")] = "ranking",
    margin: Annotated[str, typer.Option(help="margin for each strength: 1=0.3,2=0.6,3=1")] = "",
) -> None:
    """Freeze what a project's rankings say now: split, weighed, hashed, never changed again, with a data card."""
    from label_data.versions.making import make_version  # pandas and scipy: for these commands alone

    with (
        input_errors(),
        opened_store(store) as opened,
        tqdm(unit=" prompts", disable=None, leave=False) as progress,
    ):
        recipe = Recipe(
            project_named(opened, project).id,
            tuple(where or ()),
            held_out=held_out,
            near=near,
            seed=seed,
            ties=ties,
            aggregate=aggregate,
            margins=margins_from(margin),
            weights=weights,
        )
        made = make_version(opened, name, recipe, progress.update)
    counts = made.manifest["counts"]
    print(
        f"Version {name}: {counts['prompts']:,} prompts, {counts['held-out prompts']:,} of them held out; "
        f"{counts['rankings']:,} rankings, {counts['comparisons']:,} comparisons."
    )
    print(f"sha256 {made.sha256}")
    if made.manifest["moved"]:
        print(
            f"{len(made.manifest['moved']):,} prompts that were held out in {', '.join(made.manifest['follows'])} are "
            "near-duplicates of prompts that were trained on, and come to the training side."
        )
    for reason, times in made.manifest["left_out"].items():
        print(f"Left out, {times:,} x: {reason}.")
    print(f"The data card: python -m label_data versions show {name}")


@app.callback(invoke_without_command=True)
def list_versions(context: typer.Context, store: StoreOption = "") -> None:
    """List the store's versions, first made first."""
    if context.invoked_subcommand is not None:
        return
    from label_data.versions.version import models_of, versions, withdrawn_rankings

    with input_errors(), opened_store(store) as opened:
        found = versions(opened)
        for one in found:
            counts, gone = one.manifest["counts"], withdrawn_rankings(opened, one)
            print(
                f"{one.name}: {_day(one.made)}, project {one.project}, {counts['prompts']:,} prompts, "
                f"{counts['comparisons']:,} comparisons, {len(models_of(opened, one)):,} models, "
                f"sha256 {one.sha256[:12]}…" + (f"; {gone:,} rankings withdrawn: not given out" if gone else "")
            )
    if not found:
        print("There is no version yet: python -m label_data snapshot NAME makes one.")


@app.command()
def show(
    name: NameArgument,
    store: StoreOption = "",
    out: Annotated[Path | None, typer.Option(help="write the data card to this file instead")] = None,
) -> None:
    """Show a version's data card and the models that were trained on it."""
    from label_data.files.whole import replacing
    from label_data.versions.version import models_of, refusal, version_named, withdrawn_rankings

    with input_errors(), opened_store(store) as opened:
        found = version_named(opened, name)
        models, gone = models_of(opened, found), withdrawn_rankings(opened, found)
        if out is not None:
            with replacing(out) as file:
                file.write(found.card.encode())
    print(found.card if out is None else f"Wrote the data card to {out}.\n")
    print(f"Models trained on it: {len(models):,}.")
    for one in models:
        said = ", ".join(f"{what} {value}" for what, value in one.summary.items() if value is not None)
        print(f"- {one.folder} ({_day(one.trained)}; {said}; report.json sha256 {one.report_sha256[:12]}…)")
    if gone:
        print(refusal(found, gone))


@app.command()
def compare(first: NameArgument, second: NameArgument, store: StoreOption = "") -> None:
    """Say what came, what went and what changed from one version to another."""
    from label_data.versions.changes import changes, lines
    from label_data.versions.version import frozen_rows, version_named

    with input_errors(), opened_store(store) as opened:
        one, other = version_named(opened, first), version_named(opened, second)
        rows, other_rows = frozen_rows(opened, one), frozen_rows(opened, other)
    if one.sha256 == other.sha256:
        print(f"{first} and {second} hold the same, byte for byte: sha256 {one.sha256}.")
    print("\n".join(lines((first, second), changes(one.manifest, rows, other.manifest, other_rows))))


def _day(microseconds: int) -> str:
    return f"{format_time(microseconds)} UTC"

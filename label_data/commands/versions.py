"""The commands of python -m label_data versions: create, list, show and compare versions of a project's data."""

from functools import wraps
from pathlib import Path
from typing import Annotated, Any

import typer
from tqdm import tqdm

from label_data.commands.options import ProjectOption, StoreOption, input_errors, opened_store
from label_data.dates import format_time
from label_data.store.projects import project_named
from label_data.versions.near_duplicates import THRESHOLD
from label_data.versions.recipes import Aggregate, Recipe, Ties, Weights, margins_from

app = typer.Typer(
    help="Create versions of a project's data, and list, show and compare them.", pretty_exceptions_enable=False
)
NameArgument = Annotated[str, typer.Argument(help="name of the version")]


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="name of the new version")],
    store: StoreOption = "",
    project: ProjectOption = "",
    where: Annotated[
        list[str] | None,
        typer.Option(help="keep only these rankings: FIELD=VALUE or FIELD!=VALUE; repeat for each condition"),
    ] = None,
    held_out: Annotated[float, typer.Option(help="share of the prompts to hold out")] = 0.2,
    near: Annotated[float, typer.Option(help="Jaccard overlap from which two prompts are near-duplicates")] = THRESHOLD,
    seed: Annotated[int, typer.Option(help="seed of the split")] = 0,
    ties: Annotated[Ties, typer.Option(help="drop ties, count them half each way, or keep them as ties")] = "drop",
    aggregate: Annotated[Aggregate, typer.Option(help="how to combine the comparisons of several annotators")] = "raw",
    weights: Annotated[
        Weights,
        typer.Option(help="unit that has a weight of 1; reliability: a ranking, times its annotator's reliability"),
    ] = "ranking",
    margin: Annotated[str, typer.Option(help="margin for each strength: 1=0.3,2=0.6,3=1")] = "",
) -> None:
    """Create a version of a project's rankings: split, weighted, hashed, immutable, with a data card."""
    from label_data.versions.making import make_version  # imports pandas and scipy

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
        version = make_version(opened, name, recipe, progress.update)
    counts = version.manifest["counts"]
    print(
        f"Version {name}: {counts['prompts']:,} prompts, {counts['held-out prompts']:,} of them held out; "
        f"{counts['rankings']:,} rankings, {counts['comparisons']:,} comparisons."
    )
    print(f"sha256 {version.sha256}")
    if version.manifest["moved"]:
        print(
            f"Moved to training: {len(version.manifest['moved']):,} prompts that were held out in "
            f"{', '.join(version.manifest['follows'])} but are near-duplicates of training prompts."
        )
    for reason, count in version.manifest["left_out"].items():
        print(f"Left out, {count:,} x: {reason}.")
    print(f"To show the data card: python -m label_data versions show {name}")


@wraps(create)
def snapshot(**options: Any) -> None:  # the options of create
    """Do what `versions create` does; this is its earlier name, which the next release will not have."""
    typer.echo("`snapshot` is now `versions create`. The old name works in this release only.", err=True)
    create(**options)


@app.callback(invoke_without_command=True)
def list_versions(context: typer.Context, store: StoreOption = "") -> None:
    """List the store's versions, oldest first."""
    if context.invoked_subcommand is not None:
        return
    from label_data.versions.version import models_of, versions, withdrawn_rankings

    with input_errors(), opened_store(store) as opened:
        listed = versions(opened)
        for version in listed:
            counts, withdrawn = version.manifest["counts"], withdrawn_rankings(opened, version)
            print(
                f"{version.name}: {_day(version.made)}, project {version.project}, {counts['prompts']:,} prompts, "
                f"{counts['comparisons']:,} comparisons, {len(models_of(opened, version)):,} models, "
                f"sha256 {version.sha256[:12]}…"
                + (f"; {withdrawn:,} rankings withdrawn, so it can't be exported" if withdrawn else "")
            )
    if not listed:
        print("No versions yet. Create one: python -m label_data versions create NAME")


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
        version = version_named(opened, name)
        models, withdrawn = models_of(opened, version), withdrawn_rankings(opened, version)
        if out is not None:
            with replacing(out) as file:
                file.write(version.card.encode())
    print(version.card if out is None else f"Wrote the data card to {out}.\n")
    print(f"Models trained on it: {len(models):,}.")
    for model in models:
        summary = ", ".join(f"{metric} {value}" for metric, value in model.summary.items() if value is not None)
        print(f"- {model.folder} ({_day(model.trained)}; {summary}; report.json sha256 {model.report_sha256[:12]}…)")
    if withdrawn:
        print(refusal(version, withdrawn))


@app.command()
def compare(first: NameArgument, second: NameArgument, store: StoreOption = "") -> None:
    """Show what was added, removed or changed between two versions."""
    from label_data.versions.changes import changes, lines
    from label_data.versions.version import rows_by_prompt, version_named

    with input_errors(), opened_store(store) as opened:
        version, other = version_named(opened, first), version_named(opened, second)
        rows, other_rows = rows_by_prompt(opened, version), rows_by_prompt(opened, other)
    if version.sha256 == other.sha256:
        print(f"{first} and {second} are identical: sha256 {version.sha256}.")
    print("\n".join(lines((first, second), changes(version.manifest, rows, other.manifest, other_rows))))


def _day(microseconds: int) -> str:
    return f"{format_time(microseconds)} UTC"

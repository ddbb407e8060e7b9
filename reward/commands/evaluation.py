"""Judge a model: its report, other data, another model, RewardBench; and list suspect rankings."""

from math import exp
from pathlib import Path
from typing import Annotated

import typer

from label_data.commands.options import input_errors
from label_data.data_folder import default_store
from label_data.database.engine import open_store
from label_data.errors import InputError
from label_data.quality.suspects import SHARE
from label_data.store.projects import project_named
from reward.commands.terminal import MODEL, print_markdown, progress_bar, stoppable
from reward.settings import DEFAULTS

DATA = "store file, database URL, or a file of rankings; by default the app's store"


LEARNED_TOO = "judge by prompts as well that the model learned from"


def suspects(
    store: Annotated[str | None, typer.Argument(help="store file or database URL; the app's by default")] = None,
    project: Annotated[str, typer.Option(help="whose rankings; by default the store's only project's")] = "",
    share: Annotated[float, typer.Option(help="of the rankings, the most suspect, that are listed")] = SHARE,
    ask: Annotated[
        bool, typer.Option("--ask-again", help="ask one more annotator for each of their prompts, blind")
    ] = False,
    backbone: Annotated[str, typer.Option(help="packaged:…, a folder, or a hub name")] = DEFAULTS.backbone,
    seed: Annotated[int, typer.Option(help="decides the folds")] = DEFAULTS.seed,
) -> None:
    """List the rankings that heads contradict which did not see their prompts, most suspect first."""
    with input_errors():
        if not 0 < share <= 1:
            raise InputError(f"The share is {share}; give a number above 0 and at most 1, for example {SHARE}.")
        opened = open_store(store or default_store(), create=False)
        of_project = project_named(opened, project).id
        from reward.head.suspects import find_suspects

        with stoppable(None), progress_bar() as show:
            found = find_suspects(opened, of_project, share, backbone, seed, show)
        for one in found.suspects:
            probability, said = exp(-one.log_loss), f"{one.opposed} of {one.comparisons} comparisons"
            typer.echo(
                f"{one.submission}  prompt {one.prompt_id}, {one.annotator}: contradicts {said} ({probability:.0%})"
            )
        typer.echo(
            f"{len(found.suspects):,} of {found.rankings:,} rankings. The heads order {found.accuracy:.1%} of "
            f"{found.comparisons:,} comparisons of prompts they did not see as the annotators did."
        )
        if ask:
            from label_data.assignment.relabelling import request_relabelling

            done = request_relabelling(opened, [one.submission for one in found.suspects], of_project)
            typer.echo(
                f"Prompts sent for relabelling: {done.requested:,}. Left as they are: {done.already_requested:,} "
                f"asked for before, {done.still_open:,} that others rank anyway, {done.unavailable:,} gold or gone."
            )


def report(folder: Annotated[Path, typer.Argument(help="a folder that train made")]) -> None:
    """Show the report that was written when the model was trained."""
    with input_errors():
        from reward.report.report import read_report
        from reward.report.words import report_markdown

        print_markdown(report_markdown(read_report(folder)))


def evaluate(
    model: Annotated[str, typer.Argument(help=MODEL)],
    data: Annotated[str | None, typer.Argument(help=DATA)] = None,
    project: Annotated[str, typer.Option(help="of a store; by default its only one")] = "",
    out: Annotated[Path | None, typer.Option(help="new folder for the report and every reward")] = None,
    learned_too: Annotated[bool, typer.Option("--learned-too", help=LEARNED_TOO)] = False,
    seed: Annotated[int, typer.Option(help="decides intervals and shuffled prompts")] = 0,
) -> None:
    """Report how a model does on rankings: of a store, or of a file in any format that import recognises."""
    with input_errors():
        from reward.evaluation.one_model import evaluate_model, read_data

        found = read_data(data or default_store(), project)
        with stoppable(out), progress_bar() as show:
            report = evaluate_model(model, found, out, learned_too, seed, show)
        print_markdown(report.as_markdown())


def compare(
    first: Annotated[str, typer.Argument(help=MODEL)],
    second: Annotated[str, typer.Argument(help="another")],
    data: Annotated[str | None, typer.Argument(help=DATA)] = None,
    project: Annotated[str, typer.Option(help="of a store; by default its only one")] = "",
    out: Annotated[Path | None, typer.Option(help="new folder for the reports and every reward")] = None,
    learned_too: Annotated[bool, typer.Option("--learned-too", help=LEARNED_TOO)] = False,
    seed: Annotated[int, typer.Option(help="decides intervals, signs and shuffled prompts")] = 0,
) -> None:
    """Show two models side by side on the same rankings, with a test of the difference that pairs comparisons."""
    with input_errors():
        from reward.evaluation.one_model import read_data
        from reward.evaluation.two_models import compare_models

        found = read_data(data or default_store(), project)
        with stoppable(out), progress_bar() as show:
            both = compare_models((first, second), found, out, learned_too, seed, show)
        print_markdown(both.as_markdown())


def rewardbench(
    model: Annotated[str, typer.Argument(help=MODEL)],
    files: Annotated[list[Path], typer.Argument(help="rows of RewardBench 1 or 2: JSON lines or Parquet")],
    out: Annotated[Path | None, typer.Option(help="new folder for results.json and scores.jsonl")] = None,
) -> None:
    """Score RewardBench 1 or 2, as its files are, by its own protocol."""
    with input_errors():
        from reward.evaluation.rewardbench import read_benchmark, run_benchmark

        benchmark = read_benchmark(files)
        with stoppable(out), progress_bar() as show:
            result = run_benchmark(model, benchmark, out, show)
        print_markdown(result.as_markdown())

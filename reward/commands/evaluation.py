"""Evaluate a model: its report, other data, another model, RewardBench. List suspect rankings."""

from math import exp
from pathlib import Path
from typing import Annotated

import typer

from label_data.commands.options import input_errors
from label_data.data_folder import default_store
from label_data.database.engine import open_store
from label_data.errors import InputError
from label_data.quality.suspects import SHARE
from label_data.sentences import say
from label_data.store.projects import project_named
from reward.commands.terminal import MODEL, print_markdown, progress_bar, stoppable
from reward.settings import DEFAULTS

DATA = "store file, database URL, or file of rankings; by default the data folder's store"
LEARNED_TOO = "include prompts that the model was trained on"


def suspects(
    store: Annotated[
        str | None, typer.Argument(help="store file or database URL; by default the data folder's")
    ] = None,
    project: Annotated[str, typer.Option(help="name of a project; by default the store's only one")] = "",
    share: Annotated[float, typer.Option(help="share of the rankings to list, most suspect first")] = SHARE,
    relabel: Annotated[
        bool, typer.Option("--relabel", help="send their prompts to one more annotator for blind relabelling")
    ] = False,
    ask_again: Annotated[bool, typer.Option("--ask-again", hidden=True, help="old name of --relabel")] = False,
    backbone: Annotated[str, typer.Option(help="backbone: packaged:NAME, folder or hub name")] = DEFAULTS.backbone,
    seed: Annotated[int, typer.Option(help="seed of the cross-validation folds")] = DEFAULTS.seed,
) -> None:
    """List suspect rankings (contradicted by cross-validated heads), most suspect first."""
    with input_errors():
        if not 0 < share <= 1:
            raise InputError("reward.commands.share_out_of_range", share=share, example=SHARE)
        opened = open_store(store or default_store(), create=False)
        project_id = project_named(opened, project).id
        from reward.head.suspects import find_suspects

        with stoppable(None), progress_bar() as show:
            result = find_suspects(opened, project_id, share, backbone, seed, show)
        for suspect in result.suspects:
            typer.echo(
                say(
                    "reward.commands.suspect",
                    submission=suspect.submission,
                    prompt=suspect.prompt_id,
                    annotator=suspect.annotator,
                    contradicted=suspect.opposed,
                    comparisons=suspect.comparisons,
                    probability=exp(-suspect.log_loss),
                )
            )
        typer.echo(
            say(
                "reward.commands.suspects",
                suspects=len(result.suspects),
                rankings=result.rankings,
                accuracy=result.accuracy,
                comparisons=result.comparisons,
            )
        )
        if relabel or ask_again:
            from label_data.assignment.relabelling import request_relabelling

            request = request_relabelling(opened, [suspect.submission for suspect in result.suspects], project_id)
            typer.echo(
                say(
                    "reward.commands.relabelled",
                    prompts=request.requested,
                    sent_before=request.already_requested,
                    with_others=request.still_open,
                    gone=request.unavailable,
                )
            )


def report(folder: Annotated[Path, typer.Argument(help="folder written by train")]) -> None:
    """Print the report of a trained model."""
    with input_errors():
        from reward.report.report import read_report
        from reward.report.words import report_markdown

        print_markdown(report_markdown(read_report(folder)))


def evaluate(
    model: Annotated[str, typer.Argument(help=MODEL)],
    data: Annotated[str | None, typer.Argument(help=DATA)] = None,
    project: Annotated[str, typer.Option(help="name of a project; by default the store's only one")] = "",
    out: Annotated[Path | None, typer.Option(help="new folder for the report and every reward")] = None,
    include_learned: Annotated[bool, typer.Option("--learned-too", help=LEARNED_TOO)] = False,
    seed: Annotated[int, typer.Option(help="seed of intervals and shuffled prompts")] = 0,
) -> None:
    """Evaluate a model on the rankings of a store, or of a file in a format that `label_data import` reads."""
    with input_errors():
        from reward.evaluation.one_model import evaluate_model, read_data

        rankings = read_data(data or default_store(), project)
        with stoppable(out), progress_bar() as show:
            report = evaluate_model(model, rankings, out, include_learned, seed, show)
        print_markdown(report.as_markdown())


def compare(
    first: Annotated[str, typer.Argument(help=MODEL)],
    second: Annotated[str, typer.Argument(help="second model, given in the same way")],
    data: Annotated[str | None, typer.Argument(help=DATA)] = None,
    project: Annotated[str, typer.Option(help="name of a project; by default the store's only one")] = "",
    out: Annotated[Path | None, typer.Option(help="new folder for the reports and every reward")] = None,
    include_learned: Annotated[bool, typer.Option("--learned-too", help=LEARNED_TOO)] = False,
    seed: Annotated[int, typer.Option(help="seed of intervals, sign flips and shuffled prompts")] = 0,
) -> None:
    """Compare two models on the same rankings, with a paired significance test."""
    with input_errors():
        from reward.evaluation.one_model import read_data
        from reward.evaluation.two_models import compare_models

        rankings = read_data(data or default_store(), project)
        with stoppable(out), progress_bar() as show:
            both = compare_models((first, second), rankings, out, include_learned, seed, show)
        print_markdown(both.as_markdown())


def rewardbench(
    model: Annotated[str, typer.Argument(help=MODEL)],
    files: Annotated[list[Path], typer.Argument(help="files of RewardBench 1 or 2: JSON lines or Parquet")],
    out: Annotated[Path | None, typer.Option(help="new folder for results.json and scores.jsonl")] = None,
) -> None:
    """Evaluate a model on RewardBench 1 or 2, by the protocol of the benchmark."""
    with input_errors():
        from reward.evaluation.rewardbench import read_benchmark, run_benchmark

        benchmark = read_benchmark(files)
        with stoppable(out), progress_bar() as show:
            result = run_benchmark(model, benchmark, out, show)
        print_markdown(result.as_markdown())

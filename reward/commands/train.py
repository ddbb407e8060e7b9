"""Train a reward model."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from label_data.commands.options import input_errors
from label_data.data_folder import default_store
from label_data.database.engine import Store, open_store
from label_data.errors import InputError
from label_data.store.projects import project_named
from reward.commands.terminal import Stopped, print_markdown, progress_bar
from reward.file_names import UNFINISHED
from reward.settings import DEFAULTS, Layout, Loss, Method, Precision, Settings

if TYPE_CHECKING:
    from reward.report.report import Report

MANY_COMPARISONS = 2_000
"""With fewer no gain over a head held on several splits (docs/results.md)."""


def train(
    store: Annotated[str | None, typer.Argument(help="store file or database URL; the app's by default")] = None,
    out: Annotated[Path, typer.Option(help="new folder for the model and its report")] = ...,
    method: Annotated[
        Method, typer.Option(help="head: seconds; top: the last layers; lora: low-rank changes; full: all weights")
    ] = DEFAULTS.method,
    backbone: Annotated[str, typer.Option(help="packaged:…, a folder, or a hub name")] = DEFAULTS.backbone,
    seed: Annotated[int, typer.Option(help="decides split, order and intervals")] = DEFAULTS.seed,
    held_out: Annotated[float, typer.Option(help="share of the prompts kept for the report")] = DEFAULTS.held_out,
    validation: Annotated[
        float, typer.Option(help="share of the training prompts that decides when to stop")
    ] = DEFAULTS.validation,
    epochs: Annotated[int, typer.Option(help="times over the rankings, at most")] = DEFAULTS.epochs,
    learning_rate: Annotated[float | None, typer.Option(help="at its highest; by method if not given")] = None,
    groups_per_step: Annotated[int, typer.Option(help="prompts in one step")] = DEFAULTS.groups_per_step,
    patience: Annotated[int, typer.Option(help="evaluations without a gain before it stops")] = DEFAULTS.patience,
    loss: Annotated[Loss, typer.Option(help="davidson learns from ties too")] = DEFAULTS.loss,
    margin: Annotated[float, typer.Option(help="gap asked for each step of strength")] = DEFAULTS.margin,
    smoothing: Annotated[float, typer.Option(help="share of comparisons taken to be slips")] = DEFAULTS.smoothing,
    centring: Annotated[float, typer.Option(help="how much the mean square of rewards counts")] = DEFAULTS.centring,
    annotator_weights: Annotated[
        list[str] | None, typer.Option("--annotator-weight", help="NAME=0.5; repeat for each")
    ] = None,
    top_layers: Annotated[int, typer.Option(help="layers that the method top trains")] = DEFAULTS.top_layers,
    lora_rank: Annotated[int, typer.Option(help="rank of the changes of the method lora")] = DEFAULTS.lora_rank,
    dropout: Annotated[float, typer.Option(help="share dropped while training")] = DEFAULTS.dropout,
    layout: Annotated[
        Layout | None, typer.Option(help="plain, cache or row; what suits the network if not given")
    ] = None,
    gradient_checkpointing: Annotated[
        bool, typer.Option("--gradient-checkpointing", help="less memory, more time")
    ] = False,
    precision: Annotated[
        Precision | None,
        typer.Option(help="bfloat16: faster where the processor has it; by device if not given"),
    ] = None,
    batch_tokens: Annotated[int | None, typer.Option(help="tokens to read at once; by device if not given")] = None,
    report_to: Annotated[list[str] | None, typer.Option(help="tensorboard, wandb, …; repeat for each")] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="go on with the run to OUT that was stopped, with its own settings")
    ] = False,
    project: Annotated[str, typer.Option(help="whose rankings; by default the store's only project's")] = "",
    version: Annotated[
        str, typer.Option(help="a version of the data to learn from, with its own split, weights and margins")
    ] = "",
) -> None:
    """Train a reward model on a project's rankings, or a version of them, and report how it does on unseen prompts."""
    with input_errors():
        settings = Settings(
            method=method,
            backbone=backbone,
            seed=seed,
            held_out=held_out,
            validation=validation,
            epochs=epochs,
            learning_rate=learning_rate,
            groups_per_step=groups_per_step,
            patience=patience,
            loss=loss,
            margin=margin,
            smoothing=smoothing,
            centring=centring,
            annotator_weights=_annotator_weights(annotator_weights or []),
            top_layers=top_layers,
            lora_rank=lora_rank,
            dropout=dropout,
            layout=layout,
            gradient_checkpointing=gradient_checkpointing,
            precision=precision,
            batch_tokens=batch_tokens,
            report_to=tuple(report_to or ()),
        )
        opened = None if resume else open_store(store or default_store(), create=False)
        try:
            with progress_bar() as show:
                found = _trained(opened, out, settings, project, version, show)
        except (Stopped, KeyboardInterrupt):
            typer.echo("Stopped. What was done is kept" + _how_to_go_on(out), err=True)
            raise typer.Exit(130) from None
    if found is None:  # another of the processes that train together says it
        from reward.finetuning.train import end_process

        end_process()
    from reward.report.words import report_markdown

    print_markdown(report_markdown(found))
    if resume and found.version:
        with input_errors():
            _told_after_all(open_store(store or default_store(), create=False), found, out)
    typer.echo(f"The model is in {out}. Score with it: python -m reward score {out} --prompt … --completion …")
    if method == "head" and not resume and found.counts.train_comparisons >= MANY_COMPARISONS:
        typer.echo(
            f"With {found.counts.train_comparisons:,} comparisons more than a head may pay: --method top takes "
            "minutes, --method lora and --method full hours on a CPU."
        )


def _trained(
    store: Store | None, out: Path, settings: Settings, project: str, version: str, show: Any
) -> "Report | None":
    """Train by the method; what brings in torch, which takes seconds, is imported here: not for --help."""
    chosen = None if store is None or version else project_named(store, project).id
    if version:
        from reward.data.versions import check_settings_for_version

        check_settings_for_version(settings)
    if store is not None and settings.method == "head":
        from reward.head.train import train_reward_model

        share = settings.held_out
        return train_reward_model(store, out, settings.backbone, settings.seed, share, show, chosen, version)
    from reward.finetuning.train import fine_tune, resume_fine_tuning

    if store is None:
        return resume_fine_tuning(out, show)
    return fine_tune(store, out, settings, show, chosen, version)


def _told_after_all(store: Store, found: "Report", out: Path) -> None:
    """Tell the store of a model that was resumed, which needs no store otherwise; say so if it has not the version."""
    from reward.model.folder import register_with_version

    if not register_with_version(store, found, out):
        typer.echo(f"This store has no version with the hash of {found.version}, so it does not know of the model.")


def _how_to_go_on(out: Path) -> str:
    if out.with_name(out.name + UNFINISHED).exists():
        return f"; go on with: python -m reward train --resume --out {out}"
    return ": the features computed so far. Start again to go on."


def _annotator_weights(said: list[str]) -> dict[str, float]:
    found = {}
    for one in said:
        name, _, weight = one.rpartition("=")
        try:
            found[name] = float(weight)
        except ValueError:
            name = ""
        if not name:
            raise InputError(f"{one!r} is no annotator's weight. Write NAME=NUMBER, for example ana=0.5.")
    return found

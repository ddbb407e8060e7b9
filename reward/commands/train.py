"""Train a reward model. The flags are the fields of `reward.settings.Settings`."""

import inspect
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args, get_type_hints

import typer

from label_data.commands.options import input_errors
from label_data.data_folder import default_store
from label_data.database.engine import Store, open_store
from label_data.errors import InputError
from label_data.sentences import say
from label_data.store.projects import project_named
from reward.commands.terminal import Stopped, print_markdown, progress_bar
from reward.file_names import UNFINISHED
from reward.progress import OnProgress
from reward.settings import DEFAULTS, OLD_METHODS, Method, Settings, flag_of

if TYPE_CHECKING:
    from reward.report.report import Report

MANY_COMPARISONS = 2_000
"""With fewer comparisons, fine-tuning had no lasting gain over a head on several splits (docs/results.md)."""
OLD_FLAGS = {"last_layers": ("--top-layers",)}
"""Flags of earlier versions, accepted until 1.2."""
REPEATED = ("annotator_weights", "report_to")
"""Settings with several values: their flags can be repeated."""


def with_settings(command: Callable[..., None]) -> Callable[..., None]:
    """Give the command a flag for each field of Settings, in place of its parameter `settings`.

    The flags take their names, types, defaults and help texts from the fields.
    """
    types = get_type_hints(Settings)
    flags = []
    for field in fields(Settings):
        default: Any = getattr(DEFAULTS, field.name)  # Any: the default of any field
        kind = types[field.name]
        option = typer.Option(flag_of(field.name), *OLD_FLAGS.get(field.name, ()), help=field.metadata["help"])
        if field.name == "method":
            kind = Literal[(*get_args(Method), *OLD_METHODS)]
        if field.name in REPEATED:
            default, kind = None, list[str] | None
        parameter = inspect.Parameter(field.name, inspect.Parameter.KEYWORD_ONLY, default=default)
        flags.append(parameter.replace(annotation=Annotated[kind, option]))

    def run(**arguments: Any) -> None:  # Any: the values of all flags
        given = {field.name: arguments.pop(field.name) for field in fields(Settings)}
        with input_errors():
            given["annotator_weights"] = _annotator_weights(given["annotator_weights"] or [])
            given["report_to"] = tuple(given["report_to"] or ())
            settings = Settings(**given)
        command(settings=settings, **arguments)

    own = [
        parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)
        for parameter in inspect.signature(command).parameters.values()
        if parameter.name != "settings"
    ]
    run.__name__, run.__doc__ = command.__name__, command.__doc__
    parameters = [*own[:2], *flags, *own[2:]]
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # what typer and inspect read
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return run


@with_settings
def train(
    settings: Settings,
    out: Annotated[Path, typer.Option(help="new folder for the model and its report")],
    store: Annotated[
        str | None, typer.Argument(help="store file or database URL; by default the data folder's")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="resume the stopped run in --out with its original settings")
    ] = False,
    project: Annotated[str, typer.Option(help="name of a project; by default the store's only one")] = "",
    version: Annotated[str, typer.Option(help="version to train on, with its own split, weights and margins")] = "",
) -> None:
    """Train a reward model on a project's rankings, or on a version, and evaluate it on held-out prompts."""
    with input_errors():
        opened = None if resume else open_store(store or default_store(), create=False)
        try:
            with progress_bar() as on_progress:
                report = _train(opened, out, settings, project, version, on_progress)
        except (Stopped, KeyboardInterrupt):
            is_unfinished = out.with_name(out.name + UNFINISHED).exists()
            key = "reward.commands.training_stopped" if is_unfinished else "reward.commands.features_stopped"
            typer.echo(say(key, out=out), err=True)
            raise typer.Exit(130) from None
    if report is None:  # one of several processes that train together; another process prints the report
        from reward.finetuning.train import end_process

        end_process()
    from reward.report.words import report_markdown

    print_markdown(report_markdown(report))
    if resume and report.version:
        with input_errors():
            _list_in_store(open_store(store or default_store(), create=False), report, out)
    typer.echo(say("reward.commands.trained", out=out))
    comparisons = report.counts.train_comparisons
    if settings.method == "head" and not resume and comparisons >= MANY_COMPARISONS:
        typer.echo(say("reward.commands.more_than_a_head", comparisons=comparisons))


def _train(
    store: Store | None, out: Path, settings: Settings, project: str, version: str, on_progress: OnProgress
) -> "Report | None":
    """Train by the chosen method. Imports torch, which takes seconds, only here: --help does not need it."""
    project_id = None if store is None or version else project_named(store, project).id
    if version:
        from reward.data.versions import check_settings_for_version

        check_settings_for_version(settings)
    if store is not None and settings.method == "head":
        from reward.head.train import train_reward_model

        held_out = settings.held_out
        return train_reward_model(
            store, out, settings.backbone, settings.seed, held_out, on_progress, project_id, version
        )
    from reward.finetuning.train import fine_tune, resume_fine_tuning

    if store is None:
        return resume_fine_tuning(out, on_progress)
    return fine_tune(store, out, settings, on_progress, project_id, version)


def _list_in_store(store: Store, report: "Report", out: Path) -> None:
    """Record a resumed model with its data version in the store; print a sentence if the store lacks the version."""
    from reward.model.folder import register_with_version

    if not register_with_version(store, report, out):
        typer.echo(say("reward.commands.version_unknown", version=report.version))


def _annotator_weights(values: list[str]) -> dict[str, float]:
    """Return the weights by annotator from texts such as "ana=0.5"; raise InputError for any other text."""
    weights = {}
    for value in values:
        name, _, weight = value.rpartition("=")
        try:
            weights[name] = float(weight)
        except ValueError:
            name = ""
        if not name:
            raise InputError("reward.commands.annotator_weight", value=value)
    return weights

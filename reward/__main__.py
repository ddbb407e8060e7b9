"""python -m reward train | report | score | suspects | evaluate | compare | rewardbench | serve."""

import json
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from math import exp
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markdown import Markdown
from tqdm import tqdm

from label_data.commands.options import input_errors
from label_data.data_folder import default_store
from label_data.database.engine import Store, open_store
from label_data.quality.suspects import SHARE
from label_data.records import InputError, Message, Prompt, messages_from, user_prompt
from label_data.store.projects import project_named
from reward.settings import DEFAULTS, UNFINISHED, Layout, Loss, Method, Precision, Settings

if TYPE_CHECKING:
    from reward.report.report import Report

MODEL = "folder or hub name of a sequence classifier with one label"
DATA = "store file, database URL, or a file of rankings; by default the app's store"
LEARNED_TOO = "judge by prompts as well that the model learned from"
STOPPING = b"\nStopping after this step, whose work is kept. Press Ctrl+C again to stop at once.\n"
MANY_COMPARISONS = 2_000
"""With fewer no gain over a head held on several splits (docs/results.md)."""

app = typer.Typer(add_completion=False, no_args_is_help=True, help=__doc__, pretty_exceptions_enable=False)


@contextmanager
def _progress() -> Iterator[Any]:
    """Show (done, total, message) as a bar on stderr; on Ctrl+C stop at the next call, on a second one at once."""
    asked = False

    def stop(_number: int, _frame: object) -> None:
        nonlocal asked
        if asked:
            raise KeyboardInterrupt
        asked = True
        os.write(2, STOPPING)  # a signal may come amid a write of the bar: through the same stream both would fail

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        with tqdm(file=sys.stderr, unit="", dynamic_ncols=True) as bar:

            def show(done: int, total: int, message: str) -> None:
                bar.total, bar.n = total or None, done
                bar.set_description_str(message)
                if asked:
                    raise Stopped

            yield show
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class Stopped(Exception):
    """Whoever started this asked it to stop."""


@app.command()
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
            with _progress() as show:
                found = _trained(opened, out, settings, project, version, show)
        except (Stopped, KeyboardInterrupt):
            typer.echo("Stopped. What was done is kept" + _how_to_go_on(out), err=True)
            raise typer.Exit(130) from None
    if found is None:  # another of the processes that train together says it
        from reward.finetuning.train import leave_the_others

        leave_the_others()
    from reward.report.words import report_markdown

    _print_markdown(report_markdown(found))
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
        from reward.data.versions import check_settings

        check_settings(settings)
    if store is not None and settings.method == "head":
        from reward.head.train import train_reward_model

        share = settings.held_out
        return train_reward_model(store, out, settings.backbone, settings.seed, share, show, chosen, version)
    from reward.finetuning.train import resume_tuning, tune_reward_model

    if store is None:
        return resume_tuning(out, show)
    return tune_reward_model(store, out, settings, show, chosen, version)


def _told_after_all(store: Store, found: "Report", out: Path) -> None:
    """Tell the store of a model that was resumed, which needs no store otherwise; say so if it has not the version."""
    from reward.data.versions import tell_version

    if not tell_version(store, found, out):
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


@app.command()
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
        from reward.head.suspects import find_doubts

        with _stoppable(None), _progress() as show:
            found = find_doubts(opened, of_project, share, backbone, seed, show)
        for one in found.suspects:
            probability, said = exp(-one.disagreement), f"{one.contradicted} of {one.comparisons} comparisons"
            typer.echo(
                f"{one.submission}  prompt {one.prompt_id}, {one.annotator}: contradicts {said} ({probability:.0%})"
            )
        typer.echo(
            f"{len(found.suspects):,} of {found.rankings:,} rankings. The heads order {found.accuracy:.1%} of "
            f"{found.comparisons:,} comparisons of prompts they did not see as the annotators did."
        )
        if ask:
            from label_data.assignment.relabelling import ask_again

            done = ask_again(opened, [one.submission for one in found.suspects], of_project)
            typer.echo(
                f"One more ranking is asked for of prompts: {done.prompts:,}. Left as they are: {done.asked_before:,} "
                f"asked for before, {done.with_others:,} that others rank anyway, {done.gone:,} gold or gone."
            )


@app.command()
def report(folder: Annotated[Path, typer.Argument(help="a folder that train made")]) -> None:
    """Show the report that was written when the model was trained."""
    with input_errors():
        from reward.report.report import read_report
        from reward.report.words import report_markdown

        _print_markdown(report_markdown(read_report(folder)))


@app.command()
def score(
    folder: Annotated[Path, typer.Argument(help="a folder that train made")],
    file: Annotated[
        Path | None, typer.Argument(help='JSON lines of {"prompt" or "messages", "completions"}; - for standard input')
    ] = None,
    prompt: Annotated[str | None, typer.Option(help="one user message")] = None,
    completion: Annotated[list[str] | None, typer.Option(help="a text that answers it; repeat for each")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON lines")] = False,
) -> None:
    """Print the reward of every completion, best first, with its standard deviation where the model has one."""
    with input_errors():
        if (file is None) == (prompt is None):
            raise InputError("Give either a FILE (- for standard input) or --prompt with --completion, once for each.")
        asked = _asked(file) if file is not None else [(user_prompt(prompt or ""), _completions(completion))]
        from reward.model.model import RewardModel

        model = RewardModel.load(folder)
        for conversation, completions in asked:
            rewards, deviations = model.score_with_deviations(conversation.messages, completions)
            order = sorted(range(len(rewards)), key=lambda at: -rewards[at])
            if as_json:
                line = {"rewards": rewards, "order": [at + 1 for at in order], "standard_deviations": deviations}
                typer.echo(json.dumps(line, ensure_ascii=False))
                continue
            for place, at in enumerate(order, start=1):
                sure = "" if deviations is None else f" ± {deviations[at]:.4f}"
                typer.echo(f"{place}. {rewards[at]:+.4f}{sure}  completion {at + 1}: {_first_line(completions[at])}")


@app.command()
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
        from reward.evaluation.one_model import check_up, read_data

        found = read_data(data or default_store(), project)
        with _stoppable(out), _progress() as show:
            report = check_up(model, found, out, learned_too, seed, show)
        _print_markdown(report.as_markdown())


@app.command()
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
        from reward.evaluation.two_models import side_by_side

        found = read_data(data or default_store(), project)
        with _stoppable(out), _progress() as show:
            both = side_by_side((first, second), found, out, learned_too, seed, show)
        _print_markdown(both.as_markdown())


@app.command()
def rewardbench(
    model: Annotated[str, typer.Argument(help=MODEL)],
    files: Annotated[list[Path], typer.Argument(help="rows of RewardBench 1 or 2: JSON lines or Parquet")],
    out: Annotated[Path | None, typer.Option(help="new folder for results.json and scores.jsonl")] = None,
) -> None:
    """Score RewardBench 1 or 2, as its files are, by its own protocol."""
    with input_errors():
        from reward.evaluation.rewardbench import read_benchmark, run_benchmark

        benchmark = read_benchmark(files)
        with _stoppable(out), _progress() as show:
            result = run_benchmark(model, benchmark, out, show)
        _print_markdown(result.as_markdown())


@app.command()
def serve(
    model: Annotated[str, typer.Argument(help=MODEL)],
    host: Annotated[str, typer.Option(help="address to listen on; whoever reaches it may ask")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="0 takes a free one")] = 8600,
) -> None:
    """Answer over HTTP: POST /score, OpenRLHF's /get_reward and vLLM's /classify; GET /health and /metrics."""
    with input_errors():
        from reward.serving.server import serve_model

        serve_model(model, host, port)


@contextmanager
def _stoppable(out: Path | None) -> Iterator[None]:
    """Leave with 130 when somebody stopped the work, and say how it goes on."""
    try:
        yield
    except (Stopped, KeyboardInterrupt):
        kept = "What was done is lost without --out." if out is None else "The same command goes on from there."
        typer.echo(f"Stopped. {kept}", err=True)
        raise typer.Exit(130) from None


def _asked(file: Path) -> list[tuple[Prompt, list[str]]]:
    """Return the prompts and completions of a file of JSON lines, all checked before the first is scored."""
    name = "standard input" if str(file) == "-" else str(file)
    try:
        text = sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{name} can't be read as UTF-8 text ({error}).") from None
    found = []
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            try:
                found.append(_asked_in(json.loads(line)))
            except (json.JSONDecodeError, InputError) as error:
                raise InputError(f"{name}, line {number}: {error}") from None
    if not found:
        raise InputError(f'{name} is empty. Write one {{"prompt", "completions"}} object a line.')
    return found


def _asked_in(record: Any) -> tuple[Prompt, list[str]]:
    if not isinstance(record, dict) or ("prompt" in record) == ("messages" in record):
        raise InputError('not an object with either "prompt" (a text) or "messages" (a list).')
    if "messages" in record:
        return Prompt(messages_from(record["messages"], "messages")), _completions(record.get("completions"))
    return Prompt((Message("user", record["prompt"]),)), _completions(record.get("completions"))


def _completions(value: Any) -> list[str]:
    if not isinstance(value, list) or not value or not all(isinstance(text, str) for text in value):
        raise InputError("there are no completions to score. Give at least one text.")
    return value


def _first_line(text: str, longest: int = 70) -> str:
    folded = " ".join(text.split())
    return folded if len(folded) <= longest else folded[: longest - 1] + "…"


def _print_markdown(text: str) -> None:
    if sys.stdout.isatty():
        Console().print(Markdown(text))
    else:
        typer.echo(text)


if __name__ == "__main__":
    app(prog_name="python -m reward")

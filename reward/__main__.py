"""python -m reward train | score | report."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markdown import Markdown
from tqdm import tqdm

from label_data.data_folder import default_store
from label_data.database import open_store
from label_data.projects import project_named
from label_data.records import InputError, Message, Prompt, messages_from, user_prompt
from label_data.settings import PACKAGED_MODEL

app = typer.Typer(add_completion=False, no_args_is_help=True, help=__doc__, pretty_exceptions_enable=False)


@contextmanager
def _user_errors() -> Iterator[None]:
    """Print an InputError alone and leave with 1: whoever typed can put it right, and needs no traceback."""
    try:
        yield
    except InputError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from None


@contextmanager
def _progress() -> Iterator[Any]:
    """Show (done, total, message) as a bar on stderr."""
    with tqdm(file=sys.stderr, unit="", dynamic_ncols=True) as bar:

        def show(done: int, total: int, message: str) -> None:
            bar.total, bar.n = total or None, done
            bar.set_description_str(message)

        yield show


@app.command()
def train(
    store: Annotated[str | None, typer.Argument(help="store file or database URL; the app's by default")] = None,
    out: Annotated[Path, typer.Option(help="new folder for the model and its report")] = ...,
    backbone: Annotated[str, typer.Option(help="packaged:…, a folder, or a hub name")] = PACKAGED_MODEL,
    seed: Annotated[int, typer.Option(help="decides split, folds and intervals")] = 0,
    held_out: Annotated[float, typer.Option(help="share of the prompts kept for the report")] = 0.2,
    project: Annotated[str, typer.Option(help="whose rankings; by default the store's only project's")] = "",
) -> None:
    """Train a reward model on a project's rankings, and report how it does on prompts it never saw."""
    with _user_errors():
        from reward.training import train_reward_model  # brings in torch, which takes seconds: not for --help

        opened = open_store(store or default_store(), create=False)
        with _progress() as show:
            found = train_reward_model(opened, out, backbone, seed, held_out, show, project_named(opened, project).id)
    _print_markdown(found.as_markdown())
    typer.echo(f"The model is in {out}. Score with it: python -m reward score {out} --prompt … --completion …")


@app.command()
def report(folder: Annotated[Path, typer.Argument(help="a folder that train made")]) -> None:
    """Show the report that was written when the model was trained."""
    with _user_errors():
        from reward.evaluate import read_report

        _print_markdown(read_report(folder).as_markdown())


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
    """Print the reward of every completion, best first."""
    with _user_errors():
        if (file is None) == (prompt is None):
            raise InputError("Give either a FILE (- for standard input) or --prompt with --completion, once for each.")
        asked = _asked(file) if file is not None else [(user_prompt(prompt or ""), _completions(completion))]
        from reward.model import RewardModel

        model = RewardModel.load(folder)
        for conversation, completions in asked:
            rewards = model.score(conversation.messages, completions)
            order = sorted(range(len(rewards)), key=lambda at: -rewards[at])
            if as_json:
                line = {"rewards": rewards, "order": [at + 1 for at in order]}
                typer.echo(json.dumps(line, ensure_ascii=False))
                continue
            for place, at in enumerate(order, start=1):
                typer.echo(f"{place}. {rewards[at]:+.4f}  completion {at + 1}: {_first_line(completions[at])}")


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

"""Show progress in the terminal, and stop in an orderly way on Ctrl+C."""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import typer
from rich.console import Console
from rich.markdown import Markdown
from tqdm import tqdm

from label_data.sentences import Sentence, say
from reward.progress import OnProgress


@contextmanager
def progress_bar() -> Iterator[OnProgress]:
    """Show progress as a bar on stderr. Ctrl+C raises Stopped at the next call; a second Ctrl+C stops at once."""
    is_stopping = False
    stopping = f"\n{say('reward.commands.stopping')}\n".encode()

    def stop(_number: int, _frame: object) -> None:
        nonlocal is_stopping
        if is_stopping:
            raise KeyboardInterrupt
        is_stopping = True
        os.write(2, stopping)  # not through the bar's stream: the signal may interrupt a write to it

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        with tqdm(file=sys.stderr, unit="", dynamic_ncols=True) as bar:

            def show(done: int, total: int, message: Sentence) -> None:
                bar.total, bar.n = total or None, done
                bar.set_description_str(str(message))
                if is_stopping:
                    raise Stopped

            yield show
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class Stopped(Exception):
    """The user asked the work to stop."""


@contextmanager
def stoppable(out: Path | None) -> Iterator[None]:
    """Exit with status 130 if the user stopped the work, and say how to resume."""
    try:
        yield
    except (Stopped, KeyboardInterrupt):
        key = "reward.commands.stopped_lost" if out is None else "reward.commands.stopped_resume"
        typer.echo(say(key), err=True)
        raise typer.Exit(130) from None


MODEL = "folder written by train, or folder or hub name of any sequence classifier with one label"


def first_line(text: str, longest: int = 70) -> str:
    """Return the text as one line of at most `longest` characters."""
    folded = " ".join(text.split())
    return folded if len(folded) <= longest else folded[: longest - 1] + "…"


def print_markdown(text: str) -> None:
    """Print markdown: rendered in a terminal, unchanged elsewhere."""
    if sys.stdout.isatty():
        Console().print(Markdown(text))
    else:
        typer.echo(text)

"""Progress in the terminal, and Ctrl+C as an orderly stop."""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.markdown import Markdown
from tqdm import tqdm

from label_data.sentences import Sentence

STOPPING = b"\nStopping after this step, whose work is kept. Press Ctrl+C again to stop at once.\n"


@contextmanager
def progress_bar() -> Iterator[Any]:
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

            def show(done: int, total: int, message: Sentence) -> None:
                bar.total, bar.n = total or None, done
                bar.set_description_str(str(message))
                if asked:
                    raise Stopped

            yield show
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class Stopped(Exception):
    """Whoever started this asked it to stop."""


@contextmanager
def stoppable(out: Path | None) -> Iterator[None]:
    """Leave with 130 when somebody stopped the work, and say how it goes on."""
    try:
        yield
    except (Stopped, KeyboardInterrupt):
        kept = "What was done is lost without --out." if out is None else "The same command goes on from there."
        typer.echo(f"Stopped. {kept}", err=True)
        raise typer.Exit(130) from None


MODEL = "folder or hub name of a sequence classifier with one label"


def first_line(text: str, longest: int = 70) -> str:
    """Return the text as one line of at most `longest` characters."""
    folded = " ".join(text.split())
    return folded if len(folded) <= longest else folded[: longest - 1] + "…"


def print_markdown(text: str) -> None:
    """Print a report: rendered in a terminal, as its source elsewhere."""
    if sys.stdout.isatty():
        Console().print(Markdown(text))
    else:
        typer.echo(text)

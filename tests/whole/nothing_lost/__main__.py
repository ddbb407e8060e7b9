"""Look for lost data: python -m tests.whole.nothing_lost kills | server | power

Each command prints its findings and ends with status 1 if there are any.
"""

import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from tqdm import tqdm

from tests.support.postgres_server import running_postgres
from tests.whole.nothing_lost.checker import KINDS
from tests.whole.nothing_lost.kills import ORDERS, Outcome, kill_writers
from tests.whole.nothing_lost.power import cut_power
from tests.whole.nothing_lost.server import kill_server

app = typer.Typer(
    no_args_is_help=True, pretty_exceptions_enable=False, help="Look for lost data; status 1 if any is found."
)
MOST_SHOWN = 20
"""Findings that are printed one by one."""
AT_ONCE = 50
"""Kills of writers per store."""
CUTS_AT_ONCE = 100
"""Power cuts per recorded writer."""
Seed = Annotated[
    int, typer.Option(help="Seed of everything that is drawn; the interleaving of processes stays random.")
]
Mutant = Annotated[str, typer.Option(help="Fault to plant into every writer: early, no-place, no-key or no-lock.")]
Addresses = Callable[[str], str]
"""New folder -> address of a new store, in the folder or on the server."""


@app.command()
def kills(
    rounds: Annotated[int, typer.Option(help="Writers to kill.")] = 100,
    postgres: Annotated[bool, typer.Option(help="Use a temporary PostgreSQL server instead of SQLite files.")] = False,
    store: Annotated[str, typer.Option(help="Use this new store for all rounds.")] = "",
    mutant: Mutant = "",
    seed: Seed = 0,
) -> None:
    """Kill writers with SIGKILL at random moments, restart them, and compare the store with their histories."""
    total = Outcome(Counter(), ())
    with _addresses(postgres and not store, store) as address:
        for number, count in enumerate(_shares(rounds, rounds if store else AT_ONCE)):
            with tempfile.TemporaryDirectory() as folder:
                total += kill_writers(address(folder), Path(folder), count, seed + number, ORDERS[number % 3], mutant)
    _report(total)


@app.command()
def server(rounds: Annotated[int, typer.Option(help="Kills of the server.")] = 5, seed: Seed = 0) -> None:
    """Kill a PostgreSQL server with SIGKILL while writers write, restart it, and compare likewise."""
    with running_postgres() as running, tempfile.TemporaryDirectory() as folder:
        running.make_database("store")
        outcome = kill_server(running, running.dsn("store"), Path(folder), rounds, seed)
    _report(outcome)


@app.command()
def power(
    rounds: Annotated[int, typer.Option(help="Power cuts.")] = 100,
    synchronous: Annotated[str, typer.Option(help="SQLite's setting; the program uses FULL.")] = "FULL",
    steps: Annotated[int, typer.Option(help="Calls of each recorded writer.")] = 100,
    start: Annotated[Path | None, typer.Option(help="SQL of an old store for the writer to upgrade first.")] = None,
    seed: Seed = 0,
) -> None:
    """Record the file operations of writers on SQLite, cut the power at random moments, and check what is left."""
    total = Outcome(Counter(), ())
    for number, count in enumerate(_shares(rounds, CUTS_AT_ONCE)):
        with tempfile.TemporaryDirectory() as folder:
            total += cut_power(Path(folder), count, seed + number, steps, synchronous, start)
    _report(total)


def _shares(number: int, at_once: int) -> Iterable[int]:
    whole, rest = divmod(number, at_once)
    return tqdm([at_once] * whole + [rest] * bool(rest), unit="store", disable=None)


@contextmanager
def _addresses(postgres: bool, store: str) -> Iterator[Addresses]:
    if not postgres:
        yield lambda folder: store or f"{folder}/store.db"
        return
    with running_postgres() as running:

        def made(folder: str) -> str:
            name = Path(folder).name.lower()
            running.make_database(name)
            return running.dsn(name)

        yield made


def _report(total: Outcome) -> None:
    """Print what was done and found; exit with status 1 if there are findings."""
    for action, number in total.done.items():
        print(f"{number:12,} {action}")
    kinds = Counter(dict.fromkeys(KINDS, 0))
    kinds.update(finding.kind for finding in total.findings)
    print("Found:", ", ".join(f"{number} {kind}" for kind, number in kinds.items()))
    for finding in total.findings[:MOST_SHOWN]:
        print(f"{finding.kind}: {finding.description}", file=sys.stderr)
    raise typer.Exit(1 if total.findings else 0)


if __name__ == "__main__":
    app()

"""Is anything lost? python -m tests.whole.nothing_lost kills | server | power | disk

Each ends with 0 findings, or with status 1.
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
    no_args_is_help=True, pretty_exceptions_enable=False, help="Is anything lost? 0 findings, or status 1."
)
MOST_SHOWN = 20
"""Findings that are printed by themselves."""
AT_ONCE = 50
"""Kills of writers on one store; then a new one is made."""
CUTS_AT_ONCE = 100
"""Power cuts of one recorded writer."""
Seed = Annotated[int, typer.Option(help="of what is drawn here; how processes meet is drawn by nobody")]
Mutant = Annotated[str, typer.Option(help="fault to plant into every writer: early, no-place, no-key or no-lock")]
Addresses = Callable[[str], str]
"""A new folder -> the address of a new store, in it or on the server."""


@app.command()
def kills(
    rounds: Annotated[int, typer.Option(help="writers to kill")] = 100,
    postgres: Annotated[bool, typer.Option(help="on a PostgreSQL server of its own, not on SQLite files")] = False,
    store: Annotated[str, typer.Option(help="a new store to use, one for all, instead of new ones")] = "",
    mutant: Mutant = "",
    seed: Seed = 0,
) -> None:
    """Kill writers with SIGKILL at random moments, start them again, and hold the store against their histories."""
    total = Outcome(Counter(), ())
    with _addresses(postgres and not store, store) as address:
        for number, some in enumerate(_shares(rounds, rounds if store else AT_ONCE)):
            with tempfile.TemporaryDirectory() as folder:
                total += kill_writers(address(folder), Path(folder), some, seed + number, ORDERS[number % 3], mutant)
    _report(total)


@app.command()
def server(rounds: Annotated[int, typer.Option(help="kills of the server")] = 5, seed: Seed = 0) -> None:
    """Kill a PostgreSQL server with SIGKILL while writers write, start it again, and check the same."""
    with running_postgres() as running, tempfile.TemporaryDirectory() as folder:
        running.make_database("store")
        found = kill_server(running, running.dsn("store"), Path(folder), rounds, seed)
    _report(found)


@app.command()
def power(
    rounds: Annotated[int, typer.Option(help="power cuts")] = 100,
    synchronous: Annotated[str, typer.Option(help="SQLite's setting; the program's is FULL")] = "FULL",
    steps: Annotated[int, typer.Option(help="calls of each writer that is recorded")] = 100,
    start: Annotated[Path | None, typer.Option(help="SQL of a store that the writer is to upgrade first")] = None,
    seed: Seed = 0,
) -> None:
    """Record what writers do to a SQLite file, cut the power at random moments, and check what is left."""
    total = Outcome(Counter(), ())
    for number, some in enumerate(_shares(rounds, CUTS_AT_ONCE)):
        with tempfile.TemporaryDirectory() as folder:
            total += cut_power(Path(folder), some, seed + number, steps, synchronous, start)
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
    """Print what was done and found, and end with status 1 if anything was."""
    for what, number in total.done.items():
        print(f"{number:12,} {what}")
    kinds = Counter(dict.fromkeys(KINDS, 0))
    kinds.update(finding.kind for finding in total.findings)
    print("Found:", ", ".join(f"{number} {kind}" for kind, number in kinds.items()))
    for finding in total.findings[:MOST_SHOWN]:
        print(f"{finding.kind}: {finding.said}", file=sys.stderr)
    raise typer.Exit(1 if total.findings else 0)


if __name__ == "__main__":
    app()

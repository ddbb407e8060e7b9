"""How many annotators one store holds: assign and submit, by many clients at once, on SQLite and on PostgreSQL.

    python -m benchmarks.store_load [--prompts 100000] [--rankings 1000000] [--clients 1 8 32 64] [--seconds 20]
                                    [--processes 1] [--no-check] [--filled FOLDER] [--json FILE]

A pair is what the ranking screen asks for each ranking: to store it, to lease up to two prompts and to read them. That
is one call, `submit_then_next`, and now and then ("apart") another, `next_tasks`: for a client's first pair, and when
what comes next is locked. A client is an annotator of its own who does nothing else, in a thread, as an app process
runs its sessions; `--processes` shares the clients among as many processes. SQLite with synchronous FULL; PostgreSQL a
throwaway server with its own defaults, so every commit waits for the disk; what the copy left it to do is done first
(VACUUM, CHECKPOINT). Beside them a plain loop that appends a page to a file and waits for the disk: commits a second
can't be more than that, whatever writes them. Needs what the tests need.

The store is filled by the import that people use, once; each run takes it as the run before left it. Everything that
was acknowledged is looked up after each run, and at the end of each back end `label_data.oversight.check`, which takes
minutes at this size (`--no-check`), must find nothing.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from random import Random

import numpy as np
import psutil
import psycopg
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from benchmarks.support.invented_prompts import invented_groups
from label_data.assignment.answers import Answer, submit_then_next
from label_data.assignment.tasks import Task, next_tasks
from label_data.database.engine import open_store
from label_data.oversight.check import problems
from label_data.oversight.copies import copy_store
from label_data.oversight.progress import store_counts
from label_data.records import Group, Ranking
from label_data.settings import ProjectSettings
from label_data.store.adding import add_groups
from label_data.store.annotators import find_or_add_annotator
from label_data.store.projects import save_settings
from tests.support.postgres_server import running_postgres

ROOT = Path(__file__).parent.parent
COMPLETIONS = 4
FILE = "store.db"
MORE = 3
"""Annotators that each prompt still waits for."""
AIMS = {"SQLite": 200, "PostgreSQL": 100}
"""Pairs a second on one free core."""


@dataclass
class Measured:
    """What the clients of one run had: seconds, one value a pair."""

    back_end: str
    clients: int
    processes: int
    seconds: float = 0.0
    pairs: list[list[float]] = field(default_factory=list)
    """Of each client, how long each of its pairs took."""
    apart: int = 0
    """Pairs whose tasks had to be asked for by themselves; the first of each client is one."""
    processor: float = 0.0
    """Seconds of processor time of the clients' processes; the server of PostgreSQL is not in it."""
    load: tuple[float, float] = (0.0, 0.0)
    """Load average over a minute, before and after."""
    found: list[str] = field(default_factory=list)
    """What was wrong with the store afterwards."""


def filled(prompts: int, rankings: int) -> Iterator[Group]:
    """Yield prompts, each with its share of the rankings, by people who are not among the clients."""
    random = Random(2)
    for number, group in enumerate(invented_groups(prompts, COMPLETIONS)):
        shown = tuple(completion.id for completion in group.completions)
        share = rankings * (number + 1) // prompts - rankings * number // prompts
        people = random.sample(range(10 * share), share)
        orders = (tuple((id,) for id in random.sample(shown, COMPLETIONS)) for _ in people)
        completions = tuple(
            Ranking(group.prompt.id, f"person {person}", shown, order, source="import")
            for person, order in zip(people, orders, strict=True)
        )
        yield Group(group.prompt, group.completions, completions)


def fill(file: Path, prompts: int, rankings: int, progress: Progress) -> None:
    """Fill the store, unless it is."""
    store = open_store(file)
    if not store_counts(store).prompts:
        task = progress.add_task("Filling the store", total=prompts)
        add_groups(store, filled(prompts, rankings), on_progress=lambda done: progress.update(task, completed=done))
        save_settings(store, ProjectSettings(annotators_per_prompt=-(-rankings // prompts) + MORE))
    store.dispose()


def work(address: str, names: list[str], seconds: float) -> None:
    """Be these annotators for so long, from when a line is read; print what each did as JSON."""
    store = open_store(address)
    ids = [find_or_add_annotator(store, name).id for name in names]
    print("ready", flush=True)
    sys.stdin.readline()
    began = sum(psutil.Process().cpu_times()[:2])
    end = time.perf_counter() + seconds
    done: list[list[tuple[float, bool, str]]] = [[] for _ in ids]

    def rank(times: list[tuple[float, bool, str]], annotator: str) -> None:
        tasks: list[Task] = []
        while (start := time.perf_counter()) < end:
            apart = not tasks
            task = (tasks or next_tasks(store, annotator))[0]
            order = [[place] for place in range(len(task.completions))]
            answer = Answer(task.token, f"{annotator} {len(times)} {task.token}", "ranked", order, seconds=20.0)
            outcome, tasks = submit_then_next(store, answer, annotator)
            times.append((time.perf_counter() - start, apart, answer.submission))
            assert outcome == "saved", outcome

    clients = [threading.Thread(target=rank, args=pair) for pair in zip(done, ids, strict=True)]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    with_ids = dict(zip(ids, done, strict=True))
    print(json.dumps({"processor": sum(psutil.Process().cpu_times()[:2]) - began, "done": with_ids}))
    store.dispose()


def measure(back_end: str, address: str, clients: int, processes: int, seconds: float) -> Measured:
    """Let so many clients rank for so long, and look up afterwards what became of it."""
    measured = Measured(back_end, clients, processes, seconds)
    names = [f"client {clients} {processes} {number}" for number in range(clients)]
    command = [sys.executable, "-m", "benchmarks.store_load", "--work", address, "--seconds", str(seconds)]
    running = [
        subprocess.Popen(
            [*command, "--names", *names[first::processes]],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for first in range(processes)
    ]
    before = os.getloadavg()[0]
    for process in running:
        assert process.stdout is not None and process.stdout.readline() == "ready\n", "The clients could not begin."
    for process in running:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    acknowledged = set()
    for process in running:
        report = json.loads(process.communicate()[0])
        measured.processor += report["processor"]
        for done in report["done"].values():
            measured.pairs.append([seconds for seconds, _, _ in done])
            measured.apart += sum(apart for _, apart, _ in done)
            acknowledged |= {submission for _, _, submission in done}
    measured.load = (before, os.getloadavg()[0])
    measured.found = lost(address, acknowledged)
    return measured


def lost(address: str, acknowledged: set[str]) -> list[str]:
    """Return what is wrong: submissions that are not in the store."""
    store = open_store(address)
    with store.connect() as connection:
        rows = connection.exec_driver_sql("SELECT submission FROM rankings WHERE task IS NOT NULL")
        missing = acknowledged - {submission for (submission,) in rows}
    store.dispose()
    return [f"acknowledged and not stored: {submission}" for submission in sorted(missing)]


def checked(address: str) -> list[str]:
    """Return what the store's own check finds."""
    store = open_store(address)
    faults = list(problems(store))
    store.dispose()
    return faults


def commits_a_second(folder: Path, seconds: float = 3.0) -> float:
    """Return how often a second this disk says that another 4 kB, appended to a file, are there for good."""
    count, end = 0, time.perf_counter() + seconds
    with tempfile.TemporaryFile(dir=folder) as file:
        while time.perf_counter() < end:
            file.write(b"x" * 4_096)
            file.flush()
            os.fdatasync(file.fileno())
            count += 1
    return count / seconds


def table_of(runs: list[Measured]) -> Table:
    names = ("back end", "processes", "clients", "pairs a second", "aim", "median", "p99", "apart")
    table = Table(*names, "most / least", "CPU a pair", "load")
    for run in runs:
        counts, all_seconds = [len(pair) for pair in run.pairs], [seconds for pair in run.pairs for seconds in pair]
        median, p99 = (1_000 * np.percentile(all_seconds, share) for share in (50, 99))
        rate, least = len(all_seconds) / run.seconds, min(counts)
        table.add_row(
            run.back_end,
            str(run.processes),
            str(run.clients),
            f"{rate:.0f}",
            f"{AIMS[run.back_end]}: {'met' if rate >= AIMS[run.back_end] else 'missed'}",
            f"{median:.1f} ms",
            f"{p99:.0f} ms",
            str(run.apart),
            f"{max(counts)} / {least}" + (f" = {max(counts) / least:.2f}" if least else ""),
            f"{1_000 * run.processor / len(all_seconds):.1f} ms",
            f"{run.load[0]:.1f} to {run.load[1]:.1f}",
        )
    return table


@contextmanager
def back_ends(folder: Path, chosen: list[str], progress: Progress) -> Iterator[dict[str, str]]:
    """Yield the address of a filled store on each back end."""
    file = folder / FILE
    addresses = {"SQLite": str(file)}
    if "PostgreSQL" not in chosen:
        yield addresses
        return
    with running_postgres() as server:
        server.make_database("load")
        addresses["PostgreSQL"] = server.dsn("load")
        source, target = open_store(file), open_store(addresses["PostgreSQL"])
        task = progress.add_task("Copying it to PostgreSQL", total=None)
        copy_store(source, target, lambda table, rows: progress.update(task, description=f"To PostgreSQL: {table}"))
        for store in (source, target):
            store.dispose()
        progress.update(task, description="PostgreSQL: settling after the copy")
        with psycopg.connect(addresses["PostgreSQL"], autocommit=True) as connection:
            connection.execute("VACUUM (ANALYZE)")
        server.run("CHECKPOINT")
        yield {name: addresses[name] for name in chosen}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--prompts", type=int, default=100_000)
    parser.add_argument("--rankings", type=int, default=1_000_000)
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 8, 32, 64])
    parser.add_argument("--processes", type=int, nargs="+", default=[1])
    parser.add_argument("--back-ends", nargs="+", choices=AIMS, default=list(AIMS))
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument(
        "--check", action=argparse.BooleanOptionalAction, default=True, help="check the store afterwards"
    )
    parser.add_argument("--filled", type=Path, help="keep the filled store here, for the next time")
    parser.add_argument("--json", type=Path, help="write every single value here")
    parser.add_argument("--work", help=argparse.SUPPRESS)
    parser.add_argument("--names", nargs="*", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.work:
        return work(chosen.work, chosen.names, chosen.seconds)
    console, runs = Console(), []
    console.width = max(console.width, 150)  # a table in a file is not squeezed to 80 columns
    with tempfile.TemporaryDirectory() as temporary, Progress(console=console, transient=True) as progress:
        folder = chosen.filled or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        fill(folder / FILE, chosen.prompts, chosen.rankings, progress)
        with back_ends(folder, chosen.back_ends, progress) as addresses:
            disk = commits_a_second(folder)
            for back_end, address in addresses.items():
                for processes in chosen.processes:
                    for clients in chosen.clients:
                        if clients >= processes:
                            title = f"{back_end}: {clients} clients in {processes} processes"
                            task = progress.add_task(title, total=None)
                            runs.append(measure(back_end, address, clients, processes, chosen.seconds))
                            progress.remove_task(task)
                if chosen.check:
                    task = progress.add_task(f"{back_end}: checking the store", total=None)
                    runs[-1].found += checked(address)
                    progress.remove_task(task)
    console.print(table_of(runs))
    console.print(f"Commits of a plain file a second on this disk: {disk:.0f}")
    console.print(
        f"{os.cpu_count()} cores, {platform.platform()}, {chosen.prompts:,} prompts, {chosen.rankings:,} rankings"
    )
    for run in runs:
        for problem in run.found:
            console.print(f"{run.back_end}, {run.clients} clients: {problem}", style="red", markup=False)
    if chosen.json:
        chosen.json.write_text(json.dumps([asdict(run) for run in runs], indent=1))


if __name__ == "__main__":
    main()

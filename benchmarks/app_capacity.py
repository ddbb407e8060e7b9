"""How many annotators the app holds: with one process, two and three, each annotator submitting every 5 s.

    python -m benchmarks.app_capacity [--processes 1 2 3] [--annotators 10 20 40 60 80 100] [--seconds 40]
                                      [--prompts 10000] [--filled FOLDER] [--json FILE]

The packaged app as `python -m workbench app` serves it, several processes on one SQLite store as behind a proxy that
keeps each annotator with one of them; websocket sessions (`support/simulated_annotators.py`) that read their task and
rank it. A session's time is from sending a ranking to having the next task; what was acknowledged is looked up in
the store. The annotators' own processes take part of the same cores, so on a machine with few of them the app holds
more than this says. For each number of processes more and more annotators come, until their p95 is over 250 ms.
"""

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import AbstractContextManager, ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import psutil
from rich.console import Console
from rich.table import Table

from benchmarks.ranking_screen import COMPLETIONS, EVERY, interval
from benchmarks.support.invented_prompts import invented_groups
from label_data.data_folder import default_store
from label_data.database.engine import open_store
from label_data.oversight.progress import store_counts
from label_data.store.adding import add_groups
from label_data.store.annotators import find_or_add_annotator
from label_data.store.stored_groups import groups
from tests.support.browser import free_port, served

ROOT = Path(__file__).parent.parent
MOST = 250
"""Milliseconds that the p95 may take."""


@dataclass
class Held:
    """So many annotators on so many processes."""

    processes: int
    annotators: int
    milliseconds: list[float] = field(default_factory=list)
    """From each submission to the next task."""
    server: float = 0.0
    """Milliseconds of processor time of the app a ranking."""
    load: tuple[float, float] = (0.0, 0.0)
    problems: list[str] = field(default_factory=list)

    @property
    def p95(self) -> float:
        return float(np.percentile(self.milliseconds, 95)) if self.milliseconds else float("inf")


def measure(folder: Path, processes: int, annotators: int, seconds: float) -> Held:
    """Let so many annotators rank for so long."""
    held = Held(processes, annotators)
    store = open_store(default_store())
    ids = [find_or_add_annotator(store, f"{processes} {annotators} {number}").id for number in range(annotators)]
    store.dispose()
    with ExitStack() as stack:
        addresses = [stack.enter_context(app(folder, number)) for number in range(processes)]
        servers = [child for child in psutil.Process().children() if "workbench" in child.cmdline()]
        running = []
        for number, address in enumerate(addresses):
            command = [sys.executable, "-m", "benchmarks.support.simulated_annotators", address, "screen", str(EVERY)]
            own = ids[number::processes]
            running.append(
                subprocess.Popen([*command, *own], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            )
        for process in running:
            assert process.stdout is not None and process.stdout.readline() == "ready\n", "They could not begin."
        before, began = os.getloadavg()[0], sum(sum(server.cpu_times()[:2]) for server in servers)
        time.sleep(seconds)
        spent = sum(sum(server.cpu_times()[:2]) for server in servers) - began
        acknowledged: dict[str, list[str]] = {}
        for process in running:
            report = json.loads(process.communicate()[0])
            held.milliseconds += [1_000 * duration for duration in report["seconds"]]
            held.problems += report["errors"]
            acknowledged |= report["acknowledged"]
        held.load = (before, os.getloadavg()[0])
        held.server = 1_000 * spent / max(1, len(held.milliseconds))
    held.problems += lost(acknowledged)
    return held


def app(folder: Path, number: int) -> AbstractContextManager[str]:
    """Serve the app over the folder's store in a process of its own."""
    port = free_port()
    command = [sys.executable, "-m", "workbench", "app", "--port", str(port)]
    return served(command, {"WORKBENCH_DATA": str(folder), "PYTHONPATH": str(ROOT)}, port, folder / f"log-{number}")


def lost(acknowledged: dict[str, list[str]]) -> list[str]:
    """Return a sentence for each annotator of whom not all is stored."""
    store = open_store(default_store())
    stored = {ranking.submission for group in groups(store, ranked_only=True) for ranking in group.rankings}
    store.dispose()
    missing = {annotator: len(set(sent) - stored) for annotator, sent in acknowledged.items()}
    return [f"{count} acknowledged to {annotator} and not stored" for annotator, count in missing.items() if count]


def table_of(runs: list[Held]) -> Table:
    table = Table("processes", "annotators", "rankings", "submit to next, median", "p95", "CPU a ranking", "load")
    for run in runs:
        median, p95 = (interval(run.milliseconds, share) for share in (0.5, 0.95))
        cells = [f"{point:.0f} ms ({low:.0f} to {high:.0f})" for point, low, high in (median, p95)]
        count = f"{len(run.milliseconds):,}"
        load = " to ".join(f"{value:.1f}" for value in run.load)
        table.add_row(str(run.processes), str(run.annotators), count, *cells, f"{run.server:.0f} ms", load)
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--annotators", type=int, nargs="+", default=[10, 20, 40, 60, 80, 100])
    parser.add_argument("--seconds", type=float, default=40.0)
    parser.add_argument("--prompts", type=int, default=10_000)
    parser.add_argument("--filled", type=Path, help="keep the filled store here, for the next time")
    parser.add_argument("--json", type=Path, help="write every single value here")
    chosen = parser.parse_args()
    console, runs = Console(), []
    console.width = max(console.width, 150)  # a table in a file is not squeezed to 80 columns
    with tempfile.TemporaryDirectory() as temporary:
        first = chosen.filled or Path(temporary, "first")
        os.environ["WORKBENCH_DATA"] = str(first)
        store = open_store(default_store())
        if not store_counts(store).prompts:
            with console.status(f"Filling a store with {chosen.prompts:,} prompts"):
                add_groups(store, invented_groups(chosen.prompts, COMPLETIONS))
        store.dispose()
        for processes in chosen.processes:
            for annotators in chosen.annotators:
                own = Path(temporary, f"{processes}-{annotators}")
                shutil.copytree(first, own)
                os.environ["WORKBENCH_DATA"] = str(own)
                with console.status(f"{annotators} annotators on {processes} processes"):
                    runs.append(measure(own, processes, annotators, chosen.seconds))
                shutil.rmtree(own)
                if runs[-1].p95 > MOST:
                    break
    console.print(table_of(runs))
    for processes in chosen.processes:
        fit = [run.annotators for run in runs if run.processes == processes and run.p95 <= MOST]
        console.print(f"Processes: {processes}; annotators with a p95 of at most {MOST} ms: {max(fit, default=0)}")
    console.print(f"{os.cpu_count()} cores, {platform.platform()}, {chosen.prompts:,} prompts")
    for run in runs:
        for problem in run.problems:
            console.print(f"{run.processes}, {run.annotators}: {problem}", style="red", markup=False)
    if chosen.json:
        chosen.json.write_text(json.dumps([asdict(run) for run in runs], indent=1))


if __name__ == "__main__":
    main()

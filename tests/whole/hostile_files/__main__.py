"""Import every hostile file, each in its own process: python -m tests.whole.hostile_files FOLDER

Prints a table; with --json, one line of JSON per file.

Each process runs the command `python -m label_data import` on a store that already holds data. The processes are
forked from one that has imported all modules, so the measurements concern the file alone:

- memory: growth of the peak resident set (VmHWM, reset after the fork). For Parquet it includes the peak of the
  decoding process, less what that process takes with only its libraries imported. It is an upper bound: Linux counts
  the parent's memory at the moment of starting into a child's peak.
- seconds: user and system CPU time of the process and its children.
"""

import gc
import hashlib
import json
import os
import resource
import shutil
import sqlite3
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from typer.testing import CliRunner

from label_data.__main__ import app
from label_data.database.engine import open_store
from label_data.records import Group
from label_data.store.stored_groups import groups
from tests.whole.hostile_files.files import FILES, HostileFile

MIB = 2**20
BEFORE = "Was this here before?"
DECODER = "import pyarrow.parquet, resource; print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of importing one file."""

    status: int
    """Exit status of the command."""
    printed: str
    error: str
    crash: str
    """Traceback of an exception other than InputError."""
    unchanged: bool
    """Is the content of the store's file unchanged?"""
    stored: list
    """Last message, texts and orders of each new prompt."""
    seconds: float
    wall: float
    mebibytes: float


def import_all(folder: Path) -> Iterator[tuple[str, Outcome]]:
    """Create each file in its own folder and import it; yield its description and the outcome."""
    subprocess.run([sys.executable, "-c", DECODER], check=True, capture_output=True)  # warm the disk cache
    decoder = int(subprocess.run([sys.executable, "-c", DECODER], check=True, capture_output=True).stdout) * 1024
    start = folder / "start.db"
    (folder / "start.jsonl").write_text(json.dumps({"prompt": BEFORE, "completions": [{"text": "a"}, {"text": "b"}]}))
    CliRunner().invoke(app, ["import", str(folder / "start.jsonl"), "--format", "groups", "--store", str(start)])
    gc.freeze()  # in a fork, the garbage collector would copy every page it visits
    for number, file in enumerate(FILES):
        inside = folder / str(number)
        inside.mkdir()
        _make(file, inside / file.name)
        shutil.copy(start, inside / "store.db")
        yield file.fault, _forked(inside, file, decoder)
        shutil.rmtree(inside)


def _make(file: HostileFile, path: Path) -> None:
    if isinstance(file.content, bytes):
        path.write_bytes(file.content)
    else:
        _in_a_fork(lambda: file.content(path))  # creating it may take more memory than reading it may


def _forked(inside: Path, file: HostileFile, decoder: int) -> Outcome:
    def run() -> None:
        resource.setrlimit(resource.RLIMIT_CPU, (20, 20))
        os.chdir(inside)
        Path("outcome.json").write_text(json.dumps(asdict(_measured(file, decoder))))

    status, outcome = _in_a_fork(run), inside / "outcome.json"
    if outcome.exists():
        return Outcome(**json.loads(outcome.read_text()))
    return Outcome(status, "", "", f"ended with {status}", False, [], 0, 0, 0)


def _in_a_fork(run: Callable[[], object]) -> int:
    child = os.fork()
    if not child:
        try:
            run()
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(0)
    return os.waitpid(child, 0)[1]


def _measured(file: HostileFile, decoder: int) -> Outcome:
    before, began = _content(), time.perf_counter()
    Path("/proc/self/clear_refs").write_text("5")
    memory, cpu = _peak(), _cpu()
    result = CliRunner().invoke(app, ["import", file.name, "--format", file.format, "--store", "store.db"])
    seconds, wall, grown = _cpu() - cpu, time.perf_counter() - began, _peak() - memory
    children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
    crashed = result.exception is not None and not isinstance(result.exception, SystemExit)
    return Outcome(
        result.exit_code,
        result.stdout,
        result.stderr,
        "".join(traceback.format_exception(result.exception)) if crashed else "",
        _content() == before,
        [] if result.exit_code else _stored(),
        seconds,
        wall,
        (grown + max(0, children - decoder)) / MIB,
    )


def _content() -> str:
    """Return the sha256 of the store's content, dumped as SQL."""
    connection = sqlite3.connect("store.db")
    digest = hashlib.sha256("\n".join(connection.iterdump()).encode()).hexdigest()
    connection.close()
    return digest


def _peak() -> int:
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


def _cpu() -> float:
    used = [resource.getrusage(annotator) for annotator in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in used)


def _stored() -> list:
    return [_summary(group) for group in groups(open_store("store.db")) if group.prompt.messages[-1].content != BEFORE]


def _summary(group: Group) -> list:
    text = {completion.id: completion.text for completion in group.completions}
    orders = [[[text[id] for id in tied] for tied in ranking.order] for ranking in group.rankings]
    return [group.prompt.messages[-1].content, list(text.values()), orders]


if __name__ == "__main__":
    for fault, outcome in import_all(Path(sys.argv[1])):
        if sys.argv[2:] == ["--json"]:
            print(json.dumps([fault, asdict(outcome)]))
        else:
            last_line = (outcome.crash or outcome.error or outcome.printed).strip().splitlines()[-1]
            print(f"{outcome.seconds:5.2f} s {outcome.mebibytes:5.0f} MiB  {fault}: {last_line}", flush=True)

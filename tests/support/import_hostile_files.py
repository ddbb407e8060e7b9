"""Import every hostile file, each in a process of its own.

python tests/support/import_hostile_files.py FOLDER prints a table.
(With --json, a line of it all for each.)

What is run is the command `python -m label_data import`, on a store that holds something already. Each process is
forked from one that has imported everything, so that what is measured is the file's alone:

- memory: by how much the highest resident set (VmHWM, set back after the fork) grew; for Parquet, plus that of the
  process that decodes it, less what such a process takes with its libraries imported. An upper bound: Linux counts a
  started process's parent at that moment into its peak.
- seconds: CPU of the process and of those it started, user and system.
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

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT)]

from typer.testing import CliRunner  # noqa: E402

from hostile_files import FILES, HostileFile  # noqa: E402
from label_data.__main__ import app  # noqa: E402
from label_data.database.engine import open_store  # noqa: E402
from label_data.records import Group  # noqa: E402
from label_data.store.stored_groups import groups  # noqa: E402

MIB = 2**20
BEFORE = "Was this here before?"
DECODER = "import pyarrow.parquet, resource; print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one file."""

    status: int
    """With which the command ended."""
    printed: str
    error: str
    crash: str
    """The traceback of what is no InputError."""
    unchanged: bool
    """Is all that the store's file holds as it was?"""
    stored: list
    """Last message, texts and orders of each prompt that is new."""
    seconds: float
    wall: float
    mebibytes: float


def import_all(folder: Path) -> Iterator[tuple[str, Outcome]]:
    """Make each file in a folder of its own, import it, and yield what is wrong with it and what became of it."""
    subprocess.run([sys.executable, "-c", DECODER], check=True, capture_output=True)  # into the disk's cache
    decoder = int(subprocess.run([sys.executable, "-c", DECODER], check=True, capture_output=True).stdout) * 1024
    start = folder / "start.db"
    (folder / "start.jsonl").write_text(json.dumps({"prompt": BEFORE, "completions": [{"text": "a"}, {"text": "b"}]}))
    CliRunner().invoke(app, ["import", str(folder / "start.jsonl"), "--format", "groups", "--store", str(start)])
    gc.freeze()  # the collector of a fork would copy every page that it looks at
    for number, file in enumerate(FILES):
        inside = folder / str(number)
        inside.mkdir()
        _make(file, inside / file.name)
        shutil.copy(start, inside / "store.db")
        yield file.what, _forked(inside, file, decoder)
        shutil.rmtree(inside)


def _make(file: HostileFile, path: Path) -> None:
    if isinstance(file.content, bytes):
        path.write_bytes(file.content)
    else:
        _in_a_fork(lambda: file.content(path))  # making it may take more memory than is allowed for reading it


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
    """Return the sha256 of all that the store's file says, as SQL."""
    connection = sqlite3.connect("store.db")
    digest = hashlib.sha256("\n".join(connection.iterdump()).encode()).hexdigest()
    connection.close()
    return digest


def _peak() -> int:
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


def _cpu() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def _stored() -> list:
    return [_told(group) for group in groups(open_store("store.db")) if group.prompt.messages[-1].content != BEFORE]


def _told(group: Group) -> list:
    text = {completion.id: completion.text for completion in group.completions}
    orders = [[[text[one] for one in tied] for tied in ranking.order] for ranking in group.rankings]
    return [group.prompt.messages[-1].content, list(text.values()), orders]


if __name__ == "__main__":
    for what, found in import_all(Path(sys.argv[1])):
        if sys.argv[2:] == ["--json"]:
            print(json.dumps([what, asdict(found)]))
        else:
            ending = (found.crash or found.error or found.printed).strip().splitlines()[-1]
            print(f"{found.seconds:5.2f} s {found.mebibytes:5.0f} MiB  {what}: {ending}", flush=True)

"""Power cuts: replay what a process wrote to a folder up to some moment, and drop what was not synced.

Syncing a file makes its content safe; syncing the folder makes its name safe. Of later writes a cut keeps all, none,
the beginning, or random 512-byte sectors, in any order, with zeros or rubbish where a file grew without its content.
SQLite's shared memory (-shm) is gone.
"""

import random
import shutil
import sqlite3
from collections import Counter
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.exc import DBAPIError

from label_data.database import schema
from label_data.database.engine import open_store, reading
from label_data.errors import InputError
from tests.whole.nothing_lost.checker import Finding, findings
from tests.whole.nothing_lost.history import History, calls_in
from tests.whole.nothing_lost.kills import WANTED, Outcome, acknowledged
from tests.whole.nothing_lost.recorded_writer import PROMPTS
from tests.whole.nothing_lost.recording import Operation, recorded
from tests.whole.nothing_lost.writer import Writer

SECTOR = 512
DAMAGED = "damaged"
HISTORY = "ann.history"
"""The annotator's memory: it is on no disk, so a cut takes nothing from it."""
KEPT = (0.0, 0.5, 0.9, 1.0)
"""Shares of the unsynced sectors that a cut may keep."""


@dataclass(slots=True)
class _File:
    safe: bytearray = field(default_factory=bytearray)
    pending: list[Operation] = field(default_factory=list)


class Disk:
    """The synced state of a folder's files, and the operations since."""

    def __init__(self, start: dict[str, bytes]) -> None:
        self._files = [_File(bytearray(content)) for content in start.values()]
        self._safe_names = {name: number for number, name in enumerate(start)}
        self._names = dict(self._safe_names)
        self._pending_names: list[Operation] = []
        self._made: dict[int, int] = {}
        """Index among the pending changes of names -> file created there."""

    def do(self, operation: Operation) -> None:
        """Apply the next operation."""
        name = operation.name
        match operation.kind:
            case "make" if name in self._names:
                pass
            case "make" | "remove" | "rename":
                if operation.kind == "make":
                    self._files.append(_File())
                    self._made[len(self._pending_names)] = len(self._files) - 1
                _change_names(self._names, operation, len(self._files) - 1)
                self._pending_names.append(operation)
            case "sync" if name == "":
                self._safe_names, self._pending_names, self._made = dict(self._names), [], {}
            case "sync":
                file = self._files[self._names[name]]
                for change in file.pending:
                    _apply(file.safe, change)
                file.pending = []
            case _:
                self._files[self._names[name]].pending.append(operation)

    def content(self, name: str) -> bytes:
        """Return the file's content as if the power stayed; empty if there is no such file."""
        file = self._files[self._names[name]] if name in self._names else _File()
        now = bytearray(file.safe)
        for change in file.pending:
            _apply(now, change)
        return bytes(now)

    def cut(self, rng: random.Random) -> dict[str, bytes]:
        """Return {name: content} of what a cut at this moment may leave."""
        names = dict(self._safe_names)
        for place, change in enumerate(self._pending_names[: rng.randint(0, len(self._pending_names))]):
            _change_names(names, change, self._made.get(place, -1))
        return {name: bytes(_after_cut(self._files[number], rng)) for name, number in names.items()}


def _change_names(names: dict[str, int], change: Operation, created: int) -> None:
    if change.kind == "make":
        names[change.name] = created
    elif change.kind == "remove":
        del names[change.name]
    else:
        names[change.to] = names.pop(change.name)


def _apply(content: bytearray, change: Operation) -> None:
    if change.kind == "truncate":
        del content[change.at :]
        content.extend(bytes(change.at - len(content)))
        return
    offset = len(content) if change.kind == "append" else change.at
    content.extend(bytes(max(0, offset + len(change.content) - len(content))))
    content[offset : offset + len(change.content)] = change.content


def _after_cut(file: _File, rng: random.Random) -> bytearray:
    left, pending = bytearray(file.safe), file.pending
    if rng.random() < 0.3:  # everything before some moment, with the last write torn
        whole = rng.randint(0, len(pending))
        for change in pending[:whole]:
            _apply(left, change)
        pending = pending[whole : whole + 1]
    share, rubbish = rng.choice(KEPT), rng.random() < 0.2
    for change in pending:
        if change.kind == "truncate":
            if rng.random() < share:
                _apply(left, change)
            continue
        offset = len(left) if change.kind == "append" else change.at
        for start in range(0, len(change.content), SECTOR):
            sector = change.content[start : start + SECTOR]
            if rng.random() >= share:
                if offset + start < len(left):
                    continue  # the old content stays
                sector = rng.randbytes(len(sector)) if rubbish else bytes(len(sector))
            _apply(left, Operation("write", "", offset + start, sector))
    return left


def cut_power(folder: Path, cuts: int, seed: int, steps: int, synchronous: str, start: Path | None = None) -> Outcome:
    """Record a writer, cut its power at `cuts` random moments, and check what each cut leaves.

    `synchronous`: SQLite's setting for every connection; the program uses FULL. `start`: SQL of a store of an older
    version for the writer to upgrade.
    """
    rng = random.Random(seed)
    inside, after = folder / "recorded", folder / "after"
    inside.mkdir()
    known: set[str] = set()
    if start is not None:
        with closing(sqlite3.connect(inside / "store.db")) as old:
            old.executescript(start.read_text(encoding="utf-8"))
            known = {submission for (submission,) in old.execute("SELECT submission FROM rankings")}
    before = {path.name: path.read_bytes() for path in inside.iterdir()}
    command = ["-m", "tests.whole.nothing_lost.recorded_writer", str(inside), str(steps), synchronous]
    operations = recorded(command, inside, folder / "trace")
    (folder / "trace").unlink()
    moments = Counter(rng.choices(range(len(operations)), k=cuts))
    disk, faults, lasting = Disk(before), [], 0
    for number, operation in enumerate(operations):
        for _ in range(moments[number]):
            left = disk.cut(rng)
            lasting += "store.db" in left
            faults += _checked(after, left, disk.content(HISTORY), known)
        disk.do(operation)
    calls = calls_in(disk.content(HISTORY))
    kinds = Counter({f"operations: {kind}": number for kind, number in Counter(o.kind for o in operations).items()})
    done = Counter({"power cuts": cuts, "that left a store": lasting}) + kinds + acknowledged(calls)
    return Outcome(done, tuple(faults))


def _checked(folder: Path, left: dict[str, bytes], history: bytes, known: set[str]) -> list[Finding]:
    """Restart: open the store, check it, and rank one more prompt."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for name, content in left.items():
        if name != HISTORY and not name.endswith("-shm"):
            (folder / name).write_bytes(content)
    (folder / HISTORY).write_bytes(history)
    calls = calls_in(history)
    try:
        store = open_store(folder / "store.db")
    except InputError as error:
        return [Finding(DAMAGED, str(error))]
    try:
        faults = findings(store, calls, WANTED, known)
        with reading(store) as connection:
            prompts = len(connection.execute(select(schema.items)).all())
        if calls and prompts < PROMPTS:
            faults.append(Finding(DAMAGED, f"{prompts} prompts are left"))
        if calls and not faults:
            more = History(folder / HISTORY, calls[-1].by)
            writer = Writer(store, calls[-1].by, more, outlasts_server=False)
            writer.resolve()
            for _ in range(2):
                writer.step()
            faults = findings(store, more.calls, WANTED, known)
    except DBAPIError as error:
        faults = [Finding(DAMAGED, str(error.orig))]
    finally:
        store.dispose()
    return faults

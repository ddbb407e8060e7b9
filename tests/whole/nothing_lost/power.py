"""Power cuts: what a process wrote to a folder is replayed up to some moment, and what was not synced is lost.

A file's content is safe once the file was synced, its name once the folder was. Of what came after, a cut keeps all,
nothing, the beginning, or any 512 bytes here and there, in any order, with zeros or rubbish where a file grew but the
content did not get there. SQLite's shared memory (-shm) is gone.
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
from tests.whole.nothing_lost.kills import ASKED, Outcome, acknowledged
from tests.whole.nothing_lost.recorded_writer import PROMPTS
from tests.whole.nothing_lost.recording import Operation, recorded
from tests.whole.nothing_lost.writer import Writer

SECTOR = 512
DAMAGED = "damaged"
HISTORY = "ann.history"
"""What the annotator remembers: no disk of ours, so no cut takes anything of it."""
KEPT = (0.0, 0.5, 0.9, 1.0)
"""Shares of the sectors that were not synced which a cut leaves."""


@dataclass(slots=True)
class _File:
    safe: bytearray = field(default_factory=bytearray)
    pending: list[Operation] = field(default_factory=list)


class Disk:
    """A folder's files as they are for sure, and what was done to them since."""

    def __init__(self, start: dict[str, bytes]) -> None:
        self._files = [_File(bytearray(content)) for content in start.values()]
        self._safe_names = {name: number for number, name in enumerate(start)}
        self._names = dict(self._safe_names)
        self._pending_names: list[Operation] = []
        self._made: dict[int, int] = {}
        """Place among the pending changes of names -> file that was made there."""

    def do(self, operation: Operation) -> None:
        """Take note of the next thing that was done."""
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
        """Return what the file would hold if the power stayed; nothing if there is none."""
        file = self._files[self._names[name]] if name in self._names else _File()
        now = bytearray(file.safe)
        for change in file.pending:
            _apply(now, change)
        return bytes(now)

    def cut(self, chance: random.Random) -> dict[str, bytes]:
        """Return what a cut at this moment may leave."""
        names = dict(self._safe_names)
        for place, change in enumerate(self._pending_names[: chance.randint(0, len(self._pending_names))]):
            _change_names(names, change, self._made.get(place, -1))
        return {name: bytes(_after_cut(self._files[number], chance)) for name, number in names.items()}


def _change_names(names: dict[str, int], change: Operation, made: int) -> None:
    if change.kind == "make":
        names[change.name] = made
    elif change.kind == "remove":
        del names[change.name]
    else:
        names[change.to] = names.pop(change.name)


def _apply(content: bytearray, change: Operation) -> None:
    if change.kind == "truncate":
        del content[change.at :]
        content.extend(bytes(change.at - len(content)))
        return
    at = len(content) if change.kind == "append" else change.at
    content.extend(bytes(max(0, at + len(change.content) - len(content))))
    content[at : at + len(change.content)] = change.content


def _after_cut(file: _File, chance: random.Random) -> bytearray:
    left, pending = bytearray(file.safe), file.pending
    if chance.random() < 0.3:  # all that came before some moment, the last of it torn
        whole = chance.randint(0, len(pending))
        for change in pending[:whole]:
            _apply(left, change)
        pending = pending[whole : whole + 1]
    share, rubbish = chance.choice(KEPT), chance.random() < 0.2
    for change in pending:
        if change.kind == "truncate":
            if chance.random() < share:
                _apply(left, change)
            continue
        at = len(left) if change.kind == "append" else change.at
        for start in range(0, len(change.content), SECTOR):
            sector = change.content[start : start + SECTOR]
            if chance.random() >= share:
                if at + start < len(left):
                    continue  # what was there before stays
                sector = chance.randbytes(len(sector)) if rubbish else bytes(len(sector))
            _apply(left, Operation("write", "", at + start, sector))
    return left


def cut_power(folder: Path, cuts: int, seed: int, steps: int, synchronous: str, start: Path | None = None) -> Outcome:
    """Record a writer, cut its power at so many moments, and check what each cut leaves.

    `synchronous`: SQLite's setting for every connection; the program's own is FULL. `start`: the SQL of a store of an
    older version, which the writer finds and upgrades.
    """
    chance = random.Random(seed)
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
    moments = Counter(chance.choices(range(len(operations)), k=cuts))
    disk, found, lasting = Disk(before), [], 0
    for number, operation in enumerate(operations):
        for _ in range(moments[number]):
            left = disk.cut(chance)
            lasting += "store.db" in left
            found += _checked(after, left, disk.content(HISTORY), known)
        disk.do(operation)
    calls = calls_in(disk.content(HISTORY))
    kinds = Counter({f"operations: {kind}": number for kind, number in Counter(o.kind for o in operations).items()})
    done = Counter({"power cuts": cuts, "that left a store": lasting}) + kinds + acknowledged(calls)
    return Outcome(done, tuple(found))


def _checked(folder: Path, left: dict[str, bytes], history: bytes, known: set[str]) -> list[Finding]:
    """Start the machine again: open the store, check it, and rank one more."""
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
        found = findings(store, calls, ASKED, known)
        with reading(store) as connection:
            prompts = len(connection.execute(select(schema.items)).all())
        if calls and prompts < PROMPTS:
            found.append(Finding(DAMAGED, f"{prompts} prompts are left"))
        if calls and not found:
            more = History(folder / HISTORY, calls[-1].by)
            writer = Writer(store, calls[-1].by, more, outlasts_server=False)
            writer.resolve()
            for _ in range(2):
                writer.step()
            found = findings(store, more.calls, ASKED, known)
    except DBAPIError as error:
        found = [Finding(DAMAGED, str(error.orig))]
    finally:
        store.dispose()
    return found

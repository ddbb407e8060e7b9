"""Nothing is lost when writers, the server or the power are killed at random moments, and the checker finds losses.

These runs are small. For large ones: python -m tests.whole.nothing_lost kills | server | power.
"""

import subprocess
import sys

import pytest

from tests.support.paths import ROOT
from tests.whole.nothing_lost.history import History, calls_in
from tests.whole.nothing_lost.power import Disk
from tests.whole.nothing_lost.recording import Operation


def run(*arguments):
    """Run the command; return {kind of finding: count} of findings, and its output."""
    command = [sys.executable, "-m", "tests.whole.nothing_lost", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    lines = [line for line in done.stdout.splitlines() if line.startswith("Found: ")]
    assert lines, done.stderr
    counts = dict(reversed(part.split(" ", 1)) for part in lines[0].removeprefix("Found: ").split(", "))
    assert done.returncode == any(number != "0" for number in counts.values()), done.stderr
    return {kind: int(number) for kind, number in counts.items() if number != "0"}, done.stdout + done.stderr


def test_nothing_is_lost_when_writers_are_killed(address):
    """Writers are killed one after the other. Each restarts at once and repeats the call that was not answered."""
    findings, output = run("kills", "--rounds", 4, "--store", address)
    assert findings == {}, output
    assert " 0 amid a call" not in output


@pytest.mark.parametrize(("mutant", "kind"), [("early", "lost"), ("no-place", "over N")])
def test_the_checker_catches_a_fault_that_is_planted_into_the_writers(mutant, kind):
    """early: acknowledges before the commit. no-place: leases without checking that a place is free."""
    findings, output = run("kills", "--rounds", 3, "--mutant", mutant)
    assert set(findings) == {kind}, output


def test_nothing_is_lost_when_the_server_is_killed():
    findings, output = run("server", "--rounds", 1)
    assert findings == {}, output


def test_nothing_is_lost_when_the_power_is_cut():
    findings, output = run("power", "--rounds", 8, "--steps", 20)
    assert findings == {}, output


def test_power_cuts_are_seen_to_lose_what_was_not_synced():
    findings, output = run("power", "--rounds", 4, "--steps", 10, "--synchronous", "OFF")
    assert "lost" in findings or "damaged" in findings, output


# Parts of a power cut


class Draws:
    """A generator that draws fixed values."""

    def __init__(self, kept):
        self.kept = kept

    def random(self):
        return 0.5

    def randint(self, low, high):
        return high if self.kept else low

    def choice(self, values):
        return values[-1] if self.kept else values[0]


def test_a_cut_leaves_what_was_synced_and_may_take_all_else():
    """Syncing the folder makes a file's name safe; syncing the file makes its content safe."""
    disk = Disk({"old": b"old"})
    for operation in (
        Operation("make", "new"),
        Operation("write", "new", 0, b"safe"),
        Operation("sync", "new"),
        Operation("write", "new", 2, b"XX not safe"),
        Operation("truncate", "old", 1),
        Operation("remove", "old"),
    ):
        disk.do(operation)
    assert disk.cut(Draws(kept=False)) == {"old": b"old"}
    assert disk.cut(Draws(kept=True)) == {"new": b"saXX not safe"}
    disk.do(Operation("sync", ""))
    assert disk.cut(Draws(kept=False)) == {"new": b"safe"}
    disk.do(Operation("sync", "new"))
    assert disk.cut(Draws(kept=False)) == {"new": b"saXX not safe"}


def test_a_history_is_read_again_with_what_is_in_doubt(tmp_path):
    path = tmp_path / "ann.history"
    history = History(path, "ann")
    history.asks("leave", {})
    history.was_told(0)
    history.asks("retract", {"submission": "s"})
    assert [call.is_in_doubt for call in History(path, "ann").calls] == [False, True]
    assert [call.what for call in calls_in(path.read_bytes()[:-1])] == ["leave"]

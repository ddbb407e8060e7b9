"""The gate admits first come, first served, within a process and between processes."""

import subprocess
import sys
import threading

import pytest

from label_data.database.turns import Gate
from tests.support.paths import ROOT


def waiting_in_order(gate, number):
    """Return threads that came to the gate one after another, and the list that they enter themselves into inside."""
    entered, threads = [], []

    def enter(name):
        with gate.turn():
            entered.append(name)

    for name in range(number):
        threads.append(threading.Thread(target=enter, args=(name,)))
        threads[-1].start()
        while len(gate._waiting) <= name:
            pass
    return threads, entered


def test_the_gate_admits_in_order_of_arrival():
    gate = Gate(1)
    with gate.turn():
        threads, entered = waiting_in_order(gate, 6)
        assert entered == []
    for thread in threads:
        thread.join()
    assert entered == [0, 1, 2, 3, 4, 5]


def test_a_holder_that_returns_waits_behind_the_others():
    gate = Gate(1)
    with gate.turn():
        threads, entered = waiting_in_order(gate, 3)
    with gate.turn():
        entered.append("again")
    for thread in threads:
        thread.join()
    assert entered == [0, 1, 2, "again"]


def test_as_many_holders_enter_as_there_are_places():
    gate = Gate(2)
    with gate.turn(), gate.turn():
        threads, entered = waiting_in_order(gate, 1)
        assert entered == []
    threads[0].join()
    assert entered == [0]


def test_a_place_is_free_again_when_an_error_leaves_it(tmp_path):
    gate = Gate(1, tmp_path / "queue", tmp_path / "lock")
    for _ in range(2):
        with pytest.raises(KeyError), gate.turn():
            raise KeyError


def test_two_gates_of_the_same_files_let_one_in_at_a_time(tmp_path):
    """Eight threads over two gates add 1 to a number 50 times each, by reading it and writing it back."""
    gates = [Gate(1, tmp_path / "queue", tmp_path / "lock") for _ in range(2)]
    number = tmp_path / "number"
    number.write_text("0")

    def count(gate):
        for _ in range(50):
            with gate.turn():
                number.write_text(str(int(number.read_text()) + 1))

    threads = [threading.Thread(target=count, args=(gates[one % 2],)) for one in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert number.read_text() == "400"


HOLD = """
import sys
from pathlib import Path
from label_data.database.turns import Gate
with Gate(1, Path(sys.argv[1], "queue"), Path(sys.argv[1], "lock")).turn():
    print("inside", flush=True)
    sys.stdin.read()
"""


def test_a_process_that_is_killed_inside_frees_its_place_and_before_keeps_others_out(tmp_path):
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, tmp_path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    assert holder.stdout.readline() == "inside\n"
    gate, entered = Gate(1, tmp_path / "queue", tmp_path / "lock"), threading.Event()

    def enter():
        with gate.turn():
            entered.set()

    waiter = threading.Thread(target=enter)
    waiter.start()
    assert not entered.wait(0.1)
    holder.kill()
    waiter.join(30)
    assert entered.is_set()
    holder.communicate()

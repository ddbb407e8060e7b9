"""Writers killed with SIGKILL at random moments and started again, on one store; then the checker looks at it all."""

import os
import random
import signal
import time
import traceback
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from label_data.database.engine import Store, open_store
from label_data.records import Completion, Group, user_prompt
from label_data.settings import Order, ProjectSettings
from label_data.store.adding import add_groups
from label_data.store.annotators import find_or_add_annotator
from label_data.store.projects import save_settings
from tests.support.postgres_server import die_with_parent
from tests.whole.nothing_lost.checker import Finding, findings, places_taken_twice
from tests.whole.nothing_lost.history import Call, History, calls_in, histories_in
from tests.whole.nothing_lost.mutants import MUTANTS
from tests.whole.nothing_lost.writer import SHOWN, STOP, live

ASKED = 3
"""Annotators that the project asks for each prompt."""
WRITERS = ("Ann", "Bob", "Cyn", "Dan", "Eve", "Ann")
"""Annotator of each writer: one has two tabs open."""
PROMPTS = 60
"""So few that writers meet at the same ones, and come to the end of them."""
ORDERS: tuple[Order, ...] = ("added", "random", "fewest")
MOST_CALLS = 20
"""Calls after which a writer is killed at the latest."""
ENDED, STUCK = "ended by itself", "stuck"
LONGEST_TRACEBACK = 1_500
"""Characters of the end of what a writer said when it ended by itself."""
LONGEST_CALL = 120
"""Seconds after which a writer that was asked to end is stuck."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was done to a store, and what the checker found in it."""

    done: Counter[str]
    findings: tuple[Finding, ...]

    def __add__(self, other: "Outcome") -> "Outcome":
        return Outcome(self.done + other.done, self.findings + other.findings)


@contextmanager
def opened(address: str) -> Iterator[Store]:
    """Open the store for the block alone: a process that forks must hold no connection."""
    store = open_store(address)
    try:
        yield store
    finally:
        store.dispose()


def prepare(store: Store, prompts: int, order: Order = "added") -> list[str]:
    """Put so many prompts to be ranked into a store, some to be ranked again; return who is to rank them."""
    settings = ProjectSettings(annotators_per_prompt=ASKED, order_of_work=order, repeat_share=0.1, repeat_gap=3)
    save_settings(store, settings)
    asked = [user_prompt(f"Question {number}?") for number in range(prompts)]
    add_groups(store, (Group(one, tuple(Completion(one.id, text) for text in "abcdefghi"[:SHOWN])) for one in asked))
    return [find_or_add_annotator(store, name).id for name in WRITERS]


class Crew:
    """Writers on a new store, in processes forked from this one, which has no connection to it meanwhile."""

    def __init__(
        self,
        address: str,
        folder: Path,
        prompts: int,
        order: Order = "added",
        mutant: str = "",
        outlasts_server: bool = False,
    ) -> None:
        with opened(address) as store:
            self._annotators = prepare(store, prompts, order)
        self._address, self._folder = address, folder
        self._mutant, self._outlasts_server = mutant, outlasts_server
        self._running: dict[int, int] = {}
        self._before: dict[int, int] = {}
        self.ended: list[Finding] = []
        """Writers that nobody killed."""
        self.slots = range(len(WRITERS))
        for slot in self.slots:
            self.start(slot)

    def start(self, slot: int) -> None:
        """Let the writer live, for the first time or again."""
        self._before[slot] = len(self._calls(slot))
        process = os.fork()
        if not process:
            die_with_parent(signal.SIGKILL)
            try:
                history = History(self._file(slot), self._annotators[slot])
                if self._mutant:
                    MUTANTS[self._mutant](history)
                live(self._address, self._annotators[slot], history, self._outlasts_server)
                os._exit(0)
            except BaseException:
                self._file(slot).with_suffix(".error").write_text(traceback.format_exc())
                os._exit(1)
        self._running[slot] = process

    def is_alive(self, slot: int) -> bool:
        """Does the writer still run? One that ended by itself is noted."""
        if slot in self._running and os.waitpid(self._running[slot], os.WNOHANG)[0]:
            del self._running[slot]
            self._note_end(slot)
        return slot in self._running

    def calls_of_this_life(self, slot: int) -> int:
        """Return how much the writer has asked since it started."""
        return len(self._calls(slot)) - self._before[slot]

    def kill(self, slot: int) -> bool:
        """Kill the writer, whatever it is at; return whether it was amid a call."""
        if self.is_alive(slot):
            process = self._running.pop(slot)
            os.kill(process, signal.SIGKILL)
            os.waitpid(process, 0)
        return self._is_in_doubt(slot)

    def in_doubt(self) -> int:
        """Return how many writers wait for an answer."""
        return sum(map(self._is_in_doubt, self.slots))

    def end(self) -> None:
        """Let every writer settle what it is in doubt about, and end."""
        (self._folder / STOP).touch()
        latest = time.monotonic() + LONGEST_CALL
        while self._running:
            for slot, process in list(self._running.items()):
                ended, status = os.waitpid(process, os.WNOHANG)
                if not ended and time.monotonic() > latest:
                    self.ended.append(Finding(STUCK, f"writer {slot} did not end"))
                    self.kill(slot)
                elif ended:
                    if status:
                        self._note_end(slot)
                    del self._running[slot]
            time.sleep(0.01)

    def _note_end(self, slot: int) -> None:
        error = self._file(slot).with_suffix(".error")
        said = error.read_text() if error.exists() else f"writer {slot}"
        self.ended.append(Finding(ENDED, said[-LONGEST_TRACEBACK:]))

    def _file(self, slot: int) -> Path:
        return self._folder / f"{slot}.history"

    def _is_in_doubt(self, slot: int) -> bool:
        calls = self._calls(slot)
        return bool(calls) and calls[-1].is_in_doubt

    def _calls(self, slot: int) -> list[Call]:
        file = self._file(slot)
        return calls_in(file.read_bytes()) if file.exists() else []


def kill_writers(
    address: str, folder: Path, kills: int, seed: int, order: Order = "added", mutant: str = ""
) -> Outcome:
    """Kill so many writers on a new store, one after the other, each started again at once, and check what is there.

    `folder`: for the histories, empty. `mutant`: one of `mutants.MUTANTS`, planted into every writer.
    """
    chance = random.Random(seed)
    crew = Crew(address, folder, PROMPTS, order, mutant)
    amid, over = 0, []
    for _ in range(kills):
        slot, enough = chance.choice(crew.slots), chance.randint(1, MOST_CALLS)
        latest = time.monotonic() + LONGEST_CALL
        with opened(address) as store:
            while crew.is_alive(slot) and crew.calls_of_this_life(slot) < enough and time.monotonic() < latest:
                over += places_taken_twice(store, ASKED)
                time.sleep(0.01)
        time.sleep(chance.uniform(0, 0.02))
        if time.monotonic() > latest:
            crew.ended.append(Finding(STUCK, f"writer {slot} asked for nothing more"))
        amid += crew.kill(slot)
        crew.start(slot)
    crew.end()
    found = checked(address, folder, crew, Counter({"kills of writers": kills, "amid a call": amid}))
    return found + Outcome(Counter(), tuple(over))


def checked(address: str, folder: Path, crew: Crew, done: Counter[str]) -> Outcome:
    """Check the store beside the crew's histories, and say what was done to it."""
    calls = histories_in(folder)
    with opened(address) as store:
        found = findings(store, calls, ASKED)
    return Outcome(done + Counter(acknowledged(calls)), (*crew.ended, *found))


def acknowledged(calls: Sequence[Call]) -> Counter[str]:
    """Return how many rankings were acknowledged as new and how many as repeats, and how many withdrawals."""
    answers = Counter(answer for call in calls if call.what == "submit" for answer in call.answers)
    withdrawn = sum(call.what == "retract" and call.answers == [True] for call in calls)
    return Counter(
        {
            "rankings acknowledged": answers["saved"],
            "sent again": answers["repeat"] + answers["ranked already"],
            "withdrawn": withdrawn,
        }
    )

"""Kill writers on one store with SIGKILL at random moments, restart them, and run the checker."""

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

WANTED = 3
"""Annotators that the project wants per prompt."""
WRITERS = ("Ann", "Bob", "Cyn", "Dan", "Eve", "Ann")
"""Annotator of each writer; Ann has two tabs open."""
PROMPTS = 60
"""So few that writers compete for them and run out of them."""
ORDERS: tuple[Order, ...] = ("added", "random", "fewest")
MOST_CALLS = 20
"""Most calls of a writer before it is killed."""
ENDED, STUCK = "ended by itself", "stuck"
LONGEST_TRACEBACK = 1_500
"""Characters kept of the end of a writer's traceback."""
LONGEST_CALL = 120
"""Seconds after which a writer that was told to end counts as stuck."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was done to a store, and the findings of the checker."""

    done: Counter[str]
    findings: tuple[Finding, ...]

    def __add__(self, other: "Outcome") -> "Outcome":
        return Outcome(self.done + other.done, self.findings + other.findings)


@contextmanager
def opened(address: str) -> Iterator[Store]:
    """Open the store only for the block: a process that forks must hold no connection."""
    store = open_store(address)
    try:
        yield store
    finally:
        store.dispose()


def prepare(store: Store, prompts: int, order: Order = "added") -> list[str]:
    """Add prompts to rank to a store, with hidden repeats on; return the ids of the annotators."""
    settings = ProjectSettings(annotators_per_prompt=WANTED, order_of_work=order, repeat_share=0.1, repeat_gap=3)
    save_settings(store, settings)
    texts = "abcdefghi"[:SHOWN]
    records = [user_prompt(f"Question {number}?") for number in range(prompts)]
    add_groups(store, (Group(prompt, tuple(Completion(prompt.id, text) for text in texts)) for prompt in records))
    return [find_or_add_annotator(store, name).id for name in WRITERS]


class Crew:
    """Writers on a new store, in forks of this process, which holds no connection to the store meanwhile."""

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
        """Writers that ended without being killed."""
        self.slots = range(len(WRITERS))
        for slot in self.slots:
            self.start(slot)

    def start(self, slot: int) -> None:
        """Start or restart the writer."""
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
        """Say whether the writer still runs; note a writer that ended by itself."""
        if slot in self._running and os.waitpid(self._running[slot], os.WNOHANG)[0]:
            del self._running[slot]
            self._note_end(slot)
        return slot in self._running

    def calls_of_this_life(self, slot: int) -> int:
        """Return the number of calls since the writer started."""
        return len(self._calls(slot)) - self._before[slot]

    def kill(self, slot: int) -> bool:
        """Kill the writer; return whether it was in the middle of a call."""
        if self.is_alive(slot):
            process = self._running.pop(slot)
            os.kill(process, signal.SIGKILL)
            os.waitpid(process, 0)
        return self._is_in_doubt(slot)

    def in_doubt(self) -> int:
        """Return the number of writers that wait for an answer."""
        return sum(map(self._is_in_doubt, self.slots))

    def end(self) -> None:
        """Let every writer settle its unanswered call and end."""
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
        message = error.read_text() if error.exists() else f"writer {slot}"
        self.ended.append(Finding(ENDED, message[-LONGEST_TRACEBACK:]))

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
    """Kill `kills` writers on a new store, one after the other, restarting each at once, and check the store.

    `folder`: empty, for the histories. `mutant`: name of a fault in `mutants.MUTANTS`, planted into every writer.
    """
    rng = random.Random(seed)
    crew = Crew(address, folder, PROMPTS, order, mutant)
    amid, over = 0, []
    for _ in range(kills):
        slot, enough = rng.choice(crew.slots), rng.randint(1, MOST_CALLS)
        latest = time.monotonic() + LONGEST_CALL
        with opened(address) as store:
            while crew.is_alive(slot) and crew.calls_of_this_life(slot) < enough and time.monotonic() < latest:
                over += places_taken_twice(store, WANTED)
                time.sleep(0.01)
        time.sleep(rng.uniform(0, 0.02))
        if time.monotonic() > latest:
            crew.ended.append(Finding(STUCK, f"writer {slot} asked for nothing more"))
        amid += crew.kill(slot)
        crew.start(slot)
    crew.end()
    outcome = checked(address, folder, crew, Counter({"kills of writers": kills, "amid a call": amid}))
    return outcome + Outcome(Counter(), tuple(over))


def checked(address: str, folder: Path, crew: Crew, done: Counter[str]) -> Outcome:
    """Check the store against the crew's histories; return the findings with what was done."""
    calls = histories_in(folder)
    with opened(address) as store:
        result = findings(store, calls, WANTED)
    return Outcome(done + Counter(acknowledged(calls)), (*crew.ended, *result))


def acknowledged(calls: Sequence[Call]) -> Counter[str]:
    """Return the numbers of rankings acknowledged as new and as repeats, and of withdrawals."""
    answers = Counter(answer for call in calls if call.what == "submit" for answer in call.answers)
    withdrawn = sum(call.what == "retract" and call.answers == [True] for call in calls)
    return Counter(
        {
            "rankings acknowledged": answers["saved"],
            "sent again": answers["repeat"] + answers["ranked already"],
            "withdrawn": withdrawn,
        }
    )

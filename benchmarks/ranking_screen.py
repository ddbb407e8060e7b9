"""How fast the ranking screen answers, alone and beside 40 annotators, and how fast Streamlit's own buttons would.

    python -m benchmarks.ranking_screen [--tasks 60] [--prompts 10000] [--annotators 40] [--json FILE] [--filled FOLDER]

A store of 10,000 prompts with four completions each, copied into a temporary folder for each run; the packaged app as
`python -m workbench` serves it, without the worker; a real Chromium whose keys Playwright presses.
`benchmarks/support/plain_ranking_page.py` goes through the same. Needs what the tests need.

- key to paint: from the key event's time stamp, which the browser sets before the page sees it, to the end of the
  frame that shows its effect (the first animation frame after the change, and a message queued in it: layout and paint
  of the page are done then, what the screen's own refresh adds is not counted). Beside it, what Chromium's Event
  Timing says up to the presented frame, which it rounds to 8 ms.
- submit to next: the same from Enter to the next prompt, if the first key pressed then places a completion; else to
  the first key that does.
- submit to saved: the same to the word that says so.
- bytes: of the websocket's messages as the browser gets and sends them, the mean of a run.

- server: processor time of its process for each ranking stored, whoever sent it; little of the machine's load is in it.

The annotators beside it are websocket sessions in a process of their own; every submission that was acknowledged to
them is looked up in the store. Intervals: 95 %, of 2,000 bootstrap resamples of the values.
"""

import argparse
import base64
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import psutil
from playwright.sync_api import Browser, CDPSession, Page, expect
from rich.console import Console
from rich.table import Table

from benchmarks.support.invented_prompts import invented_groups
from label_data.data_folder import default_store
from label_data.database.engine import open_store
from label_data.oversight.progress import store_counts
from label_data.store.adding import add_groups
from label_data.store.annotators import find_or_add_annotator
from label_data.store.stored_groups import groups
from tests.support.browser import chromium, free_port, served

ROOT = Path(__file__).parent.parent
COMPLETIONS = 4
EVERY = 5.0
"""Seconds between two submissions of a simulated annotator."""
WARM_UP = 5
"""Tasks that are ranked first and not counted."""
PAUSE = (0.04, 0.16)
"""Seconds between an effect that was seen and the next key."""
PLAIN_SERVER = """
import sys
import streamlit as st
from starlette.middleware import Middleware
from workbench.web.server import LOCAL, SETTINGS, SecurityHeaders
script, port = sys.argv[1:]
app = st.App(script, middleware=[Middleware(SecurityHeaders)])
app.run(config=SETTINGS | {"server.port": int(port), "server.address": LOCAL})
"""
READ = {
    "screen": """() => {
        const hosts = [...document.querySelectorAll("[data-testid=stBidiComponentIsolated]")];
        const root = hosts.map((host) => host.shadowRoot.querySelector(".ranker")).find(Boolean);
        const text = (selector) => root?.querySelector(selector)?.textContent ?? "";
        const placed = root?.querySelectorAll(".tray .chip").length;
        return { prompt: text(".prompt .text"), placed, saved: text(".saving") };
    }""",
    "plain": """() => {
        const text = (key) => document.querySelector(`.st-key-${key}`)?.textContent ?? "";
        return { prompt: text("prompt"), placed: (text("order").match(/\\d/g) ?? []).length, saved: text("saved") };
    }""",
}
"""What of a page tells how far the ranking is."""
PROBE = """(read) => {
    const log = [];
    const waiting = new Set();
    const note = (entry) => { log.push(entry); for (const look of waiting) look(); };
    let last = { saves: 0 };
    const look = () => {
        const now = read();
        const isSaved = now.saved !== last.saved && now.saved.startsWith("Saved");
        const state = { ...now, saves: last.saves + (isSaved ? 1 : 0) };
        if (JSON.stringify(state) === JSON.stringify(last)) return;
        last = state;
        requestAnimationFrame(() => {
            const frame = new MessageChannel();
            frame.port1.onmessage = () => note({ ...state, drawn: performance.now() });
            frame.port2.postMessage(null);
        });
    };
    const watch = { subtree: true, childList: true, characterData: true, attributes: true };
    const watcher = new MutationObserver(look);
    watcher.observe(document.body, watch);
    const hosts = document.querySelectorAll("[data-testid=stBidiComponentIsolated]");
    for (const host of hosts) watcher.observe(host.shadowRoot, watch);
    document.addEventListener("keydown", (event) => note({ key: event.key, at: event.timeStamp }), { capture: true });
    const presented = [];
    new PerformanceObserver((list) => presented.push(...list.getEntries().filter((entry) => entry.name === "keydown")
        .map((entry) => [entry.startTime, entry.duration]))).observe({ type: "event", durationThreshold: 16 });
    window.probe = {
        log, presented,
        until: (from, isDone, patience) => new Promise((resolve) => {
            const done = () => {
                const found = log.findIndex((entry, index) => index >= from && isDone(entry));
                if (found >= 0) { waiting.delete(done); resolve(found); }
            };
            waiting.add(done);
            setTimeout(() => { waiting.delete(done); resolve(-1); }, patience);
            done();
        }),
    };
    look();
}"""
PATIENCE = 60_000
"""Milliseconds until a page that does not change is a failure."""
IGNORED = 1_500
"""Milliseconds until a key without effect is taken to be lost, and pressed again."""


@dataclass
class Measured:
    """What one page did in one state of the server: milliseconds and bytes, one value a key or a task."""

    page: str
    annotators: int
    key_to_paint: list[float] = field(default_factory=list)
    key_to_presented: list[float] = field(default_factory=list)
    submit_to_next: list[float] = field(default_factory=list)
    submit_to_saved: list[float] = field(default_factory=list)
    received: list[float] = field(default_factory=list)
    sent: list[float] = field(default_factory=list)
    their_submit_to_next: list[float] = field(default_factory=list)
    """Of the simulated annotators."""
    lost_keys: int = 0
    rankings: int = 0
    """Of everybody, warm-up included, that the server stored meanwhile."""
    server_seconds: float = 0.0
    """Of processor time, that its process used for them."""
    load: list[float] = field(default_factory=list)
    """Load average over a minute, before and after."""
    problems: list[str] = field(default_factory=list)


class Traffic:
    """Bytes of the page's websocket messages."""

    def __init__(self, session: CDPSession) -> None:
        self.received = self.sent = 0
        session.send("Network.enable")
        session.on("Network.webSocketFrameReceived", lambda frame: self.count("received", frame["response"]))
        session.on("Network.webSocketFrameSent", lambda frame: self.count("sent", frame["response"]))

    def count(self, way: str, frame: dict[str, Any]) -> None:
        data = frame["payloadData"]
        size = len(base64.b64decode(data)) if frame["opcode"] == 2 else len(data.encode())
        setattr(self, way, getattr(self, way) + size)


class Ranker:
    """Ranks one task after the other on a page, with real keys, and notes how long each took."""

    def __init__(self, page: Page, kind: str, measured: Measured) -> None:
        self.page, self.measured, self.random = page, measured, Random(1)
        self.traffic = Traffic(page.context.new_cdp_session(page))
        self.page.evaluate(f"({PROBE})({READ[kind]})")
        assert self.until(0, "entry.prompt") >= 0, "No prompt is shown."
        self.prompt = self.page.evaluate("probe.log.find((entry) => entry.prompt).prompt")
        self.submitted: tuple[int, float, int] | None = None
        """Of the task before: where its Enter stands in the log, when it was pressed, how many were saved by then."""
        self.shown = 0.0
        """When the prompt at hand was seen."""
        self.key_times: list[float] = []

    def until(self, start: int, condition: str, patience: int = PATIENCE) -> int:
        """Return the number of the first entry of the probe's log, from `start` on, that fits; -1 if none came."""
        return self.page.evaluate(f"probe.until({start}, (entry) => {condition}, {patience})")

    def entry(self, number: int) -> dict[str, Any]:
        return self.page.evaluate(f"probe.log[{number}]")

    def press(self, key: str, effect: str, patience: int = PATIENCE) -> tuple[int, float, float | None]:
        """Press the key; return its number in the log, its time, and when its effect was drawn (None: never)."""
        start = self.page.evaluate("probe.log.length")
        self.page.keyboard.press(key)
        pressed = self.until(start, f"entry.key === {json.dumps(key)}")
        seen = self.until(pressed, effect, patience)
        return pressed, self.entry(pressed)["at"], self.entry(seen)["drawn"] if seen >= 0 else None

    def pause(self) -> None:
        self.page.wait_for_timeout(1_000 * self.random.uniform(*PAUSE))

    def rank(self) -> None:
        """Place all, the first at once, wait until the ranking before is saved, and submit."""
        for placed, place in enumerate(self.random.sample(range(COMPLETIONS), COMPLETIONS - 1)):
            if placed:
                self.pause()
            tries, drawn = 0, None
            while drawn is None:
                assert tries < 10, f"The key {place + 1} does nothing."
                _, moment, drawn = self.press(str(place + 1), f"entry.placed > {placed}", IGNORED)
                tries += 1
            self.measured.lost_keys += tries - 1
            self.measured.key_to_paint.append(drawn - moment)
            self.key_times.append(moment)
            if not placed and self.submitted:
                self.measured.submit_to_next.append((self.shown if tries == 1 else moment) - self.submitted[1])
        self.pause()
        self.await_saved()
        saves = self.page.evaluate("probe.log.findLast((entry) => 'saves' in entry).saves")
        number, moment, drawn = self.press("Enter", f"entry.prompt && entry.prompt !== {json.dumps(self.prompt)}")
        assert drawn is not None, "After Enter no other prompt came."
        self.submitted, self.shown = (number, moment, saves), drawn
        self.prompt = self.page.evaluate("probe.log.findLast((entry) => entry.prompt).prompt")

    def await_saved(self) -> None:
        """Wait until the ranking before is said to be stored."""
        if self.submitted is None:
            return
        number, pressed, saves = self.submitted
        saved = self.until(number, f"entry.saves > {saves}")
        assert saved >= 0, "The page never said that the ranking is saved."
        self.measured.submit_to_saved.append(self.entry(saved)["drawn"] - pressed)

    def rank_all(self, tasks: int) -> None:
        """Rank so many tasks after some to warm up, of which nothing is kept."""
        for _ in range(WARM_UP):
            self.rank()
        measured = self.measured
        for values in (measured.key_to_paint, measured.submit_to_next, measured.submit_to_saved, self.key_times):
            values.clear()
        measured.lost_keys = 0
        for _ in range(tasks):
            before = self.traffic.received, self.traffic.sent
            self.rank()
            measured.received.append(self.traffic.received - before[0])
            measured.sent.append(self.traffic.sent - before[1])
        presented = dict(self.page.evaluate("probe.presented"))
        if measured.page == "screen":  # on the plain page the next frame does not show the effect yet
            measured.key_to_presented = [presented.get(moment, 8.0) for moment in self.key_times]


@contextmanager
def others(address: str, kind: str, ids: list[str], measured: Measured) -> Iterator[None]:
    """Have these annotators rank meanwhile; at the end, look up in the store what was acknowledged to them."""
    if not ids:
        yield
        return
    command = [sys.executable, "-m", "benchmarks.support.simulated_annotators", address, kind, str(EVERY), *ids]
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline() == "ready\n", "The annotators could not begin."
    yield
    report = json.loads(process.communicate()[0])
    measured.their_submit_to_next = [1_000 * seconds for seconds in report["seconds"]]
    measured.problems += report["errors"]
    store = open_store(default_store())
    stored = [ranking for group in groups(store, ranked_only=True) for ranking in group.rankings]
    store.dispose()
    for annotator, acknowledged in report["acknowledged"].items():
        own = {ranking.submission for ranking in stored if ranking.annotator == annotator}
        kept = len(own & set(acknowledged)) if kind == "screen" else len(own)
        if kept != len(acknowledged):
            measured.problems.append(f"{len(acknowledged)} acknowledged, {kept} stored")


def measure(browser: Browser, kind: str, folder: Path, tasks: int, annotators: int) -> Measured:
    """Serve the page over a store of its own, rank so many tasks beside so many others, and return what it took."""
    measured = Measured(kind, annotators)
    os.environ["WORKBENCH_DATA"] = str(folder)
    store, port = open_store(default_store()), free_port()
    me, *ids = (find_or_add_annotator(store, f"{kind} {annotators} {number}").id for number in range(annotators + 1))
    store.dispose()
    command = {
        "screen": [sys.executable, "-m", "workbench", "app", "--port", str(port)],
        "plain": [
            sys.executable,
            "-c",
            PLAIN_SERVER,
            str(ROOT / "benchmarks" / "support" / "plain_ranking_page.py"),
            str(port),
        ],
    }[kind]
    environment = {"WORKBENCH_DATA": str(folder), "PYTHONPATH": str(ROOT)}
    with served(command, environment, port, folder / "log") as address:
        server = next(child for child in psutil.Process().children() if str(port) in child.cmdline())
        context = browser.new_context(viewport={"width": 1440, "height": 900})
        context.add_cookies([{"name": "annotator", "value": me, "url": address}])
        page = context.new_page()
        with others(address, kind, ids, measured):
            page.goto(address)
            expect(page.locator(".ranker .prompt, .st-key-prompt").first).to_be_visible()
            ranker = Ranker(page, kind, measured)
            measured.load.append(os.getloadavg()[0])
            began, stored = sum(server.cpu_times()[:2]), rankings_stored()
            try:
                ranker.rank_all(tasks)
            except AssertionError as error:  # the other runs are worth seeing all the same
                measured.problems.append(str(error))
            measured.server_seconds = sum(server.cpu_times()[:2]) - began
            measured.rankings = rankings_stored() - stored
            measured.load.append(os.getloadavg()[0])
        context.close()
    if measured.problems:
        measured.problems.append(f"The server's log ends: {(folder / 'log').read_text()[-2_000:]}")
    return measured


def rankings_stored() -> int:
    """Return how many rankings the store of this run holds."""
    store = open_store(default_store())
    count = store_counts(store).rankings
    store.dispose()
    return count


def interval(values: list[float], share: float) -> tuple[float, float, float]:
    """Return the percentile of the values, and the ends of its 95 % interval by the bootstrap."""
    if not values:
        return (float("nan"),) * 3
    drawn = np.random.default_rng(0).choice(values, (2_000, len(values)))
    low, high = np.percentile(np.percentile(drawn, 100 * share, axis=1), [2.5, 97.5])
    return float(np.percentile(values, 100 * share)), float(low), float(high)


AIMS = {("key_to_paint", 0.95, 0): 33, ("submit_to_next", 0.5, 0): 50, ("submit_to_next", 0.95, 0): 120}
AIMS |= {("submit_to_next", 0.95, 40): 250}
"""Milliseconds, of the screen: what, percentile, annotators beside it."""
ROWS = {
    "key_to_paint": "key to paint",
    "key_to_presented": "key to presented frame (steps of 8)",
    "submit_to_next": "submit to next, usable",
    "submit_to_saved": "submit to saved",
    "their_submit_to_next": "the others' submit to next",
}


def table_of(runs: list[Measured]) -> Table:
    """Return the runs side by side; the last column is how often as long the plain page takes."""
    table = Table("milliseconds", "beside", "", "screen (95 %)", "n", "plain (95 %)", "n", "plain / screen", "aim")
    for annotators in sorted({run.annotators for run in runs}):
        pair = {run.page: run for run in runs if run.annotators == annotators}
        for name, words in ROWS.items():
            for share, statistic in ((0.5, "median"), (0.95, "p95")):
                cells, points = [], []
                for page in ("screen", "plain"):
                    values = getattr(pair[page], name) if page in pair else []
                    point, low, high = interval(values, share)
                    points.append(point)
                    cells += [f"{point:.1f} ({low:.1f} to {high:.1f})" if values else "", str(len(values) or "")]
                if cells[1] or cells[3]:
                    ratio = f"{points[1] / points[0]:.1f}" if cells[1] and cells[3] else ""
                    aim = AIMS.get((name, share, annotators))
                    verdict = "" if aim is None else f"{aim}: {'met' if points[0] <= aim else 'missed'}"
                    table.add_row(words, str(annotators), statistic, *cells, ratio, verdict)
    return table


def other_table_of(runs: list[Measured]) -> Table:
    """Return bytes, lost keys, processor and load of each run."""
    names = ("page", "beside", "bytes received a task", "sent", "keys without effect", "server: ms a ranking", "load")
    table = Table(*names)
    for run in runs:
        load = " to ".join(f"{load:.1f}" for load in run.load)
        cost = f"{1_000 * run.server_seconds / max(1, run.rankings):.1f}"
        received, sent = (f"{np.mean(values):,.0f}" if values else "" for values in (run.received, run.sent))
        cells = (run.page, run.annotators, received, sent, run.lost_keys, cost, load)
        table.add_row(*map(str, cells))
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tasks", type=int, default=60, help="counted tasks in each of the four runs")
    parser.add_argument("--prompts", type=int, default=10_000)
    parser.add_argument("--annotators", type=int, default=40, help="beside the browser in the second half")
    parser.add_argument("--pages", nargs="+", choices=READ, default=list(READ))
    parser.add_argument("--filled", type=Path, help="keep the filled store here, for the next time")
    parser.add_argument("--json", type=Path, help="write every single value here")
    chosen = parser.parse_args()
    console, runs = Console(), []
    console.width = max(console.width, 150)  # a table in a file is not squeezed to 80 columns
    with tempfile.TemporaryDirectory() as folder, chromium() as browser:
        first = chosen.filled or Path(folder, "first")
        os.environ["WORKBENCH_DATA"] = str(first)
        with console.status(f"Filling a store with {chosen.prompts:,} prompts"):
            store = open_store(default_store())
            if not store_counts(store).prompts:
                add_groups(store, invented_groups(chosen.prompts, COMPLETIONS))
            store.dispose()
        for annotators in (0, chosen.annotators):
            for page in chosen.pages:
                own = Path(folder, f"{page}-{annotators}")
                shutil.copytree(first, own)
                with console.status(f"The {page} page beside {annotators} annotators"):
                    runs.append(measure(browser, page, own, chosen.tasks, annotators))
                shutil.rmtree(own)
    console.print(table_of(runs), other_table_of(runs))
    console.print(
        f"{os.cpu_count()} cores, {platform.platform()}, {chosen.prompts:,} prompts, {chosen.tasks} tasks a run"
    )
    for run in runs:
        for problem in run.problems:
            console.print(f"Problem of {run.page} beside {run.annotators}: {problem}", style="red", markup=False)
    if chosen.json:
        chosen.json.write_text(json.dumps([asdict(run) for run in runs], indent=1))


if __name__ == "__main__":
    main()

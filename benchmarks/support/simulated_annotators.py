"""Annotators without a browser: websocket sessions that speak Streamlit's protocol, read their task, and rank it.

    python -m benchmarks.support.simulated_annotators ADDRESS screen|plain SECONDS ANNOTATOR...

Each submits every SECONDS, out of phase with the others. Prints "ready" once all have their first task, goes on until
its input ends, and prints what was acknowledged, and how many seconds each took from sending to the next task, as JSON.
"""

import asyncio
import json
import secrets
import sys
import time
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from random import Random
from typing import Any, Self

import websockets
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ClientState_pb2 import ClientState
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

AT_ONCE = 5
"""Sessions that begin together: a page's first load costs more than a submission."""
PATIENCE = 60.0


@dataclass
class Annotator(ABC):
    """One session with the app."""

    address: str
    id: str
    acknowledged: list[str] = field(default_factory=list)
    """Submissions that the server said are stored; for the plain page, which names none, only their number counts."""
    seconds: list[float] = field(default_factory=list)
    socket: Any = None
    page: str = ""
    """Streamlit's name for the page at hand; without it the request counts as a change of page."""
    fragment: str = ""

    async def begin(self) -> Self:
        """Open the page and wait for the first task."""
        self.socket = await websockets.connect(
            f"ws{self.address.removeprefix('http')}/_stcore/stream",
            subprotocols=["streamlit"],
            origin=self.address,
            additional_headers={"Cookie": f"annotator={self.id}"},
            max_size=2**26,
            open_timeout=PATIENCE,
        )
        await self.run(ClientState())
        return self

    async def run(self, request: ClientState) -> float:
        """Have the script run, take in what it sends, and return the seconds until what `is_next` looks for came."""
        message = BackMsg()
        message.rerun_script.CopyFrom(request)
        message.rerun_script.page_script_hash = self.page
        message.rerun_script.fragment_id = self.fragment
        start, came = time.perf_counter(), None
        await self.socket.send(message.SerializeToString())
        while True:
            answer = ForwardMsg()
            answer.ParseFromString(await asyncio.wait_for(self.socket.recv(), PATIENCE))
            kind = answer.WhichOneof("type")
            if kind in ("new_session", "navigation"):  # the second where the app has several pages
                self.page = getattr(answer, kind).page_script_hash
            if kind == "script_finished":
                return (came or time.perf_counter()) - start
            if kind == "delta" and answer.delta.WhichOneof("type") == "new_element":
                element = answer.delta.new_element
                if element.WhichOneof("type") == "exception":
                    raise RuntimeError(element.exception.message)
                if self.take_in(element, answer.delta.fragment_id) and came is None:
                    came = time.perf_counter()

    @abstractmethod
    def take_in(self, element: Any, fragment: str) -> bool:
        """Remember what the next request needs; True if this element is what an annotator waits for."""

    @abstractmethod
    async def submit(self) -> None:
        """Rank the task at hand."""


@dataclass
class ScreenAnnotator(Annotator):
    """Uses the ranking screen: one message for each task."""

    component: str = ""
    data: dict[str, Any] = field(default_factory=dict)

    def take_in(self, element: Any, fragment: str) -> bool:
        if element.WhichOneof("type") != "bidi_component" or not element.bidi_component.json:
            return False
        data = json.loads(element.bidi_component.json)
        if "tasks" not in data:
            return False
        before, self.data = self.data, data
        self.component, self.fragment = element.bidi_component.id, fragment
        return data["saved"] != before.get("saved")

    async def submit(self) -> None:
        task, submission = self.data["tasks"][0], secrets.token_hex(16)
        answer = {
            "token": task["token"],
            "submission": submission,
            "revises": None,
            "outcome": "ranked",
            "order": [[place] for place in range(4)],
            "strength": [],
            "flags": {},
            "ratings": {},
            "spans": [],
            "demonstration": "",
            "edited_from": None,
            "why": 0,
            "reason": "",
            "seconds": 4.5,
            "holds": [task["token"] for task in self.data["tasks"]],
        }
        request = ClientState()
        widget = request.widget_states.widgets.add()
        widget.id = f"$$STREAMLIT_INTERNAL_KEY_{self.component}__events"
        widget.json_trigger_value = json.dumps([{"event": "answer", "value": answer}])
        took = await self.run(request)
        if self.data["saved"] != submission:
            raise RuntimeError(f"A submission was not acknowledged: {self.data['problem']}")
        self.acknowledged.append(submission)
        self.seconds.append(took)


@dataclass
class PlainAnnotator(Annotator):
    """Uses the plain page: one message for each key."""

    buttons: dict[str, str] = field(default_factory=dict)
    """A button's key -> its id."""
    saved: str = ""

    def take_in(self, element: Any, fragment: str) -> bool:
        kind = element.WhichOneof("type")
        if kind == "button":
            self.buttons[element.button.id.split("-", 2)[2]] = element.button.id
            self.fragment = fragment
        before = self.saved
        if kind == "text" and element.text.body.startswith("Saved"):
            self.saved = element.text.body
        return self.saved != before

    async def press(self, key: str) -> float:
        request = ClientState()
        widget = request.widget_states.widgets.add()
        widget.id = self.buttons[key]
        widget.trigger_value = True
        return await self.run(request)

    async def submit(self) -> None:
        before = self.saved
        for number in range(3):
            await self.press(f"place-{number}")
        took = await self.press("submit")
        if self.saved == before:
            raise RuntimeError("A submission was not stored.")
        self.acknowledged.append(self.saved)
        self.seconds.append(took)


async def work(annotator: Annotator, interval: float, first: float, stop: asyncio.Event) -> None:
    """Submit every so many seconds until told to stop."""
    due = time.perf_counter() + first
    while not stop.is_set():
        try:
            await asyncio.wait_for(stop.wait(), max(0.0, due - time.perf_counter()))
        except TimeoutError:
            await annotator.submit()
            due = max(due + interval, time.perf_counter())


async def main(address: str, page: str, interval: float, ids: list[str]) -> None:
    kind = {"screen": ScreenAnnotator, "plain": PlainAnnotator}[page]
    annotators: list[Annotator] = []
    for start in range(0, len(ids), AT_ONCE):
        annotators += await asyncio.gather(*(kind(address, id).begin() for id in ids[start : start + AT_ONCE]))
    print("ready", flush=True)
    stop, random = asyncio.Event(), Random(1)
    running = [
        asyncio.create_task(work(annotator, interval, random.uniform(0, interval), stop)) for annotator in annotators
    ]
    await asyncio.to_thread(sys.stdin.read)
    stop.set()
    ended = await asyncio.gather(*running, return_exceptions=True)
    report = {
        "acknowledged": {annotator.id: annotator.acknowledged for annotator in annotators},
        "seconds": [seconds for annotator in annotators for seconds in annotator.seconds],
        "errors": [repr(error) for error in ended if error is not None],
    }
    print(json.dumps(report), flush=True)
    for annotator in annotators:
        await annotator.socket.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], float(sys.argv[3]), sys.argv[4:]))

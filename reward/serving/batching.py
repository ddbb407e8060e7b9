"""Requests of many connections, scored together: the network is asked once for all that wait."""

import asyncio
import contextlib
from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from reward.model.model import RewardModel
from reward.networks.batches import Input
from reward.serving.counters import ServingMetrics

WAIT_SECONDS = 0.003
"""How long the first of a batch waits for others, while the network has nothing to do."""
TOKENS_TOGETHER = 32_768
"""Tokens of the requests that go to the network together; a larger request goes alone."""


class QueueFull(Exception):
    """As many requests wait as may."""


@dataclass(frozen=True, slots=True)
class Scored:
    """The rewards of one request."""

    rewards: list[float]
    deviations: list[float] | None


@dataclass(slots=True, eq=False)
class _Waiting:
    inputs: Sequence[Input]
    answer: asyncio.Future[Scored]

    @property
    def tokens(self) -> int:
        return sum(len(one.ids) for one in self.inputs)


class Batcher:
    """Takes requests while the network is at work, and gives it all that fit the next time.

    One thread asks the network, so two batches never compete for its cores; everything else runs in the event loop.
    """

    def __init__(self, model: RewardModel, metrics: ServingMetrics, longest_queue: int) -> None:
        self.model = model
        self.metrics = metrics
        self.longest_queue = longest_queue
        self._waiting: deque[_Waiting] = deque()
        self._arrived = asyncio.Event()
        self._thread = ThreadPoolExecutor(1, "network")
        self._worker: asyncio.Task[None] | None = None

    @property
    def queue(self) -> int:
        """How many requests wait for the network."""
        return len(self._waiting)

    def start(self) -> None:
        """Begin; to be called in the event loop."""
        self._worker = asyncio.create_task(self._work())

    async def stop(self) -> None:
        """End, once what the network has begun is done; nobody waits by then."""
        if self._worker is not None:
            self._worker.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._worker
        self._thread.shutdown()

    async def scored(self, inputs: Sequence[Input]) -> Scored:
        """Return the rewards of the inputs; raises QueueFull at once if as many requests wait as may."""
        if self.queue >= self.longest_queue:
            raise QueueFull
        one = _Waiting(inputs, asyncio.get_running_loop().create_future())
        self._waiting.append(one)
        self._arrived.set()
        try:
            return await one.answer
        finally:
            if one in self._waiting:  # whoever asked is gone: nobody needs the answer
                self._waiting.remove(one)

    async def _work(self) -> None:
        idle = True
        while True:
            await self._arrived.wait()
            if idle:
                await asyncio.sleep(WAIT_SECONDS)
            batch = self._taken()
            if batch:
                await self._score(batch)
            idle = not self._waiting
            if idle:
                self._arrived.clear()

    def _taken(self) -> list[_Waiting]:
        """Take the requests that go together off the queue, first come first."""
        batch: list[_Waiting] = []
        tokens = 0
        while self._waiting and (not batch or tokens + self._waiting[0].tokens <= TOKENS_TOGETHER):
            one = self._waiting.popleft()
            tokens += one.tokens
            batch.append(one)
        return batch

    async def _score(self, batch: Sequence[_Waiting]) -> None:
        inputs = [one for waiting in batch for one in waiting.inputs]
        try:
            rewards, deviations = await asyncio.get_running_loop().run_in_executor(
                self._thread, self.model.rewards_with_deviations, inputs
            )
        except Exception as error:  # whoever waits must hear of it, and the next batch may do better
            for waiting in batch:
                if not waiting.answer.done():
                    waiting.answer.set_exception(error)
            return
        self.metrics.batches += 1
        self.metrics.completions += len(inputs)
        self.metrics.tokens += sum(len(one.ids) for one in inputs)
        self.metrics.trimmed += sum(one.trimmed for one in inputs)
        ends = np.cumsum([len(waiting.inputs) for waiting in batch])[:-1]
        split = np.split(rewards, ends)
        of_each = [None] * len(batch) if deviations is None else np.split(deviations, ends)
        for waiting, some, sure in zip(batch, split, of_each, strict=True):
            if not waiting.answer.done():
                waiting.answer.set_result(Scored(some.tolist(), None if sure is None else sure.tolist()))

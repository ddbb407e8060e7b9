"""Score the requests of many connections in batches: each call of the network takes all requests that fit."""

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
"""How long the first request of a batch waits for others while the network is idle."""
TOKENS_TOGETHER = 32_768
"""Most tokens in a batch of several requests; a larger request is a batch of its own."""


class QueueFull(Exception):
    """The queue of requests is full."""


@dataclass(frozen=True, slots=True)
class Scored:
    """The rewards of one request."""

    rewards: list[float]
    deviations: list[float] | None


@dataclass(slots=True, eq=False)
class _Waiting:
    """A request in the queue."""

    inputs: Sequence[Input]
    answer: asyncio.Future[Scored]

    @property
    def tokens(self) -> int:
        return sum(len(given.ids) for given in self.inputs)


class Batcher:
    """Queues requests while the network is busy, then gives it the next batch.

    One thread calls the network, so two batches never compete for its cores. Everything else runs in the event loop.
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
        """The number of requests waiting for the network."""
        return len(self._waiting)

    def start(self) -> None:
        """Start the worker; call it in the event loop."""
        self._worker = asyncio.create_task(self._work())

    async def stop(self) -> None:
        """Stop after the current batch. Call it when no request is waiting any more."""
        if self._worker is not None:
            self._worker.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._worker
        self._thread.shutdown()

    async def scored(self, inputs: Sequence[Input]) -> Scored:
        """Return the rewards of the inputs; raise QueueFull at once if the queue is full."""
        if self.queue >= self.longest_queue:
            raise QueueFull
        request = _Waiting(inputs, asyncio.get_running_loop().create_future())
        self._waiting.append(request)
        self._arrived.set()
        try:
            return await request.answer
        finally:
            if request in self._waiting:  # the client is gone, so nobody needs the answer
                self._waiting.remove(request)

    async def _work(self) -> None:
        idle = True
        while True:
            await self._arrived.wait()
            if idle:
                await asyncio.sleep(WAIT_SECONDS)
            batch = self._next_batch()
            if batch:
                await self._score(batch)
            idle = not self._waiting
            if idle:
                self._arrived.clear()

    def _next_batch(self) -> list[_Waiting]:
        """Take the requests of the next batch off the queue, oldest first."""
        batch: list[_Waiting] = []
        tokens = 0
        while self._waiting and (not batch or tokens + self._waiting[0].tokens <= TOKENS_TOGETHER):
            request = self._waiting.popleft()
            tokens += request.tokens
            batch.append(request)
        return batch

    async def _score(self, batch: Sequence[_Waiting]) -> None:
        inputs = [given for request in batch for given in request.inputs]
        try:
            rewards, deviations = await asyncio.get_running_loop().run_in_executor(
                self._thread, self.model.rewards_with_deviations, inputs
            )
        except Exception as error:  # the clients must get an answer, and the next batch may succeed
            for request in batch:
                if not request.answer.done():
                    request.answer.set_exception(error)
            return
        self.metrics.batches.inc()
        self.metrics.completions.inc(len(inputs))
        self.metrics.tokens.inc(sum(len(given.ids) for given in inputs))
        self.metrics.trimmed.inc(sum(given.trimmed for given in inputs))
        ends = np.cumsum([len(request.inputs) for request in batch])[:-1]
        rewards_of = np.split(rewards, ends)
        deviations_of = [None] * len(batch) if deviations is None else np.split(deviations, ends)
        for request, its_rewards, its_deviations in zip(batch, rewards_of, deviations_of, strict=True):
            if not request.answer.done():
                numbers = None if its_deviations is None else its_deviations.tolist()
                request.answer.set_result(Scored(its_rewards.tolist(), numbers))

"""Rewards over HTTP: one process, one network, requests of all connections scored together.

POST /score        {"messages" or "prompt", "completions"} -> {"rewards", "standard_deviations", "tokens", "trimmed"}
POST /get_reward   OpenRLHF's remote reward model: {"query", "prompts"?} -> {"rewards", "scores", "extra_logs"}
POST /classify     vLLM's: {"input" or "messages"} -> {"data": [{"index", "label", "probs", "num_classes"}], …}
GET /health, GET /metrics

Every reward is raw, the logit: no sigmoid anywhere. What is refused gets {"error": {"message", "type", "code"}}.

Sources of the wires: OpenRLHF openrlhf/cli/serve_rm.py and openrlhf/utils/agent.py, SingleTurnAgentExecutor, which got
its rewards from here (version 0.11.2); vLLM vllm/entrypoints/pooling/classify/protocol.py, whose classes read what is
answered here (version 0.33.0; benchmarks/compatibility/other_clients.py).
"""

import asyncio
import json
import logging
import signal
import time
import traceback
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from label_data.errors import InputError
from label_data.records import Prompt, check_text, messages_from, user_prompt
from reward.model.model import RewardModel
from reward.networks.backbones import model_folder, model_revision
from reward.networks.batches import Input, apply_template, encode, encode_text
from reward.serving.batching import Batcher, QueueFull, Scored
from reward.serving.counters import ServingMetrics

log = logging.getLogger("reward.serve")
STOP_SECONDS = 60
"""How long requests that are being answered may take once the server was asked to stop."""
CONNECTIONS = 1_000


@dataclass(frozen=True, slots=True)
class Limits:
    """What one request may ask, and how many may wait."""

    body: int = 16 * 2**20
    """Bytes."""
    completions: int = 1_024
    tokens: int = 1_048_576
    """Of all completions, each with its prompt, after trimming."""
    longest: int = 8_192
    """Tokens of one completion with its prompt: a completion is never cut, so it may be longer than what is trained."""
    queue: int = 256
    """Requests that wait for the network; further ones get 503."""


class Refused(Exception):
    """A request that gets no reward: the status and one sentence."""

    def __init__(self, status: HTTPStatus, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True)
class Asked:
    """What a request wants scored."""

    inputs: list[Input]

    @property
    def tokens(self) -> int:
        """How many tokens that is, each completion with its prompt."""
        return sum(len(one.ids) for one in self.inputs)


class Scorer:
    """Answers requests: reads what is asked, has it scored, and says it in the wire that was asked."""

    def __init__(self, model: RewardModel, name: str, revision: str, limits: Limits) -> None:
        self.model = model
        self.name = name
        self.revision = revision
        self.limits = limits
        self.metrics = ServingMetrics()
        self.batcher = Batcher(model, self.metrics, limits.queue)
        self.stopping = False
        self.ending = ending(model)

    def application(self) -> Starlette:
        """Return the application with its routes."""
        asked = {"/score": self.score, "/get_reward": self.get_reward, "/classify": self.classify}
        routes = [Route(path, self._counted(path, answer), methods=["POST"]) for path, answer in asked.items()]
        routes += [Route("/health", self.health), Route("/metrics", self.counts)]
        handlers = {HTTPException: _not_here}
        return Starlette(routes=routes, lifespan=self._life, exception_handlers=handlers)

    @asynccontextmanager
    async def _life(self, _app: Starlette) -> AsyncIterator[None]:
        self.batcher.start()
        yield
        self.stopping = True
        await self.batcher.stop()

    def _counted(
        self, path: str, answer: Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]
    ) -> Callable[[Request], Awaitable[Response]]:
        """Return the route's function: body in, JSON out, every fault one sentence, everything counted."""

        async def respond(request: Request) -> Response:
            start = time.perf_counter()
            self.metrics.in_progress += 1
            try:
                response: Response = JSONResponse(await answer(await self._body(request)))
            except Refused as error:
                response = _error(error.status, str(error))
            except InputError as error:
                response = _error(HTTPStatus.UNPROCESSABLE_ENTITY, str(error))
            except QueueFull:
                waiting = f"{self.limits.queue:,} requests wait already"
                response = _error(HTTPStatus.SERVICE_UNAVAILABLE, f"{waiting}. Ask again in a second.")
            except ClientDisconnect:
                response = Response(status_code=499)  # nobody reads it: the number is for the counts alone
            except Exception as error:  # the server goes on; what went wrong is told without any model's text
                frames = "".join(traceback.format_tb(error.__traceback__)).rstrip()
                log.error("%s failed: %s\n%s", path, type(error).__name__, frames)
                response = _error(HTTPStatus.INTERNAL_SERVER_ERROR, f"This went wrong ({type(error).__name__}).")
            finally:
                self.metrics.in_progress -= 1
            if response.status_code == HTTPStatus.SERVICE_UNAVAILABLE:
                response.headers["Retry-After"] = "1"
            self.metrics.answered(path, response.status_code, time.perf_counter() - start)
            return response

        return respond

    async def _body(self, request: Request) -> dict[str, Any]:
        """Return the request's JSON object; raises Refused at a body that is too large or no such object."""
        content, limit = bytearray(), self.limits.body
        async for chunk in request.stream():
            content += chunk
            if len(content) > limit:
                sentence = f"The body is over {limit:,} bytes. Send fewer completions at once."
                raise Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, sentence)
        try:
            found = json.loads(content)
        except (ValueError, RecursionError):
            raise Refused(HTTPStatus.BAD_REQUEST, "The body is not JSON in UTF-8.") from None
        if not isinstance(found, dict):
            raise Refused(HTTPStatus.BAD_REQUEST, "The body is JSON, but not an object: write {…}.")
        return found

    async def _scored(self, read: Callable[[], list[Input]]) -> tuple[Asked, Scored]:
        """Turn texts to tokens beside the event loop, check their number, and have them scored."""
        asked = Asked(await asyncio.to_thread(read))
        if asked.tokens > self.limits.tokens:
            sentence = f"{asked.tokens:,} tokens; at most {self.limits.tokens:,} are scored at once. Send fewer."
            raise Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, sentence)
        longest = max(len(one.ids) for one in asked.inputs)
        if longest > self.limits.longest:
            sentence = f"A completion of {longest:,} tokens; at most {self.limits.longest:,} are scored. Shorten it."
            raise Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, sentence)
        return asked, await self.batcher.scored(asked.inputs)

    def _texts(self, value: Any, what: str) -> list[str]:
        """Return a list of texts; a wrong one is an InputError, and too many are Refused."""
        if not isinstance(value, list) or not value:
            raise InputError(f"{what} is not a list of texts. Write at least one.")
        if len(value) > self.limits.completions:
            sentence = f"{len(value):,} texts in {what}; at most {self.limits.completions:,} are scored at once."
            raise Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, sentence)
        return [check_text(text, f"{what}, number {number}") for number, text in enumerate(value, start=1)]

    # The wires

    async def score(self, body: dict[str, Any]) -> dict[str, Any]:
        """Return the rewards of completions of one prompt."""
        _allow_only(body, "messages", "prompt", "completions")
        if ("prompt" in body) == ("messages" in body):
            raise InputError('Write either "prompt" (a text) or "messages" (a list).')
        if "messages" in body:
            prompt = Prompt(messages_from(body["messages"], "messages"))
        else:
            prompt = user_prompt(body["prompt"])
        completions = self._texts(body.get("completions"), "completions")
        tokenizer = self.model.tokenizer
        asked, found = await self._scored(lambda: [encode(tokenizer, prompt.messages, one) for one in completions])
        return {
            "rewards": found.rewards,
            "standard_deviations": found.deviations,
            "tokens": asked.tokens,
            "trimmed": sum(one.trimmed for one in asked.inputs),
        }

    async def get_reward(self, body: dict[str, Any]) -> dict[str, Any]:
        """Return the rewards of conversations that are written out, as OpenRLHF sends them.

        `prompts`, of the same number, are their beginnings; `labels` are not read. A conversation that does not end as
        the chat template ends a turn is ended so, since the reward is read there.
        """
        texts = self._texts(body.get("query"), "query")
        prompts = [""] * len(texts)
        if body.get("prompts"):
            prompts = self._texts(body["prompts"], "prompts")
        if len(prompts) != len(texts):
            raise InputError(f"{len(texts):,} texts in query and {len(prompts):,} in prompts. Send one for each.")
        _, found = await self._scored(partial(self._written_out, texts, prompts))
        logs = {} if found.deviations is None else {"standard_deviations": found.deviations}
        return {"rewards": found.rewards, "scores": found.rewards, "extra_logs": logs}

    async def classify(self, body: dict[str, Any]) -> dict[str, Any]:
        """Return the raw rewards of texts that are written out, or of one conversation, in vLLM's shape."""
        for name in ("use_activation", "activation", "softmax"):
            if body.get(name):
                raise InputError(f"{name} is asked for, and this server gives raw rewards only. Leave it out.")
        if ("input" in body) == ("messages" in body):
            raise InputError('Write either "input" (a text or a list) or "messages" (a list).')
        if "messages" in body:
            *turns, last = messages_from(body["messages"], "messages")
            if last.role != "assistant" or not turns:
                raise InputError("The last of the messages is not the assistant's, and it is what gets the reward.")
            read = partial(self._conversation, turns, last.content)
        else:
            given = body["input"]
            texts = self._texts([given] if isinstance(given, str) else given, "input")
            read = partial(self._written_out, texts, [""] * len(texts))
        asked, found = await self._scored(read)
        label = self.model.network.config.id2label.get(0)
        return {
            "id": f"classify-{uuid.uuid4().hex}",
            "object": "list",
            "created": int(time.time()),
            "model": self.name,
            "data": [
                {"index": number, "label": label, "probs": [reward], "num_classes": 1}
                for number, reward in enumerate(found.rewards)
            ],
            "usage": {
                "prompt_tokens": asked.tokens,
                "total_tokens": asked.tokens,
                "completion_tokens": 0,
                "prompt_tokens_details": None,
                "completion_tokens_details": None,
            },
        }

    def _conversation(self, turns: Sequence[Any], completion: str) -> list[Input]:
        return [encode(self.model.tokenizer, turns, completion)]

    def _written_out(self, texts: Sequence[str], prompts: Sequence[str]) -> list[Input]:
        pairs = zip(texts, prompts, strict=True)
        return [encode_text(self.model.tokenizer, ended(text, self.ending), prompt) for text, prompt in pairs]

    async def health(self, _request: Request) -> Response:
        """Say whether the server takes requests, and of which model."""
        state = "stopping" if self.stopping else "ok"
        said = {
            "status": state,
            "model": self.name,
            "revision": self.revision,
            "standard_deviations": self.model.uncertainty is not None,
        }
        return JSONResponse(said, status_code=503 if self.stopping else 200)

    async def counts(self, _request: Request) -> Response:
        """Return the metrics."""
        return PlainTextResponse(
            self.metrics.text(self.batcher.queue), media_type="text/plain; version=0.0.4; charset=utf-8"
        )


def ending(model: RewardModel) -> str:
    """Return what the model's chat template writes after a completion."""
    text = apply_template(
        model.tokenizer,
        [{"role": "user", "content": "Why?"}, {"role": "assistant", "content": "Because."}],
        add_generation_prompt=False,
    )
    return text.rpartition("Because.")[2]


def ended(text: str, ending: str) -> str:
    """Return the text, completed to end with `ending`: a policy may stop at the first token of it, or before."""
    there = max(length for length in range(len(ending) + 1) if text.endswith(ending[:length]))
    return text + ending[there:]


def _allow_only(body: dict[str, Any], *names: str) -> None:
    other = next((name for name in body if name not in names), None)
    if other is not None:
        raise InputError(f"There is no field {other[:60]!r} here. Known are {', '.join(names)}.")


def _error(status: int, message: str) -> JSONResponse:
    found = HTTPStatus(status)
    return JSONResponse(
        {"error": {"message": message, "type": found.phrase, "code": found.value}}, status_code=found.value
    )


async def _not_here(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    response = _error(error.status_code, "POST /score, /get_reward or /classify; GET /health or /metrics.")
    response.headers.update(error.headers or {})
    return response


# The process


def serve_model(model_name: str, host: str, port: int, limits: Limits | None = None) -> None:
    """Serve the model of a folder or hub name until SIGTERM or Ctrl+C; what is being answered then is answered.

    Prints the address once it listens. Raises InputError if there is no such model, or nothing can listen there.
    """
    folder = model_folder(model_name)
    name = folder.name if Path(model_name).is_dir() else model_name
    scorer = Scorer(RewardModel.load(folder), name, model_revision(folder), limits or Limits())
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", level=logging.INFO)
    config = uvicorn.Config(
        scorer.application(),
        host=host,
        port=port,
        log_config=None,
        access_log=False,  # it would print the path with its query, and a query may hold a text
        limit_concurrency=CONNECTIONS,
        timeout_graceful_shutdown=STOP_SECONDS,
        server_header=False,
    )
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
    try:
        listening = config.bind_socket()
    except SystemExit:  # it has said why
        raise InputError(f"Nothing can listen on {host}, port {port}. Name another --port.") from None
    listening.listen(CONNECTIONS)  # from here on clients may come: they wait until the loop takes them
    address = f"http://{host}:{listening.getsockname()[1]}"
    print(f"{name} answers at {address} (Ctrl-C stops it)", flush=True)
    # uvicorn raises the signal that stopped it once more at the end; with this it is then ignored, and we leave with 0.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: None)
    uvicorn.Server(config).run(sockets=[listening])

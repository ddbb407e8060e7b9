"""Serve rewards over HTTP: one process, one network, requests of all connections scored in batches.

POST /score        {"messages" or "prompt", "completions"} -> {"rewards", "standard_deviations", "tokens", "trimmed"}
POST /get_reward   OpenRLHF's remote reward model: {"query", "prompts"?} -> {"rewards", "scores", "extra_logs"}
POST /classify     vLLM's API: {"input" or "messages"} -> {"data": [{"index", "label", "probs", "num_classes"}], …}
GET /health, GET /metrics

Every reward is the raw logit, without a sigmoid. Refused requests get {"error": {"message", "type", "code"}}.

Sources of the APIs: OpenRLHF openrlhf/cli/serve_rm.py and openrlhf/utils/agent.py, whose SingleTurnAgentExecutor was
tested with this server (version 0.11.2); vLLM vllm/entrypoints/pooling/classify/protocol.py, whose classes were tested
with these answers (version 0.33.0; benchmarks/compatibility/other_clients.py).
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
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from label_data.errors import InputError
from label_data.records import Message, Prompt, check_text, messages_from, user_prompt
from label_data.sentences import Sentence, say
from reward.model.model import RewardModel
from reward.networks.backbones import model_folder, model_revision
from reward.networks.batches import Input, apply_template, encode, encode_text
from reward.serving.batching import Batcher, QueueFull, Scored
from reward.serving.counters import ServingMetrics

log = logging.getLogger("reward.serve")
STOP_SECONDS = 60
"""How long open requests may take after the server was asked to stop."""
CONNECTIONS = 1_000
"""Most connections at the same time."""
TOO_LARGE = HTTPStatus.REQUEST_ENTITY_TOO_LARGE

Json = dict[str, Any]  # Any: JSON values
Answer = Callable[[Json], Awaitable[Json]]


@dataclass(frozen=True, slots=True)
class Limits:
    """The largest request, and the longest queue."""

    body: int = 16 * 2**20
    """Bytes of a request's body."""
    completions: int = 1_024
    """Completions in a request."""
    tokens: int = 1_048_576
    """Tokens of all completions, each with its prompt, after truncation."""
    longest: int = 8_192
    """Tokens of one completion with its prompt. Completions are never truncated."""
    queue: int = 256
    """Requests waiting for the network; further requests get status 503."""


class Refused(Exception):
    """A request that gets a status and a sentence instead of rewards."""

    def __init__(self, status: HTTPStatus, message: Sentence) -> None:
        super().__init__(str(message))
        self.status = status


@dataclass(frozen=True, slots=True)
class Batch:
    """The inputs of one request."""

    inputs: list[Input]

    @property
    def tokens(self) -> int:
        """The number of tokens, each completion counted with its prompt."""
        return sum(len(given.ids) for given in self.inputs)


class Scorer:
    """Answers requests: reads the inputs, has them scored, and answers in the format of the API that was called."""

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
        answers = {"/score": self.score, "/get_reward": self.get_reward, "/classify": self.classify}
        routes = [Route(path, self._counted(path, answer), methods=["POST"]) for path, answer in answers.items()]
        routes += [Route("/health", self.health), Route("/metrics", self.counts)]
        handlers = {HTTPException: _no_route}
        return Starlette(routes=routes, lifespan=self._life, exception_handlers=handlers)

    @asynccontextmanager
    async def _life(self, _app: Starlette) -> AsyncIterator[None]:
        self.batcher.start()
        yield
        self.stopping = True
        await self.batcher.stop()

    def _counted(
        self, path: str, answer: Callable[[Json], Awaitable[Json]]
    ) -> Callable[[Request], Awaitable[Response]]:
        """Return the route's function: it answers with JSON or with one sentence, and counts the request."""

        async def respond(request: Request) -> Response:
            start = time.perf_counter()
            self.metrics.in_progress.inc()
            try:
                response: Response = JSONResponse(await answer(await self._body(request)))
            except Refused as error:
                response = _error(error.status, str(error))
            except InputError as error:
                response = _error(HTTPStatus.UNPROCESSABLE_ENTITY, str(error))
            except QueueFull:
                sentence = say("reward.serving.queue_full", queue=self.limits.queue)
                response = _error(HTTPStatus.SERVICE_UNAVAILABLE, str(sentence))
            except ClientDisconnect:
                response = Response(status_code=499)  # nobody reads the answer; the status is for the metrics
            except Exception as error:  # the server keeps running; the log shows no text of the request
                frames = "".join(traceback.format_tb(error.__traceback__)).rstrip()
                log.error("%s failed: %s\n%s", path, type(error).__name__, frames)
                sentence = say("reward.serving.unexpected", kind=type(error).__name__)
                response = _error(HTTPStatus.INTERNAL_SERVER_ERROR, str(sentence))
            finally:
                self.metrics.in_progress.dec()
            if response.status_code == HTTPStatus.SERVICE_UNAVAILABLE:
                response.headers["Retry-After"] = "1"
            self.metrics.answered(path, response.status_code, time.perf_counter() - start)
            return response

        return respond

    async def _body(self, request: Request) -> Json:
        """Return the request's JSON object; raise Refused if the body is too large or no JSON object."""
        content, limit = bytearray(), self.limits.body
        async for chunk in request.stream():
            content += chunk
            if len(content) > limit:
                raise Refused(TOO_LARGE, say("reward.serving.body_too_large", limit=limit))
        try:
            body = json.loads(content)
        except (ValueError, RecursionError):
            raise Refused(HTTPStatus.BAD_REQUEST, say("reward.serving.not_json")) from None
        if not isinstance(body, dict):
            raise Refused(HTTPStatus.BAD_REQUEST, say("reward.serving.not_object"))
        return body

    async def _scored(self, read: Callable[[], list[Input]]) -> tuple[Batch, Scored]:
        """Tokenize the texts outside the event loop, check the number of tokens, and score them."""
        batch = Batch(await asyncio.to_thread(read))
        if batch.tokens > self.limits.tokens:
            sentence = say("reward.serving.too_many_tokens", tokens=batch.tokens, limit=self.limits.tokens)
            raise Refused(TOO_LARGE, sentence)
        longest = max(len(given.ids) for given in batch.inputs)
        if longest > self.limits.longest:
            sentence = say("reward.serving.completion_too_long", tokens=longest, limit=self.limits.longest)
            raise Refused(TOO_LARGE, sentence)
        return batch, await self.batcher.scored(batch.inputs)

    def _texts(self, value: object, field: str) -> list[str]:
        """Return the texts of a field; raise InputError if it is not a list of texts, and Refused if it has too
        many."""
        if not isinstance(value, list) or not value:
            raise InputError("reward.serving.not_a_list", field=field)
        if len(value) > self.limits.completions:
            values = {"field": field, "count": len(value), "limit": self.limits.completions}
            raise Refused(TOO_LARGE, say("reward.serving.too_many_texts", **values))
        return [
            check_text(text, say("reward.serving.a_text", field=field, number=number))
            for number, text in enumerate(value, start=1)
        ]

    # The APIs

    async def score(self, body: Json) -> Json:
        """Return the rewards of completions of one prompt."""
        _allow_only(body, "messages", "prompt", "completions")
        if ("prompt" in body) == ("messages" in body):
            raise InputError("reward.serving.prompt_or_messages")
        if "messages" in body:
            prompt = Prompt(messages_from(body["messages"], "messages"))
        else:
            prompt = user_prompt(body["prompt"])
        completions = self._texts(body.get("completions"), "completions")
        tokenizer = self.model.tokenizer
        batch, scored = await self._scored(lambda: [encode(tokenizer, prompt.messages, text) for text in completions])
        return {
            "rewards": scored.rewards,
            "standard_deviations": scored.deviations,
            "tokens": batch.tokens,
            "trimmed": sum(given.trimmed for given in batch.inputs),
        }

    async def get_reward(self, body: Json) -> Json:
        """Return the rewards of whole conversations as texts, as OpenRLHF sends them.

        `prompts` are the beginnings of the conversations, one for each; `labels` are ignored. If a conversation lacks
        the ending that the chat template writes after a turn, it is added: the reward is read there.
        """
        texts = self._texts(body.get("query"), "query")
        prompts = [""] * len(texts)
        if body.get("prompts"):
            prompts = self._texts(body["prompts"], "prompts")
        if len(prompts) != len(texts):
            raise InputError("reward.serving.prompts_mismatch", texts=len(texts), prompts=len(prompts))
        _, scored = await self._scored(partial(self._whole_texts, texts, prompts))
        logs = {} if scored.deviations is None else {"standard_deviations": scored.deviations}
        return {"rewards": scored.rewards, "scores": scored.rewards, "extra_logs": logs}

    async def classify(self, body: Json) -> Json:
        """Return the raw rewards of whole conversations as texts, or of one list of messages, in vLLM's format."""
        for name in ("use_activation", "activation", "softmax"):
            if body.get(name):
                raise InputError("reward.serving.raw_only", field=name)
        if ("input" in body) == ("messages" in body):
            raise InputError("reward.serving.input_or_messages")
        if "messages" in body:
            *turns, last = messages_from(body["messages"], "messages")
            if last.role != "assistant" or not turns:
                raise InputError("reward.serving.last_not_assistant")
            read = partial(self._conversation, turns, last.content)
        else:
            value = body["input"]
            texts = self._texts([value] if isinstance(value, str) else value, "input")
            read = partial(self._whole_texts, texts, [""] * len(texts))
        batch, scored = await self._scored(read)
        labels = {int(number): name for number, name in (self.model.network.config.id2label or {}).items()}
        label = labels.get(0)
        return {
            "id": f"classify-{uuid.uuid4().hex}",
            "object": "list",
            "created": int(time.time()),
            "model": self.name,
            "data": [
                {"index": number, "label": label, "probs": [reward], "num_classes": 1}
                for number, reward in enumerate(scored.rewards)
            ],
            "usage": {
                "prompt_tokens": batch.tokens,
                "total_tokens": batch.tokens,
                "completion_tokens": 0,
                "prompt_tokens_details": None,
                "completion_tokens_details": None,
            },
        }

    def _conversation(self, turns: Sequence[Message], completion: str) -> list[Input]:
        return [encode(self.model.tokenizer, turns, completion)]

    def _whole_texts(self, texts: Sequence[str], prompts: Sequence[str]) -> list[Input]:
        pairs = zip(texts, prompts, strict=True)
        return [encode_text(self.model.tokenizer, ended(text, self.ending), prompt) for text, prompt in pairs]

    async def health(self, _request: Request) -> Response:
        """Return whether the server takes requests, and its model."""
        state = "stopping" if self.stopping else "ok"
        health = {
            "status": state,
            "model": self.name,
            "revision": self.revision,
            "standard_deviations": self.model.uncertainty is not None,
        }
        return JSONResponse(health, status_code=503 if self.stopping else 200)

    async def counts(self, _request: Request) -> Response:
        """Return the metrics."""
        return Response(self.metrics.text(self.batcher.queue), media_type=CONTENT_TYPE_PLAIN_0_0_4)


def ending(model: RewardModel) -> str:
    """Return the text that the model's chat template writes after a completion."""
    text = apply_template(
        model.tokenizer,
        [{"role": "user", "content": "Why?"}, {"role": "assistant", "content": "Because."}],
        add_generation_prompt=False,
    )
    return text.rpartition("Because.")[2]


def ended(text: str, ending: str) -> str:
    """Return the text with the missing part of `ending` added: a policy may stop at its first token, or before."""
    present = max(length for length in range(len(ending) + 1) if text.endswith(ending[:length]))
    return text + ending[present:]


def _allow_only(body: Json, *names: str) -> None:
    unknown = next((name for name in body if name not in names), None)
    if unknown is not None:
        raise InputError("reward.serving.unknown_field", field=unknown[:60], known=", ".join(names))


def _error(status: int, message: str) -> JSONResponse:
    http = HTTPStatus(status)
    return JSONResponse(
        {"error": {"message": message, "type": http.phrase, "code": http.value}}, status_code=http.value
    )


async def _no_route(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    response = _error(error.status_code, str(say("reward.serving.routes")))
    response.headers.update(error.headers or {})
    return response


# The process


def serve_model(model_name: str, host: str, port: int, limits: Limits | None = None) -> None:
    """Serve the model with a folder or hub name until SIGTERM or Ctrl+C; open requests are answered before it stops.

    Prints the address once it listens. Raises InputError if there is no such model, or if the port can't be used.
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
        access_log=False,  # an access log would print queries, and a query may hold a text
        limit_concurrency=CONNECTIONS,
        timeout_graceful_shutdown=STOP_SECONDS,
        server_header=False,
    )
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
    try:
        listening = config.bind_socket()
    except SystemExit:  # uvicorn has logged the reason
        raise InputError("reward.serving.cannot_listen", host=host, port=port) from None
    listening.listen(CONNECTIONS)  # from now on clients can connect; they wait until the loop runs
    address = f"http://{host}:{listening.getsockname()[1]}"
    print(say("reward.serving.listening", model=name, address=address), flush=True)
    # When it ends, uvicorn raises the signal that stopped it again. Ignoring that signal makes the exit status 0.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: None)
    uvicorn.Server(config).run(sockets=[listening])

"""Policies on any server with OpenAI's chat completions API: vLLM, llama.cpp, Ollama, or a vendor.

Many requests run at once. The openai client retries when there is no connection, on a timeout, and on status 408, 409,
429 and 5xx. It waits longer before each retry, or as long as the server asks. The key is read from the environment at
each use and stored nowhere. Server answers are never quoted in errors, because some servers repeat the key.
"""

import asyncio
import hashlib
import os
import re
from collections.abc import Sequence
from typing import Any, cast

import openai
from openai import AsyncOpenAI
from openai.types.chat import ChatCompletionMessageParam

from label_data.records import LONGEST_TEXT, Completion
from label_data.sentences import say
from label_data.settings import PolicySettings
from reward.policy.policies import (
    OnProgress,
    PolicyError,
    Refused,
    Request,
    conversation,
    sampling_of,
    silent,
    storable,
)

AT_ONCE = 16
"""Requests that run at the same time."""
RETRIES = 4
SECONDS = 120.0
"""Timeout of one answer; the timeout of the connection is 5 seconds."""
REPORT_EVERY = 0.3
"""Seconds between two calls of on_progress while the server works."""
REFUSING = (400, 413, 422)
"""Statuses that concern this request and not the policy, for example when the prompt is too long."""


class OpenAIPolicy:
    """A model on a server."""

    def __init__(self, settings: PolicySettings, seconds: float = SECONDS, retries: int = RETRIES) -> None:
        self.settings = settings
        self.name = settings.name
        self.revision = f"{settings.model}@{hashlib.sha256(settings.base_url.encode()).hexdigest()[:12]}"
        """The model's name and a hash of the server's URL. Completions add the fingerprint the server gave, if any."""
        self._seconds = seconds
        self._retries = retries

    def sample(self, requests: Sequence[Request], on_progress: OnProgress = silent) -> list[Completion | Refused]:
        """Return one outcome for each request, in order. If `on_progress` raises, open requests are dropped."""
        client = AsyncOpenAI(
            base_url=self.settings.base_url,
            api_key=self._key(),
            max_retries=self._retries,
            timeout=openai.Timeout(self._seconds, connect=5.0),
        )
        # The loop runs in slices with on_progress between them, so on_progress may even sample from this policy.
        with asyncio.Runner() as runner:
            tasks = runner.run(self._start(client, requests))
            try:
                answered = 0
                while answered < len(tasks):
                    on_progress(say("reward.policy.answered", policy=self.name, done=answered, total=len(tasks)))
                    answered = runner.run(_ended(tasks))
                return [task.result() for task in tasks]
            finally:
                runner.run(_drop(client, tasks))

    def _key(self) -> str:
        if not self.settings.key_name:
            return "none"  # local servers need no key, but the client requires one
        key = os.environ.get(self.settings.key_name)
        if not key:
            raise PolicyError("reward.policy.no_key", policy=self.name, variable=self.settings.key_name)
        return key

    async def _start(
        self, client: AsyncOpenAI, requests: Sequence[Request]
    ) -> list[asyncio.Task[Completion | Refused]]:
        gate = asyncio.Semaphore(AT_ONCE)
        return [asyncio.create_task(self._answer(client, gate, request)) for request in requests]

    async def _answer(self, client: AsyncOpenAI, gate: asyncio.Semaphore, request: Request) -> Completion | Refused:
        # A cast, because the type is a union of one dict type a role; records.Message allows no other role.
        messages = cast(list[ChatCompletionMessageParam], conversation(self.settings, request.prompt))
        async with gate:
            try:
                answer = await client.chat.completions.create(
                    model=self.settings.model,
                    messages=messages,
                    temperature=self.settings.temperature,
                    top_p=self.settings.top_p,
                    max_tokens=self.settings.max_tokens,
                    seed=request.seed,
                )
            except openai.APIStatusError as error:
                if error.status_code in REFUSING:
                    return Refused(say("reward.policy.refused", policy=self.name, status=_status(error)))
                raise self._unusable(error) from None
            except (openai.APIError, ValueError) as error:  # ValueError if the body is not JSON
                raise self._unusable(error) from None
        return self._completion(request, answer)

    # Any: whatever the server sent, of which the client checks nothing.
    def _completion(self, request: Request, answer: Any) -> Completion | Refused:
        try:
            choice = answer.choices[0]
            text, fingerprint = choice.message.content or "", answer.system_fingerprint
        except (AttributeError, IndexError, TypeError):
            raise self._unusable(None) from None
        if len(text) > LONGEST_TEXT:
            return Refused(
                say("reward.policy.completion_too_long", policy=self.name, characters=len(text), limit=LONGEST_TEXT)
            )
        return Completion(
            prompt_id=request.prompt.id,
            text=storable(text),
            policy=self.name,
            policy_revision=f"{self.revision}+{fingerprint}" if fingerprint else self.revision,
            sampling=sampling_of(self.settings),
            seed=request.seed,
            finish_reason=choice.finish_reason or "",
        )

    def _unusable(self, error: Exception | None) -> PolicyError:
        """Return the PolicyError that explains the error to the user."""
        server = {"policy": self.name, "url": self.settings.base_url}
        variable = self.settings.key_name
        if isinstance(error, openai.APITimeoutError):
            return PolicyError("reward.policy.timeout", **server, seconds=self._seconds)
        if isinstance(error, openai.APIConnectionError):
            return PolicyError("reward.policy.no_server", **server)
        if not isinstance(error, openai.APIStatusError):
            return PolicyError("reward.policy.not_chat_completions", **server)
        status = error.status_code
        if status in (401, 403):
            if not variable:
                return PolicyError("reward.policy.key_needed", **server, status=status)
            return PolicyError("reward.policy.key_refused", **server, status=status, variable=variable)
        if status == 404:
            return PolicyError("reward.policy.no_model", **server, model=self.settings.model)
        if status == 429:
            return PolicyError("reward.policy.too_many_requests", **server)
        return PolicyError("reward.policy.server_error", **server, status=status)


def _status(error: openai.APIStatusError) -> str:
    """Return the status, and the server's error code if it is one word: longer texts may repeat the prompt."""
    code = str(error.code or error.type or "")
    return f"{error.status_code}, {code}" if re.fullmatch(r"[\w.-]{1,60}", code) else f"{error.status_code}"


async def _ended(tasks: Sequence[asyncio.Task[Any]]) -> int:
    """Wait up to REPORT_EVERY seconds and return how many tasks have ended; raise the first error among them."""
    done, _ = await asyncio.wait(tasks, timeout=REPORT_EVERY)
    for task in done:
        task.result()
    return len(done)


async def _drop(client: AsyncOpenAI, tasks: Sequence[asyncio.Task[Any]]) -> None:
    """Cancel the tasks and close the client."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await client.close()

"""Policies behind any server that speaks OpenAI's chat completions: vLLM, llama.cpp, Ollama, a vendor's.

Many requests are under way at once. The openai client tries again, after a growing pause or the one that the server
asks for, when there is no connection or no answer in time and on status 408, 409, 429 and 5xx. The key is read from the
environment for each use; it is kept nowhere, and no answer of a server gets into an error, since some repeat the key.
"""

import asyncio
import hashlib
import os
import re
from collections.abc import Sequence
from typing import Any

import openai
from openai import AsyncOpenAI

from label_data.records import LONGEST_TEXT, Completion
from label_data.settings import PolicySettings
from reward.policy.policies import OnProgress, PolicyError, Refused, Request, conversation, sampling_of, storable

AT_ONCE = 16
"""Requests under way at one time."""
RETRIES = 4
SECONDS = 120.0
"""How long one answer may take; the connection itself may take 5."""
REPORT_EVERY = 0.3
"""Seconds between two calls of on_progress while the server thinks."""
REFUSING = (400, 413, 422)
"""Statuses that are about this request, not about the policy: too long a prompt, for example."""


class OpenAIPolicy:
    """A model behind a server."""

    def __init__(self, settings: PolicySettings, seconds: float = SECONDS, retries: int = RETRIES) -> None:
        self.settings = settings
        self.name = settings.name
        self.revision = f"{settings.model}@{hashlib.sha256(settings.base_url.encode()).hexdigest()[:12]}"
        """The model's name and which server; each completion adds the fingerprint that the server gave, if any."""
        self._seconds = seconds
        self._retries = retries

    def sample(
        self, requests: Sequence[Request], on_progress: OnProgress = lambda message: None
    ) -> list[Completion | Refused]:
        """Return an outcome for each request, in their order. When `on_progress` raises, open requests are dropped."""
        client = AsyncOpenAI(
            base_url=self.settings.base_url,
            api_key=self._key(),
            max_retries=self._retries,
            timeout=openai.Timeout(self._seconds, connect=5.0),
        )
        # The loop runs in slices, and on_progress between them: it may do other work, even sample from this policy.
        with asyncio.Runner() as runner:
            tasks = runner.run(self._start(client, requests))
            try:
                answered = 0
                while answered < len(tasks):
                    on_progress(f"{self.name}: {answered} of {len(tasks)} completions answered.")
                    answered = runner.run(_ended(tasks))
                return [task.result() for task in tasks]
            finally:
                runner.run(_drop(client, tasks))

    def _key(self) -> str:
        if not self.settings.key_name:
            return "none"  # servers on one's own machine ask for none; the client insists on some
        key = os.environ.get(self.settings.key_name)
        if not key:
            raise PolicyError(
                f"Policy {self.name!r}: the environment variable {self.settings.key_name} holds no key. "
                "Set it where the workbench is started, and start it again."
            )
        return key

    async def _start(
        self, client: AsyncOpenAI, requests: Sequence[Request]
    ) -> list[asyncio.Task[Completion | Refused]]:
        gate = asyncio.Semaphore(AT_ONCE)
        return [asyncio.create_task(self._answer(client, gate, request)) for request in requests]

    async def _answer(self, client: AsyncOpenAI, gate: asyncio.Semaphore, request: Request) -> Completion | Refused:
        async with gate:
            try:
                answer = await client.chat.completions.create(
                    model=self.settings.model,
                    messages=conversation(self.settings, request.prompt),
                    temperature=self.settings.temperature,
                    top_p=self.settings.top_p,
                    max_tokens=self.settings.max_tokens,
                    seed=request.seed,
                )
            except openai.APIStatusError as error:
                if error.status_code in REFUSING:
                    return Refused(f"Policy {self.name!r}: the server refused a prompt ({_what(error)}).")
                raise self._unusable(error) from None
            except (openai.APIError, ValueError) as error:  # ValueError: the body is not JSON
                raise self._unusable(error) from None
        return self._completion(request, answer)

    def _completion(self, request: Request, answer: Any) -> Completion | Refused:
        try:
            choice = answer.choices[0]
            text, fingerprint = choice.message.content or "", answer.system_fingerprint
        except (AttributeError, IndexError, TypeError):
            raise self._unusable(None) from None
        if len(text) > LONGEST_TEXT:
            return Refused(f"Policy {self.name!r}: a completion has {len(text):,} characters, too many to be kept.")
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
        """Return what the person should read instead of the error."""
        url, model = self.settings.base_url, self.settings.model
        status = error.status_code if isinstance(error, openai.APIStatusError) else None
        if isinstance(error, openai.APITimeoutError):
            what = f"{url} gave no answer within {self._seconds:,.0f} seconds. See what the server is busy with."
        elif isinstance(error, openai.APIConnectionError):
            what = f"no server answers at {url}. Start it, or change the base URL on the Project page."
        elif status in (401, 403):
            named = self.settings.key_name or "none, and no variable is named for one"
            what = f"{url} does not accept the key ({status}; key: {named}). Correct it, and start the workbench again."
        elif status == 404:
            what = f"{url} knows no model {model!r}, or the URL is wrong (404). It often ends with /v1."
        elif status == 429:
            what = f"{url} asks for fewer requests (429). Wait, or raise the limit of your account there."
        elif status is not None:
            what = f"{url} fails with status {status}. See the server's own log."
        else:
            what = f"{url} does not answer as a chat completions server does. Check the base URL on the Project page."
        return PolicyError(f"Policy {self.name!r}: {what}")


def _what(error: openai.APIStatusError) -> str:
    """Return the status and the server's error code, if that is one word: longer texts may repeat the prompt."""
    code = str(error.code or error.type or "")
    return f"{error.status_code}, {code}" if re.fullmatch(r"[\w.-]{1,60}", code) else f"{error.status_code}"


async def _ended(tasks: Sequence[asyncio.Task[Any]]) -> int:
    """Wait a moment and return how many tasks have ended; raise the first error among them."""
    done, _ = await asyncio.wait(tasks, timeout=REPORT_EVERY)
    for task in done:
        task.result()
    return len(done)


async def _drop(client: AsyncOpenAI, tasks: Sequence[asyncio.Task[Any]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await client.close()

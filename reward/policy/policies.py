"""What every policy takes and gives: requests in, for each one a completion or the reason why there is none."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from label_data.errors import InputError
from label_data.records import Completion, Prompt
from label_data.settings import PolicySettings

OnProgress = Callable[[str], object]
"""Gets one sentence a few times a second, more often if need be. It may raise to stop the sampling."""


class PolicyError(InputError):
    """The policy can't be used at present (no server, no key, no model): its prompts should go on waiting."""


@dataclass(frozen=True, slots=True)
class Request:
    """One completion to be sampled."""

    prompt: Prompt
    seed: int


@dataclass(frozen=True, slots=True)
class Refused:
    """A request that this policy can't answer, now or later."""

    reason: str
    """One sentence that holds no text of the prompt."""


class Policy(Protocol):
    """A named thing with a revision that writes completions."""

    name: str
    revision: str

    def sample(
        self, requests: Sequence[Request], on_progress: OnProgress = lambda message: None
    ) -> list[Completion | Refused]:
        """Return an outcome for each request, in their order. Raises PolicyError if the policy can't be used."""
        ...


def conversation(settings: PolicySettings, prompt: Prompt) -> list[dict[str, str]]:
    """Return the prompt's messages behind the policy's system prompt; a prompt that brings its own keeps that."""
    if not settings.system_prompt or prompt.messages[0].role == "system":
        return prompt.as_dicts
    return [{"role": "system", "content": settings.system_prompt}, *prompt.as_dicts]


def sampling_of(settings: PolicySettings) -> dict[str, Any]:
    """Return what a completion records of how it was sampled."""
    return {name: getattr(settings, name) for name in ("temperature", "top_p", "max_tokens", "system_prompt")}


def storable(text: str) -> str:
    """Return the text with U+FFFD for what no database keeps: NUL, and halves of surrogate pairs."""
    return text.replace("\0", "\ufffd").encode("utf-16", "surrogatepass").decode("utf-16", "replace")

"""The interface of every policy: requests go in; a completion, or the reason why there is none, comes out for each."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from label_data.errors import InputError
from label_data.records import Completion, Prompt
from label_data.sentences import Sentence
from label_data.settings import PolicySettings

OnProgress = Callable[[Sentence], object]
"""Gets a progress message a few times a second, or more often. It may raise to stop the sampling."""


def silent(_message: Sentence) -> None:
    """Ignore the progress: the default where nobody watches."""


class PolicyError(InputError):
    """The policy can't be used at present (no server, no key, no model); its prompts should keep waiting."""


@dataclass(frozen=True, slots=True)
class Request:
    """A request for one completion."""

    prompt: Prompt
    seed: int


@dataclass(frozen=True, slots=True)
class Refused:
    """The outcome of a request that this policy will never be able to answer."""

    reason: Sentence
    """The reason, without any text of the prompt."""


class Policy(Protocol):
    """A model with a name and a revision that writes completions."""

    name: str
    revision: str

    def sample(self, requests: Sequence[Request], on_progress: OnProgress = silent) -> list[Completion | Refused]:
        """Return one outcome for each request, in order; raise PolicyError if the policy can't be used."""
        ...


def conversation(settings: PolicySettings, prompt: Prompt) -> list[dict[str, str]]:
    """Return the prompt's messages after the policy's system prompt; a prompt with its own system message keeps it."""
    if not settings.system_prompt or prompt.messages[0].role == "system":
        return prompt.as_dicts
    return [{"role": "system", "content": settings.system_prompt}, *prompt.as_dicts]


# Any: numbers and texts, stored as JSON with each completion.
def sampling_of(settings: PolicySettings) -> dict[str, Any]:
    """Return the sampling settings that are stored with each completion."""
    return {name: getattr(settings, name) for name in ("temperature", "top_p", "max_tokens", "system_prompt")}


def storable(text: str) -> str:
    """Return the text with U+FFFD in place of characters no database stores: NUL, and halves of surrogate pairs."""
    return text.replace("\0", "\ufffd").encode("utf-16", "surrogatepass").decode("utf-16", "replace")

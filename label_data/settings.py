"""A project's settings: one record with revisions, and every ranking carries the revision it was made under."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, get_args

from label_data.errors import InputError
from label_data.records import FEWEST_COMPLETIONS, MOST_COMPLETIONS, check_text

Kind = Literal["transformers", "openai"]
Order = Literal["added", "random", "fewest"]
UNACCEPTABLE = "unacceptable"
"""The flag that every project has, whatever its settings name."""
PACKAGED_MODEL = "packaged:SmolLM2-135M-Instruct"

MOST_TESTS = 0.5
"""Share of an annotator's tasks that may be repeats and gold prompts together."""


def _in_range(value: Any, low: float, high: float, what: str) -> None:
    number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if not number or not low <= value <= high:
        raise InputError(f"{what} is {value!r}; give a number from {low:,g} to {high:,g}.")


@dataclass(frozen=True, slots=True)
class PolicySettings:
    """A model to sample from, and how."""

    name: str
    kind: Kind = "transformers"
    model: str = PACKAGED_MODEL
    """transformers: "packaged:…", a hub name or a local folder. openai: the server's name for the model."""
    base_url: str = ""
    """openai only: where the server answers, for example http://127.0.0.1:8000/v1."""
    key_name: str = ""
    """openai only: the environment variable that holds the key; the key itself is never stored."""
    system_prompt: str = ""
    temperature: float = 0.8
    top_p: float = 0.95
    max_tokens: int = 200

    def __post_init__(self) -> None:
        what = f"Policy {self.name!r}"
        if not check_text(self.name, "A policy's name", 100).strip():
            raise InputError("A policy has no name. Give it one, so that rankings can be traced to it.")
        if self.kind not in get_args(Kind):
            raise InputError(f"{what} is of kind {self.kind!r}; use one of {', '.join(get_args(Kind))}.")
        for name in ("model", "base_url", "key_name"):
            check_text(getattr(self, name), f"{what}: {name}", 1_000)
        check_text(self.system_prompt, f"{what}: the system prompt", 20_000)
        if not self.model.strip():
            raise InputError(
                f"{what} names no model. Write {PACKAGED_MODEL}, a hub name, a folder or a server's model."
            )
        if self.kind == "openai" and not self.base_url.startswith(("http://", "https://")):
            raise InputError(f"{what} has base URL {self.base_url!r}; write it as http://host:port/v1.")
        _in_range(self.temperature, 0, 5, f"{what}: temperature")
        _in_range(self.top_p, 0.01, 1, f"{what}: top_p")
        _in_range(self.max_tokens, 1, 8_192, f"{what}: max_tokens")


@dataclass(frozen=True, slots=True)
class ProjectSettings:
    """What a project asks of its policies and its annotators."""

    name: str = "default"
    guidelines: str = (
        "Put the completion that helps the user most first: it does what was asked, what it says is true, and it "
        "harms nobody. Prefer the shorter of two that are equally good. Tie those you can't tell apart."
    )
    completions_per_prompt: int = 4
    policies: tuple[PolicySettings, ...] = (PolicySettings("SmolLM2-135M"),)
    seed: int = 0
    ready_ahead: int = 12
    """Prompts that the worker keeps sampled ahead of the annotators."""
    annotators_per_prompt: int = 1
    lease_minutes: int = 30
    """How long a task stays with one annotator before another may get it."""
    order_of_work: Order = "added"
    """added: first added first, so that prompts are finished one after another. random: each annotator draws from the
    next prompts there are. fewest: a prompt handed out goes to the end, so that all get one ranking before two."""
    repeat_share: float = 0
    """Share of an annotator's tasks that are prompts they ranked before, to see whether they say the same again."""
    repeat_gap: int = 20
    """Tasks that lie between the two at least."""
    gold_share: float = 0
    """Share of an annotator's tasks whose ranking is known, as long as there are any."""
    criteria: tuple[str, ...] = ()
    """What to judge by, most important first; shown with the guidelines."""
    flags: tuple[str, ...] = ("untrue", "harmful", "off-task", "broken")
    allow_partial: bool = False
    """May an annotator submit with some completions not placed?"""
    ask_strength: bool = False
    """Ask how much better each group is than the next?"""
    ask_ratings: bool = False
    """Ask for a rating from 1 to 7 of each completion?"""
    mark_spans: bool = False
    """May annotators mark parts of a completion with the flags?"""
    demonstrations_join: bool = False
    """Does an answer that an annotator wrote join the completions that others rank?"""
    reveal_policies: bool = False
    """Tell an annotator, once a ranking is stored, which policy wrote what?"""
    retrain_every: int = 0
    """New rankings after which a reward model is trained by itself; 0: never."""

    def __post_init__(self) -> None:
        if not check_text(self.name, "The project's name", 100).strip():
            raise InputError("The project has no name. Give it one.")
        check_text(self.guidelines, "The guidelines", 50_000)
        k = "Completions per prompt"
        _in_range(self.completions_per_prompt, FEWEST_COMPLETIONS, MOST_COMPLETIONS, k)
        _in_range(self.seed, 0, 2**31 - 1, "The seed")
        _in_range(self.ready_ahead, 1, 100_000, "Prompts ready ahead")
        _in_range(self.annotators_per_prompt, 1, 100, "Annotators per prompt")
        _in_range(self.lease_minutes, 1, 24 * 60, "Lease minutes")
        if self.order_of_work not in get_args(Order):
            orders = ", ".join(get_args(Order))
            raise InputError(f"The order of work is {self.order_of_work!r}; use one of {orders}.")
        _in_range(self.repeat_share, 0, MOST_TESTS, "The share of repeats")
        _in_range(self.repeat_gap, 1, 100_000, "Tasks before a repeat")
        _in_range(self.gold_share, 0, MOST_TESTS, "The share of gold prompts")
        if self.repeat_share + self.gold_share > MOST_TESTS:
            raise InputError(
                f"Repeats and gold prompts are {self.repeat_share + self.gold_share:g} of the tasks together; at most "
                f"half may be. Lower one of the shares."
            )
        _in_range(self.retrain_every, 0, 1_000_000, "Rankings between two trainings")
        for criterion in self.criteria:
            if not check_text(criterion, "A criterion", 200).strip():
                raise InputError("A criterion is empty. Write each in a few words.")
        for flag in self.flags:
            if not check_text(flag, "A flag", 40).strip():
                raise InputError("A flag is empty. Write each flag as a word or two.")
        if not self.policies:
            raise InputError("The project has no policy to sample from. Add at least one.")
        names = [policy.name for policy in self.policies]
        if len(set(names)) != len(names):
            raise InputError(f"Two policies share a name among {', '.join(names)}. Name each differently.")
        if len(names) > self.completions_per_prompt:
            raise InputError(
                f"{len(names)} policies share {self.completions_per_prompt} completions per prompt. "
                "Ask for at least one completion from each policy."
            )

    def as_dict(self) -> dict[str, Any]:
        """Return the settings as JSON values."""
        return asdict(self)


def settings_from(value: Mapping[str, Any]) -> ProjectSettings:
    """Return the settings that `as_dict` wrote; an unknown field is an error, a missing one its default."""
    unknown = value.keys() - {field.name for field in fields(ProjectSettings)}
    if unknown:
        raise InputError(f"The project's settings hold unknown fields: {', '.join(sorted(unknown))}.")
    read = dict(value)
    if "policies" in read:
        read["policies"] = tuple(PolicySettings(**policy) for policy in read["policies"])
    for name in ("flags", "criteria"):
        if name in read:
            read[name] = tuple(read[name])
    return ProjectSettings(**read)

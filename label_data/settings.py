"""A project's settings: a record with numbered revisions. Every ranking names the revision under which it was made."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, get_args

from label_data.errors import InputError
from label_data.records import FEWEST_COMPLETIONS, MOST_COMPLETIONS, check_text
from label_data.sentences import Sentence, say

Kind = Literal["transformers", "openai"]
Order = Literal["added", "random", "fewest"]
UNACCEPTABLE = "unacceptable"
"""The flag that every project has in addition to those in its settings."""
PACKAGED_MODEL = "packaged:SmolLM2-135M-Instruct"

MOST_TESTS = 0.5
"""Maximum share of an annotator's tasks that are repeats and gold prompts together."""


def _check_range(value: Any, low: float, high: float, what: Sentence) -> None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if not is_number or not low <= value <= high:
        raise InputError("label_data.settings.out_of_range", what=what, value=value, low=low, high=high)


@dataclass(frozen=True, slots=True)
class PolicySettings:
    """A model to sample from, and its sampling parameters."""

    name: str
    kind: Kind = "transformers"
    model: str = PACKAGED_MODEL
    """transformers: "packaged:…", a hub name or a local folder. openai: the server's name for the model."""
    base_url: str = ""
    """openai only: URL of the server's API, for example http://127.0.0.1:8000/v1."""
    key_name: str = ""
    """openai only: name of the environment variable with the API key. The key itself is never stored."""
    system_prompt: str = ""
    temperature: float = 0.8
    top_p: float = 0.95
    max_tokens: int = 200

    def __post_init__(self) -> None:
        policy = say("label_data.settings.policy", name=self.name)
        if not check_text(self.name, say("label_data.settings.policy_name"), 100).strip():
            raise InputError("label_data.settings.policy_unnamed")
        if self.kind not in get_args(Kind):
            kinds = ", ".join(get_args(Kind))
            raise InputError("label_data.settings.policy_kind", policy=policy, kind=self.kind, kinds=kinds)
        check_text(self.model, _part(policy, say("label_data.settings.model")), 1_000)
        check_text(self.base_url, _part(policy, say("label_data.settings.base_url")), 1_000)
        check_text(self.key_name, _part(policy, say("label_data.settings.key_name")), 1_000)
        check_text(self.system_prompt, _part(policy, say("label_data.settings.system_prompt")), 20_000)
        if not self.model.strip():
            raise InputError("label_data.settings.policy_model", policy=policy, packaged=PACKAGED_MODEL)
        if self.kind == "openai" and not self.base_url.startswith(("http://", "https://")):
            raise InputError("label_data.settings.policy_url", policy=policy, url=self.base_url)
        _check_range(self.temperature, 0, 5, _part(policy, say("label_data.settings.temperature")))
        _check_range(self.top_p, 0.01, 1, _part(policy, say("label_data.settings.top_p")))
        _check_range(self.max_tokens, 1, 8_192, _part(policy, say("label_data.settings.max_tokens")))


def _part(policy: Sentence, part: Sentence) -> Sentence:
    return say("label_data.settings.policy_part", policy=policy, part=part)


@dataclass(frozen=True, slots=True)
class ProjectSettings:
    """A project's settings for sampling, ranking and training."""

    name: str = "default"
    guidelines: str = (
        "Put the completion that helps the user most first: it does what was asked, what it says is true, and it "
        "harms nobody. Prefer the shorter of two that are equally good. Tie those you can't tell apart."
    )
    completions_per_prompt: int = 4
    policies: tuple[PolicySettings, ...] = (PolicySettings("SmolLM2-135M"),)
    seed: int = 0
    ready_ahead: int = 12
    """Number of sampled prompts that the worker keeps ready for annotators."""
    annotators_per_prompt: int = 1
    lease_minutes: int = 30
    """Time after which a task expires and goes to another annotator."""
    order_of_work: Order = "added"
    """Task order. added: oldest prompt first, so that prompts are finished one after another. random: each annotator
    draws from the next prompts in the queue. fewest: an assigned prompt goes to the end, so that every prompt gets one
    ranking before any gets two."""
    repeat_share: float = 0
    """Share of an annotator's tasks that repeat an earlier one, unannounced, to measure self-agreement."""
    repeat_gap: int = 20
    """Minimum number of tasks before a prompt is repeated."""
    gold_share: float = 0
    """Share of an annotator's tasks that are gold prompts, while there are gold prompts left for them."""
    criteria: tuple[str, ...] = ()
    """Criteria for ranking, most important first; shown with the guidelines."""
    flags: tuple[str, ...] = ("untrue", "harmful", "off-task", "broken")
    allow_partial: bool = False
    """Whether an annotator may leave completions unplaced."""
    ask_strength: bool = False
    """Whether to ask how much better each group is than the next."""
    ask_ratings: bool = False
    """Whether to ask for a rating of each completion from 1 to 7."""
    mark_spans: bool = False
    """Whether annotators may mark parts of a completion with the flags."""
    demonstrations_join: bool = False
    """Whether an answer written by an annotator joins the completions that others rank."""
    reveal_policies: bool = False
    """Whether to show an annotator, after each ranking, which policy wrote each completion."""
    retrain_every: int = 0
    """Number of new rankings after which a reward model is trained automatically; 0 turns this off."""

    def __post_init__(self) -> None:
        if not check_text(self.name, say("label_data.settings.project_name"), 100).strip():
            raise InputError("label_data.settings.project_unnamed")
        check_text(self.guidelines, say("label_data.settings.guidelines"), 50_000)
        completions = say("label_data.settings.completions")
        _check_range(self.completions_per_prompt, FEWEST_COMPLETIONS, MOST_COMPLETIONS, completions)
        _check_range(self.seed, 0, 2**31 - 1, say("label_data.settings.seed"))
        _check_range(self.ready_ahead, 1, 100_000, say("label_data.settings.ready_ahead"))
        _check_range(self.annotators_per_prompt, 1, 100, say("label_data.settings.annotators"))
        _check_range(self.lease_minutes, 1, 24 * 60, say("label_data.settings.lease"))
        if self.order_of_work not in get_args(Order):
            orders = ", ".join(get_args(Order))
            raise InputError("label_data.settings.order", order=self.order_of_work, orders=orders)
        _check_range(self.repeat_share, 0, MOST_TESTS, say("label_data.settings.repeat_share"))
        _check_range(self.repeat_gap, 1, 100_000, say("label_data.settings.repeat_gap"))
        _check_range(self.gold_share, 0, MOST_TESTS, say("label_data.settings.gold_share"))
        if self.repeat_share + self.gold_share > MOST_TESTS:
            share = self.repeat_share + self.gold_share
            raise InputError("label_data.settings.many_tests", share=share, most=MOST_TESTS)
        _check_range(self.retrain_every, 0, 1_000_000, say("label_data.settings.retrain_every"))
        for criterion in self.criteria:
            if not check_text(criterion, say("label_data.settings.criterion"), 200).strip():
                raise InputError("label_data.settings.criterion_empty")
        for flag in self.flags:
            if not check_text(flag, say("label_data.settings.flag"), 40).strip():
                raise InputError("label_data.settings.flag_empty")
        if not self.policies:
            raise InputError("label_data.settings.no_policies")
        names = [policy.name for policy in self.policies]
        if len(set(names)) != len(names):
            raise InputError("label_data.settings.equal_policies", names=", ".join(names))
        if len(names) > self.completions_per_prompt:
            raise InputError(
                "label_data.settings.many_policies", count=len(names), completions=self.completions_per_prompt
            )

    def as_dict(self) -> dict[str, Any]:
        """Return the settings as JSON values."""
        return asdict(self)


def settings_from(value: Mapping[str, Any]) -> ProjectSettings:
    """Return the settings that `as_dict` wrote. A missing field has its default; an unknown field is an InputError."""
    unknown = value.keys() - {field.name for field in fields(ProjectSettings)}
    if unknown:
        raise InputError("label_data.settings.unknown", names=", ".join(sorted(unknown)))
    values = dict(value)
    if "policies" in values:
        values["policies"] = tuple(PolicySettings(**policy) for policy in values["policies"])
    for name in ("flags", "criteria"):
        if name in values:
            values[name] = tuple(values[name])
    return ProjectSettings(**values)

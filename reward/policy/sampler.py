"""The sampler: K different completions for each waiting prompt, dealt among the project's policies."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from label_data.canonical import content_id
from label_data.database.engine import Store
from label_data.records import Completion, Prompt
from label_data.settings import ProjectSettings
from label_data.store.projects import PROJECT
from label_data.store.samples import save_samples, waiting_prompts
from reward.policy.policies import OnProgress, Policy, Refused, Request

REDRAWS = 3
"""How often a completion that repeats another one is drawn again, each time with a further seed."""


@dataclass(frozen=True, slots=True)
class Sampled:
    """What became of one batch of prompts."""

    ready: int = 0
    failed: int = 0
    """Prompts without two different completions."""
    reasons: tuple[str, ...] = ()
    """Why prompts failed, each reason once."""
    prompts: tuple[str, ...] = ()
    """Ids of the prompts that are ready."""
    completions: int = 0
    """How many completions those have."""

    def __add__(self, other: "Sampled") -> "Sampled":
        reasons = tuple(dict.fromkeys(self.reasons + other.reasons))
        prompts = self.prompts + other.prompts
        return Sampled(
            self.ready + other.ready, self.failed + other.failed, reasons, prompts, self.completions + other.completions
        )


@dataclass(slots=True)
class _Drawn:
    """What one prompt has so far."""

    prompt: Prompt
    kept: dict[int, Completion] = field(default_factory=dict)
    """Place from 0 to K - 1 -> its completion; no two alike, none empty."""
    missing: list[int] = field(default_factory=list)
    """Places to be drawn, lowest first."""
    refusal: str = ""


def sample_batch(
    store: Store,
    settings: ProjectSettings,
    policies: Sequence[Policy],
    limit: int,
    on_progress: OnProgress = lambda message: None,
    project: str = PROJECT,
) -> Sampled:
    """Sample the first `limit` waiting prompts and save each; a prompt is saved with all it gets, or not at all.

    Place i of a prompt's K completions is the work of policy i modulo their number. Texts that are empty or repeat
    another of the prompt, white space aside, are drawn again, REDRAWS times at most; what repeats even then is left
    out. A policy at temperature 0 has one text to give and is not asked twice.

    Args:
        store: where the prompts wait.
        settings: the project's; `policies` are those of `settings.policies`, in their order.
        policies: what to sample from.
        limit: most prompts to sample.
        on_progress: gets sentences; what it raises leaves the batch unsaved and its prompts waiting.
        project: id of the project whose prompts they are.

    Raises:
        PolicyError: if a policy can't be used; the prompts go on waiting.
    """
    k = settings.completions_per_prompt
    drawn = [_Drawn(prompt, missing=list(range(k))) for prompt in waiting_prompts(store, limit, project)]
    for redraw in range(REDRAWS + 1):
        for turn, policy in enumerate(policies):
            if redraw and settings.policies[turn].temperature == 0:
                continue
            asked = [(one, place) for one in drawn for place in one.missing if place % len(policies) == turn]
            requests = [
                Request(one.prompt, completion_seed(settings.seed, one.prompt.id, policy.name, place, redraw))
                for one, place in asked
            ]
            outcomes = policy.sample(requests, on_progress) if requests else []
            for (one, place), outcome in zip(asked, outcomes, strict=True):
                if isinstance(outcome, Refused):
                    one.refusal = outcome.reason
                    one.missing.remove(place)
                else:
                    one.kept[place] = outcome
        for one in drawn:
            _leave_out_repeats(one)
    return sum((_save(store, one, k, project) for one in drawn), Sampled())


def completion_seed(project_seed: int, prompt_id: str, policy: str, place: int, redraw: int) -> int:
    """Return the 31-bit seed of one draw; it depends on nothing else, so neither order nor restarts change it."""
    return int(content_id("seed", project_seed, prompt_id, policy, place, redraw)[:8], 16) >> 1


def _leave_out_repeats(one: _Drawn) -> None:
    """Move places whose text is empty or repeats another to the missing ones; what was kept before stays."""
    newest = set(one.missing)
    seen = {""} | {completion.folded for place, completion in one.kept.items() if place not in newest}
    one.missing = []
    for place in sorted(newest & one.kept.keys()):
        if one.kept[place].folded in seen:
            one.missing.append(place)
            del one.kept[place]
        else:
            seen.add(one.kept[place].folded)


def _save(store: Store, one: _Drawn, k: int, project: str) -> Sampled:
    state = save_samples(store, one.prompt, [one.kept[place] for place in sorted(one.kept)], project)
    if state != "failed":
        return Sampled(ready=1, prompts=(one.prompt.id,), completions=len(one.kept))
    return Sampled(failed=1, reasons=(one.refusal or f"Of {k} completions no two had different texts.",))

"""The sampler: draw K different completions for each waiting prompt, shared out among the project's policies."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from label_data.canonical import content_id
from label_data.database.engine import Store
from label_data.records import Completion, Prompt
from label_data.sentences import Sentence, say
from label_data.settings import ProjectSettings
from label_data.store.projects import PROJECT
from label_data.store.samples import save_samples, waiting_prompts
from reward.policy.policies import OnProgress, Policy, Refused, Request, silent

REDRAWS = 3
"""How often a completion that repeats another one is drawn again, each time with a new seed."""


@dataclass(frozen=True, slots=True)
class Sampled:
    """The outcome of sampling one batch of prompts, or several."""

    ready: int = 0
    failed: int = 0
    """Prompts without two different completions."""
    reasons: tuple[Sentence, ...] = ()
    """Why prompts failed, without repeats."""
    prompts: tuple[str, ...] = ()
    """Ids of the prompts that are ready."""
    completions: int = 0
    """Completions of the prompts that are ready."""

    def __add__(self, other: "Sampled") -> "Sampled":
        reasons = list(self.reasons)
        reasons += [reason for reason in other.reasons if reason not in reasons]
        return Sampled(
            ready=self.ready + other.ready,
            failed=self.failed + other.failed,
            reasons=tuple(reasons),
            prompts=self.prompts + other.prompts,
            completions=self.completions + other.completions,
        )


@dataclass(slots=True)
class _Draw:
    """The completions drawn so far for one prompt."""

    prompt: Prompt
    kept: dict[int, Completion] = field(default_factory=dict)
    """Place from 0 to K - 1 -> its completion; no two have equal texts, and none is empty."""
    missing: list[int] = field(default_factory=list)
    """Places without a completion, lowest first."""
    refusal: Sentence | None = None


def sample_batch(
    store: Store,
    settings: ProjectSettings,
    policies: Sequence[Policy],
    limit: int,
    on_progress: OnProgress = silent,
    project: str = PROJECT,
) -> Sampled:
    """Sample the first `limit` waiting prompts and save each; a prompt is saved with all its completions or not at all.

    Policy i mod (number of policies) writes completion i of a prompt's K completions. A text that is empty or equals
    another text of the prompt, ignoring white space, is drawn again up to REDRAWS times, and left out after that. A
    policy at temperature 0 would repeat itself, so its texts are not drawn again.

    Args:
        store: the store with the waiting prompts.
        settings: the project's settings.
        policies: the opened policies of `settings.policies`, in the same order.
        limit: the largest number of prompts to sample.
        on_progress: gets progress messages. If it raises, the batch is not saved and its prompts keep waiting.
        project: id of the prompts' project.

    Raises:
        PolicyError: if a policy can't be used; the prompts keep waiting.
    """
    k = settings.completions_per_prompt
    draws = [_Draw(prompt, missing=list(range(k))) for prompt in waiting_prompts(store, limit, project)]
    for redraw in range(REDRAWS + 1):
        for turn, policy in enumerate(policies):
            if redraw and settings.policies[turn].temperature == 0:
                continue
            places = [(draw, place) for draw in draws for place in draw.missing if place % len(policies) == turn]
            requests = [
                Request(draw.prompt, completion_seed(settings.seed, draw.prompt.id, policy.name, place, redraw))
                for draw, place in places
            ]
            outcomes = policy.sample(requests, on_progress) if requests else []
            for (draw, place), outcome in zip(places, outcomes, strict=True):
                if isinstance(outcome, Refused):
                    draw.refusal = outcome.reason
                    draw.missing.remove(place)
                else:
                    draw.kept[place] = outcome
        for draw in draws:
            _leave_out_repeats(draw)
    return sum((_save(store, draw, k, project) for draw in draws), Sampled())


def completion_seed(project_seed: int, prompt_id: str, policy: str, place: int, redraw: int) -> int:
    """Return the 31-bit seed of one draw. It depends on the arguments alone, so order and restarts don't change it."""
    return int(content_id("seed", project_seed, prompt_id, policy, place, redraw)[:8], 16) >> 1


def _leave_out_repeats(draw: _Draw) -> None:
    """Mark new completions that are empty or repeat another text as missing; earlier completions stay."""
    newest = set(draw.missing)
    seen = {""} | {completion.folded for place, completion in draw.kept.items() if place not in newest}
    draw.missing = []
    for place in sorted(newest & draw.kept.keys()):
        if draw.kept[place].folded in seen:
            draw.missing.append(place)
            del draw.kept[place]
        else:
            seen.add(draw.kept[place].folded)


def _save(store: Store, draw: _Draw, k: int, project: str) -> Sampled:
    state = save_samples(store, draw.prompt, [draw.kept[place] for place in sorted(draw.kept)], project)
    if state != "failed":
        return Sampled(ready=1, prompts=(draw.prompt.id,), completions=len(draw.kept))
    return Sampled(failed=1, reasons=(draw.refusal or say("reward.policy.no_two_texts", count=k),))

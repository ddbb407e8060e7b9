"""Groups as training reads them: tokens of completions, and places among them that annotators put in order."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, combinations

import torch
from transformers import PreTrainedTokenizerBase

from label_data.comparisons import comparisons
from label_data.records import Group, Ranking
from label_data.versions.version import VersionGroup
from reward.finetuning.losses import bradley_terry, centring, davidson, plackett_luce, tie_strength
from reward.networks.batches import Input, encode
from reward.settings import Settings


@dataclass(frozen=True, slots=True)
class Pair:
    """Two places in the inputs of a group, and what was said of them."""

    first: int
    """The chosen one, where not tied."""
    second: int
    weight: float
    strength: int = 0
    """Steps of strength between the two; 0 where it was not told."""
    margin: float = 0.0
    """Gap asked of the rewards of the two by a version of the data, whatever the strength."""


@dataclass(frozen=True, slots=True)
class Judged:
    """A prompt's completions as tokens, and all that annotators said of them. Numbers are places in `inputs`."""

    inputs: tuple[Input, ...]
    compared: tuple[Pair, ...]
    tied: tuple[Pair, ...]
    orders: tuple[tuple[float, tuple[tuple[int, ...], ...]], ...]
    """A weight and groups of places, best first, for each ranking."""
    weight: float
    """What all of this weighs; a step's loss is divided by the sum of it over the step."""


def judge(group: Group, tokenizer: PreTrainedTokenizerBase, settings: Settings) -> Judged | None:
    """Return the group as training reads it, or None if nothing in it teaches anything.

    Every ranking weighs 1, times its annotator's weight, however many comparisons it implies; one that tests its
    annotator teaches nothing. A comparison or tie of equal texts is left out, and completions that nobody placed are
    not read. Only Davidson's loss learns from ties.
    """
    text = {completion.id: completion.text for completion in group.completions}
    folded = {completion.id: completion.folded for completion in group.completions}
    place: dict[str, int] = {}

    def at(completion: str) -> int:
        return place.setdefault(completion, len(place))

    compared: list[Pair] = []
    tied: list[Pair] = []
    orders = []
    for ranking in group.rankings:
        if ranking.tests_annotator:
            continue
        weight = settings.annotator_weights.get(ranking.annotator, 1.0)
        pairs = [one for one in comparisons(ranking) if folded[one.chosen] != folded[one.rejected]]
        ties = [pair for pair in _ties(ranking) if folded[pair[0]] != folded[pair[1]]]
        if settings.loss != "davidson":
            ties = []
        if not weight or not pairs + ties:
            continue
        for one in pairs:
            share = one.weight if settings.loss != "davidson" else 1 / (len(pairs) + len(ties))
            compared.append(Pair(at(one.chosen), at(one.rejected), weight * share, one.strength or 0))
        tied += [Pair(at(one), at(other), weight / (len(pairs) + len(ties))) for one, other in ties]
        orders.append((weight, tuple(tuple(at(one) for one in some) for some in _distinct(ranking, folded))))
    if not orders:
        return None
    total = sum(weight for weight, _ in orders)
    if settings.loss == "bradley-terry":
        total = sum(pair.weight for pair in compared)
    inputs = tuple(encode(tokenizer, group.prompt.messages, text[completion]) for completion in place)
    return Judged(inputs, tuple(compared), tuple(tied), tuple(orders), total)


def judge_version(one: VersionGroup, tokenizer: PreTrainedTokenizerBase, settings: Settings) -> Judged | None:
    """Return what a version of the data holds of a prompt as training reads it: its pairs, weights and margins.

    None if nothing in it teaches anything. Ties, which a version has if it keeps them, are for Davidson's loss alone.
    """
    text = {completion.id: completion.text for completion in one.group.completions}
    place: dict[str, int] = {}

    def at(completion: str) -> int:
        return place.setdefault(completion, len(place))

    compared = tuple(Pair(at(of.chosen), at(of.rejected), of.weight, margin=of.margin or 0.0) for of in one.comparisons)
    tied = ()
    if settings.loss == "davidson":
        tied = tuple(Pair(at(of.first), at(of.second), of.weight) for of in one.ties)
    if not compared + tied:
        return None
    inputs = tuple(encode(tokenizer, one.group.prompt.messages, text[completion]) for completion in place)
    return Judged(inputs, compared, tied, (), sum(pair.weight for pair in compared + tied))


def _ties(ranking: Ranking) -> list[tuple[str, str]]:
    groups = (ranking.shown,) if ranking.outcome == "indistinguishable" else ranking.order
    return [pair for group in groups for pair in combinations(group, 2)]


def _distinct(ranking: Ranking, folded: dict[str, str]) -> list[list[str]]:
    """Return the order with every text once, at its best place: no reward can tell equal texts apart."""
    seen: set[str] = set()
    order = []
    for group in ranking.order:
        kept = []
        for completion in group:
            if folded[completion] not in seen:
                seen.add(folded[completion])
                kept.append(completion)
        if kept:
            order.append(kept)
    return order


def strength_of_ties(groups: Sequence[Judged]) -> float:
    """Return the tie strength of Davidson's loss that says how often the groups' pairs were tied, by weight."""
    ties = sum(pair.weight for one in groups for pair in one.tied)
    return tie_strength(ties, ties + sum(pair.weight for one in groups for pair in one.compared))


def summed_loss(
    rewards: torch.Tensor, groups: Sequence[Judged], settings: Settings, strength: float = 0.0
) -> torch.Tensor:
    """Return the loss summed by weight over the groups, a scalar: divide it by the weight of the whole step.

    The mean over any part of a step would count the comparisons of small parts for more.

    Args:
        rewards: those of all inputs of the groups in their order, shape (completions,).
        strength: of ties, for Davidson's loss.
    """
    starts = list(accumulate((len(one.inputs) for one in groups), initial=0))
    spans = list(zip(groups, starts, starts[1:], strict=False))
    if settings.loss == "plackett-luce":
        terms = [w * plackett_luce(rewards[start:end], o) for one, start, end in spans for w, o in one.orders]
        loss = torch.stack(terms).sum()
    else:
        tied = settings.loss == "davidson"
        pairs = [(p, start, False) for one, start, _ in spans for p in one.compared]
        pairs += [(p, start, True) for one, start, _ in spans for p in one.tied]
        first = torch.tensor([start + pair.first for pair, start, _ in pairs], device=rewards.device)
        second = torch.tensor([start + pair.second for pair, start, _ in pairs], device=rewards.device)
        weight = rewards.new_tensor([pair.weight for pair, _, _ in pairs])
        if tied:
            is_tie = torch.tensor([tie for _, _, tie in pairs], device=rewards.device)
            losses = davidson(rewards, first, second, is_tie, strength)
        else:
            asked = [settings.margin * pair.strength + pair.margin for pair, _, _ in pairs]
            margin = rewards.new_tensor(asked)
            losses = bradley_terry(rewards, first, second, margin, settings.smoothing)
        loss = (weight * losses).sum()
    if settings.centring:
        squares = [one.weight * centring(rewards[start:end]) for one, start, end in spans]
        loss = loss + settings.centring * torch.stack(squares).sum()
    return loss

"""Groups as fine-tuning reads them: completions as tokens, and the annotators' rankings as pairs and orders."""

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
    """A comparison or a tie of two inputs of a group."""

    first: int
    """Position of the chosen completion, or of either completion of a tie."""
    second: int
    weight: float
    strength: int = 0
    """Steps of preference strength between the two; 0 if the annotator gave none."""
    margin: float = 0.0
    """Reward margin that a version of the data requires, whatever the strength."""


@dataclass(frozen=True, slots=True)
class TrainingGroup:
    """The completions of a prompt as tokens, with all rankings of them.

    Numbers in pairs and orders are positions in `inputs`.
    """

    inputs: tuple[Input, ...]
    comparisons: tuple[Pair, ...]
    ties: tuple[Pair, ...]
    orders: tuple[tuple[float, tuple[tuple[int, ...], ...]], ...]
    """For each ranking its weight and its groups of tied positions, best first."""
    weight: float
    """Weight of the whole group; the loss of a step is divided by the sum of these weights over the step."""


class _Positions:
    """Numbers completions in the order in which they are first named."""

    def __init__(self) -> None:
        self.by_id: dict[str, int] = {}

    def __getitem__(self, completion: str) -> int:
        return self.by_id.setdefault(completion, len(self.by_id))

    def inputs(self, group: Group, tokenizer: PreTrainedTokenizerBase) -> tuple[Input, ...]:
        """Return the numbered completions as tokens, in the order of their numbers."""
        texts = {completion.id: completion.text for completion in group.completions}
        return tuple(encode(tokenizer, group.prompt.messages, texts[completion]) for completion in self.by_id)


def training_group(group: Group, tokenizer: PreTrainedTokenizerBase, settings: Settings) -> TrainingGroup | None:
    """Return the group as fine-tuning reads it, or None if it has nothing to learn from.

    Every ranking has weight 1 times the weight of its annotator, however many comparisons it implies. Left out are
    rankings that test their annotator, comparisons and ties of equal texts, and completions that nobody placed. Only
    Davidson's loss uses ties.
    """
    folded = {completion.id: completion.folded for completion in group.completions}
    position = _Positions()
    compared: list[Pair] = []
    tied: list[Pair] = []
    orders: list[tuple[float, tuple[tuple[int, ...], ...]]] = []
    for ranking in group.rankings:
        if ranking.tests_annotator:
            continue
        weight = settings.annotator_weights.get(ranking.annotator, 1.0)
        pairs = [pair for pair in comparisons(ranking) if folded[pair.chosen] != folded[pair.rejected]]
        ties = [pair for pair in _ties(ranking) if folded[pair[0]] != folded[pair[1]]]
        if settings.loss != "davidson":
            ties = []
        if not weight or not (pairs or ties):
            continue
        count = len(pairs) + len(ties)
        for pair in pairs:
            share = 1 / count if settings.loss == "davidson" else pair.weight
            compared.append(Pair(position[pair.chosen], position[pair.rejected], weight * share, pair.strength or 0))
        for first, second in ties:
            tied.append(Pair(position[first], position[second], weight / count))
        order = tuple(tuple(position[id] for id in level) for level in _without_equal_texts(ranking, folded))
        orders.append((weight, order))
    if not orders:
        return None
    if settings.loss == "bradley-terry":
        total = sum(pair.weight for pair in compared)
    else:
        total = sum(weight for weight, _ in orders)
    inputs = position.inputs(group, tokenizer)
    return TrainingGroup(inputs, tuple(compared), tuple(tied), tuple(orders), total)


def version_training_group(
    row: VersionGroup, tokenizer: PreTrainedTokenizerBase, settings: Settings
) -> TrainingGroup | None:
    """Return one prompt of a version of the data as fine-tuning reads it, with the version's weights and margins.

    Returns None if it has nothing to learn from. Only Davidson's loss uses the ties that the version keeps.
    """
    position = _Positions()
    compared = tuple(
        Pair(position[pair.chosen], position[pair.rejected], pair.weight, margin=pair.margin or 0.0)
        for pair in row.comparisons
    )
    tied: tuple[Pair, ...] = ()
    if settings.loss == "davidson":
        tied = tuple(Pair(position[tie.first], position[tie.second], tie.weight) for tie in row.ties)
    if not compared + tied:
        return None
    inputs = position.inputs(row.group, tokenizer)
    return TrainingGroup(inputs, compared, tied, (), sum(pair.weight for pair in compared + tied))


def _ties(ranking: Ranking) -> list[tuple[str, str]]:
    levels = (ranking.shown,) if ranking.outcome == "indistinguishable" else ranking.order
    return [pair for level in levels for pair in combinations(level, 2)]


def _without_equal_texts(ranking: Ranking, folded: dict[str, str]) -> list[list[str]]:
    """Return the order with each text once, at its best place, because no reward can tell equal texts apart."""
    seen: set[str] = set()
    order: list[list[str]] = []
    for level in ranking.order:
        kept: list[str] = []
        for completion in level:
            if folded[completion] not in seen:
                seen.add(folded[completion])
                kept.append(completion)
        if kept:
            order.append(kept)
    return order


def tie_strength_of(groups: Sequence[TrainingGroup]) -> float:
    """Return the tie strength for Davidson's loss that matches the share of ties in the groups, by weight."""
    ties = sum(pair.weight for group in groups for pair in group.ties)
    return tie_strength(ties, ties + sum(pair.weight for group in groups for pair in group.comparisons))


def summed_loss(
    rewards: torch.Tensor, groups: Sequence[TrainingGroup], settings: Settings, strength: float = 0.0
) -> torch.Tensor:
    """Return the weighted sum of the loss over the groups, a scalar; the caller divides by the weight of the step.

    A mean over each batch of a step would give the comparisons of small batches too much weight.

    Args:
        rewards: rewards of all inputs of the groups, in their order, shape (completions,).
        strength: tie strength for Davidson's loss.
    """
    starts = list(accumulate((len(group.inputs) for group in groups), initial=0))
    spans = list(zip(groups, starts, starts[1:], strict=False))
    if settings.loss == "plackett-luce":
        terms = [
            weight * plackett_luce(rewards[start:end], order)
            for group, start, end in spans
            for weight, order in group.orders
        ]
        loss = torch.stack(terms).sum()
    else:
        with_ties = settings.loss == "davidson"
        pairs = [(pair, start, False) for group, start, _ in spans for pair in group.comparisons]
        pairs += [(pair, start, True) for group, start, _ in spans for pair in group.ties]
        first = torch.tensor([start + pair.first for pair, start, _ in pairs], device=rewards.device)
        second = torch.tensor([start + pair.second for pair, start, _ in pairs], device=rewards.device)
        weight = rewards.new_tensor([pair.weight for pair, _, _ in pairs])
        if with_ties:
            is_tie = torch.tensor([tie for _, _, tie in pairs], device=rewards.device)
            losses = davidson(rewards, first, second, is_tie, strength)
        else:
            margin = rewards.new_tensor([settings.margin * pair.strength + pair.margin for pair, _, _ in pairs])
            losses = bradley_terry(rewards, first, second, margin, settings.smoothing)
        loss = (weight * losses).sum()
    if settings.centring:
        squares = [group.weight * centring(rewards[start:end]) for group, start, end in spans]
        loss = loss + settings.centring * torch.stack(squares).sum()
    return loss

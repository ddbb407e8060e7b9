"""Comparisons and ties that a recipe derives from a prompt's rankings, each with its weight and margin."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, product

from label_data.comparisons import comparisons
from label_data.quality.reliability import Reliability
from label_data.records import Comparison, Group, Ranking
from label_data.versions.aggregation import Aggregated, majority, weighted_votes
from label_data.versions.recipes import Recipe

DECIMALS = 9
"""Decimals of weights and margins, few enough that all processors give the same values."""
EQUAL_TEXTS = "comparisons of two texts alike but for white space"
TIED = "tied pairs"


@dataclass(frozen=True, slots=True)
class Tie:
    """Two tied completions."""

    first: str
    second: str
    annotator: str
    weight: float


@dataclass(frozen=True, slots=True)
class AnnotatorReliability:
    """The annotators' reliability and weights; see `label_data.quality.reliability`."""

    annotators: Mapping[str, Reliability]
    tied: float
    """Share of true ties."""
    weights: Mapping[str, float]
    """Annotator -> weight of their rankings, 1 on average."""


@dataclass(frozen=True, slots=True)
class Derived:
    """The comparisons and ties of one prompt."""

    comparisons: tuple[Comparison, ...]
    ties: tuple[Tie, ...]


def derive(group: Group, recipe: Recipe, reliability: AnnotatorReliability | None, left_out: Counter[str]) -> Derived:
    """Return the comparisons and ties of the group's rankings; count the rankings and pairs without any in `left_out`.

    A recipe that uses reliability needs `reliability`. Rankings that test their annotator give no comparison. With ties
    `half` or `keep`, a tied pair takes its share of the ranking's weight.
    """
    rankings = [ranking for ranking in group.rankings if not ranking.tests_annotator]
    left_out["rankings that test their annotator"] += len(group.rankings) - len(rankings)
    group = replace(group, rankings=tuple(rankings))
    if recipe.aggregate == "raw":
        pairs, ties = _raw(group, recipe, left_out)
    else:
        pairs, ties = _aggregated(group, recipe, reliability, left_out)
    if recipe.ties == "drop":
        left_out[TIED] += len(ties)
        ties = []
    pairs, ties = _weighted(pairs, ties, recipe, reliability)
    if recipe.ties == "half":
        pairs += [
            Comparison(group.prompt.id, *pair, tie.annotator, None, tie.weight / 2)
            for tie in ties
            for pair in ((tie.first, tie.second), (tie.second, tie.first))
        ]
        ties = []
    left_out["comparisons and ties that weigh nothing"] += sum(not pair.weight for pair in pairs) + sum(
        not tie.weight for tie in ties
    )
    return Derived(
        tuple(replace(pair, weight=round(pair.weight, DECIMALS)) for pair in pairs if pair.weight),
        tuple(replace(tie, weight=round(tie.weight, DECIMALS)) for tie in ties if tie.weight),
    )


def _raw(group: Group, recipe: Recipe, left_out: Counter[str]) -> tuple[list[Comparison], list[Tie]]:
    folded = {completion.id: completion.folded for completion in group.completions}
    kept, ties = [], []
    for ranking in group.rankings:
        pairs, tied = comparisons(ranking), _tied(ranking)
        left_out[f"rankings with outcome {ranking.outcome}"] += not pairs and not tied
        different = [pair for pair in tied if folded[pair[0]] != folded[pair[1]]]
        share = 1 / max(1, len(pairs) + (len(different) if recipe.ties != "drop" else 0))
        margin_of = _margins(ranking, recipe.margins)
        for pair in pairs:
            if folded[pair.chosen] == folded[pair.rejected]:
                left_out[EQUAL_TEXTS] += 1
            else:
                kept.append(replace(pair, weight=share, margin=margin_of[pair.chosen, pair.rejected]))
        ties += [Tie(min(ids), max(ids), ranking.annotator, share) for ids in different]
    return kept, ties


def _tied(ranking: Ranking) -> list[tuple[str, str]]:
    groups = (ranking.shown,) if ranking.outcome == "indistinguishable" else ranking.order
    return [pair for group in groups for pair in combinations(group, 2)]


def _margins(ranking: Ranking, step_margins: Sequence[float]) -> dict[tuple[str, str], float | None]:
    """Return each comparison's margin: the sum over the steps between both; None if a step has no strength."""
    margins: dict[tuple[str, str], float | None] = {}
    for (better, group), (worse, other) in combinations(enumerate(ranking.order), 2):
        steps = ranking.strength[better:worse]
        known = bool(step_margins and steps) and None not in steps
        margin = round(sum(step_margins[step - 1] for step in steps if step), DECIMALS) if known else None
        margins |= dict.fromkeys(product(group, other), margin)
    return margins


def _aggregated(
    group: Group, recipe: Recipe, reliability: AnnotatorReliability | None, left_out: Counter[str]
) -> tuple[list[Comparison], list[Tie]]:
    if recipe.aggregate == "majority":
        aggregated: Aggregated = majority(group)
    elif reliability is None:
        raise ValueError("Aggregation by reliability needs to know the annotators' reliability.")
    else:
        aggregated = weighted_votes(group, reliability.annotators, reliability.tied)
    left_out["pairs on which the annotators are divided"] += aggregated.left_out.total() - len(aggregated.tied)
    margins: dict[tuple[str, str], list[float | None]] = defaultdict(list)
    for ranking in group.rankings:
        for pair, margin in _margins(ranking, recipe.margins).items():
            margins[pair].append(margin)
    counted = len(aggregated.comparisons) + (len(aggregated.tied) if recipe.ties != "drop" else 0)
    pairs = [
        replace(
            pair,
            annotator=recipe.aggregate,
            weight=pair.weight * len(aggregated.comparisons) / counted,
            margin=_mean(margins[pair.chosen, pair.rejected]),
        )
        for pair in aggregated.comparisons
    ]
    ties = [
        Tie(min(ids), max(ids), recipe.aggregate, certainty / max(1, counted))
        for ids, certainty in aggregated.tied.items()
    ]
    return pairs, ties


def _mean(margins: Sequence[float | None]) -> float | None:
    """Return the mean of the margins given with a comparison; None if any margin is missing."""
    known = [margin for margin in margins if margin is not None]
    return round(sum(known) / len(known), DECIMALS) if known and len(known) == len(margins) else None


def _weighted(
    pairs: list[Comparison], ties: list[Tie], recipe: Recipe, reliability: AnnotatorReliability | None
) -> tuple[list[Comparison], list[Tie]]:
    def weight(pair: Comparison | Tie) -> float:
        if recipe.weights == "comparison":
            return 1.0
        if recipe.weights == "prompt":
            return pair.weight / total
        if recipe.weights == "reliability":
            if reliability is None:
                raise ValueError("Weights by reliability need to know the annotators' reliability.")
            return pair.weight * reliability.weights.get(pair.annotator, 1.0)
        return pair.weight

    total = sum([*(pair.weight for pair in pairs), *(tie.weight for tie in ties)]) or 1.0
    return [replace(pair, weight=weight(pair)) for pair in pairs], [replace(tie, weight=weight(tie)) for tie in ties]

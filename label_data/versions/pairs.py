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
"""Decimals of weights and margins, few enough that all processors give the same."""
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
class Voices:
    """The annotators' reliability and weights; see `label_data.quality.reliability`."""

    annotators: Mapping[str, Reliability]
    tied: float
    weights: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Compared:
    """The comparisons and ties of one prompt."""

    comparisons: tuple[Comparison, ...]
    ties: tuple[Tie, ...]


def compared(group: Group, recipe: Recipe, voices: Voices | None, left_out: Counter[str]) -> Compared:
    """Return the comparisons and ties of the group's rankings; count in `left_out` what gives none.

    `voices` is needed if the recipe uses reliability. Rankings that test their annotator give no comparison. A tied
    pair that counts (`half`, `keep`) takes its share of the ranking's weight.
    """
    said = [ranking for ranking in group.rankings if not ranking.tests_annotator]
    left_out["rankings that test their annotator"] += len(group.rankings) - len(said)
    group = replace(group, rankings=tuple(said))
    if recipe.aggregate == "raw":
        found, ties = _raw(group, recipe, left_out)
    else:
        found, ties = _aggregated(group, recipe, voices, left_out)
    if recipe.ties == "drop":
        left_out[TIED] += len(ties)
        ties = []
    found, ties = _weighed(found, ties, recipe, voices)
    if recipe.ties == "half":
        found += [
            Comparison(group.prompt.id, *pair, tie.annotator, None, tie.weight / 2)
            for tie in ties
            for pair in ((tie.first, tie.second), (tie.second, tie.first))
        ]
        ties = []
    left_out["comparisons and ties that weigh nothing"] += sum(not pair.weight for pair in found) + sum(
        not tie.weight for tie in ties
    )
    return Compared(
        tuple(replace(one, weight=round(one.weight, DECIMALS)) for one in found if one.weight),
        tuple(replace(one, weight=round(one.weight, DECIMALS)) for one in ties if one.weight),
    )


def _raw(group: Group, recipe: Recipe, left_out: Counter[str]) -> tuple[list[Comparison], list[Tie]]:
    folded = {completion.id: completion.folded for completion in group.completions}
    found, ties = [], []
    for ranking in group.rankings:
        compared, tied = comparisons(ranking), _tied(ranking)
        left_out[f"rankings with outcome {ranking.outcome}"] += not compared and not tied
        apart = [pair for pair in tied if folded[pair[0]] != folded[pair[1]]]
        share = 1 / max(1, len(compared) + (len(apart) if recipe.ties != "drop" else 0))
        margin_of = _margins(ranking, recipe.margins)
        for one in compared:
            if folded[one.chosen] == folded[one.rejected]:
                left_out[EQUAL_TEXTS] += 1
            else:
                found.append(replace(one, weight=share, margin=margin_of[one.chosen, one.rejected]))
        ties += [Tie(min(pair), max(pair), ranking.annotator, share) for pair in apart]
    return found, ties


def _tied(ranking: Ranking) -> list[tuple[str, str]]:
    groups = (ranking.shown,) if ranking.outcome == "indistinguishable" else ranking.order
    return [pair for group in groups for pair in combinations(group, 2)]


def _margins(ranking: Ranking, of_step: Sequence[float]) -> dict[tuple[str, str], float | None]:
    """Return the margin of each comparison: the sum over the steps between the two; None if a step has no strength."""
    found: dict[tuple[str, str], float | None] = {}
    for (better, group), (worse, other) in combinations(enumerate(ranking.order), 2):
        steps = ranking.strength[better:worse]
        known = bool(of_step and steps) and None not in steps
        margin = round(sum(of_step[step - 1] for step in steps if step), DECIMALS) if known else None
        found |= dict.fromkeys(product(group, other), margin)
    return found


def _aggregated(
    group: Group, recipe: Recipe, voices: Voices | None, left_out: Counter[str]
) -> tuple[list[Comparison], list[Tie]]:
    if recipe.aggregate == "majority":
        made: Aggregated = majority(group)
    elif voices is None:
        raise ValueError("Aggregation by reliability needs to know the annotators' reliability.")
    else:
        made = weighted_votes(group, voices.annotators, voices.tied)
    left_out["pairs on which the annotators are divided"] += made.left_out.total() - len(made.tied)
    margins: dict[tuple[str, str], list[float | None]] = defaultdict(list)
    for ranking in group.rankings:
        for pair, margin in _margins(ranking, recipe.margins).items():
            margins[pair].append(margin)
    counted = len(made.comparisons) + (len(made.tied) if recipe.ties != "drop" else 0)
    found = [
        replace(
            one,
            weight=one.weight * len(made.comparisons) / counted,
            margin=_mean(margins[one.chosen, one.rejected]),
        )
        for one in made.comparisons
    ]
    ties = [Tie(min(pair), max(pair), recipe.aggregate, sure / max(1, counted)) for pair, sure in made.tied.items()]
    return [replace(one, annotator=recipe.aggregate) for one in found], ties


def _mean(margins: Sequence[float | None]) -> float | None:
    """Return the mean margin of those who preferred this side; None if any of them gave none."""
    known = [margin for margin in margins if margin is not None]
    return round(sum(known) / len(known), DECIMALS) if known and len(known) == len(margins) else None


def _weighed(
    found: list[Comparison], ties: list[Tie], recipe: Recipe, voices: Voices | None
) -> tuple[list[Comparison], list[Tie]]:
    def times(one: Comparison | Tie) -> float:
        if recipe.weights == "comparison":
            return 1.0
        if recipe.weights == "prompt":
            return one.weight / total
        if recipe.weights == "reliability":
            if voices is None:
                raise ValueError("Weights by reliability need to know the annotators' reliability.")
            return one.weight * voices.weights.get(one.annotator, 1.0)
        return one.weight

    total = sum([*(pair.weight for pair in found), *(tie.weight for tie in ties)]) or 1.0
    return [replace(one, weight=times(one)) for one in found], [replace(one, weight=times(one)) for one in ties]

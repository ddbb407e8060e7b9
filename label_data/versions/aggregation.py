"""Aggregate several annotators' rankings of a prompt into comparisons: raw, by majority, or by reliability.

Raw keeps every annotator's comparisons, contradictions included. Majority and reliability give each pair of completions
at most one comparison, and all comparisons of a prompt together weigh as much as one ranking.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from label_data.comparisons import comparisons, group_comparisons
from label_data.quality.judgements import judged_pairs
from label_data.quality.reliability import CERTAIN, Reliability
from label_data.records import Comparison, Group

Aggregation = Literal["raw", "majority", "weighted"]
UNDECIDED = "pairs of completions on which the annotators are divided or tied"


@dataclass(frozen=True, slots=True)
class Aggregated:
    """A group's comparisons, and the number of pairs without a comparison by reason."""

    comparisons: list[Comparison]
    left_out: Counter[str]
    tied: dict[tuple[str, str], float] = field(default_factory=dict)
    """Tied pair -> certainty of the tie, above 0 and at most 1. Ties have no weight among the comparisons."""


Decide = Callable[[Mapping[str, int]], tuple[int, float]]
"""Maps each annotator's judgement of a pair (1, 0, -1) to the aggregated judgement (1, 0, -1) and its certainty.

(0, 0.0) means undecided.
"""


def raw(group: Group) -> Aggregated:
    """Return every comparison of every ranking."""
    return Aggregated(group_comparisons(group), Counter())


def majority(group: Group) -> Aggregated:
    """Return one comparison for each pair on which a side has more votes than the other side and more than ties.

    A pair's weight does not depend on the number of votes. If an annotator ranked the prompt twice, only the first
    ranking votes.
    """
    return _aggregated(group, "majority", _most_votes)


def weighted_votes(group: Group, reliabilities: Mapping[str, Reliability], tied: float) -> Aggregated:
    """Return one comparison for each pair whose more probable side is more probable than a tie.

    The side's probability follows from the annotators' judgements and their reliability (`reliability.dawid_skene`,
    which also estimates `tied`, the share of true ties). An annotator without a reliability has no vote. A comparison's
    weight is proportional to the difference between the probabilities of the two sides.
    """
    return _aggregated(group, "weighted", lambda judgements: _most_probable(judgements, reliabilities, tied))


def _most_votes(judgements: Mapping[str, int]) -> tuple[int, float]:
    votes = Counter(judgements.values())
    side = 1 if votes[1] > votes[-1] else -1
    if votes[0] > votes[side]:
        return 0, 1.0
    return (side, 1.0) if votes[side] > max(votes[-side], votes[0]) else (0, 0.0)


def _most_probable(
    judgements: Mapping[str, int], annotators: Mapping[str, Reliability], tied: float
) -> tuple[int, float]:
    logs = np.log(np.maximum([(1 - tied) / 2, tied, (1 - tied) / 2], 1e-10))
    for name, judgement in judgements.items():
        if name in annotators:
            logs += np.log(_given_truths(annotators[name], judgement))
    better, tie, worse = np.exp(logs - logs.max()) / np.exp(logs - logs.max()).sum()
    side = 1 if better > worse else -1
    if tie > max(better, worse):
        return 0, float(tie - max(better, worse))
    return (side, abs(better - worse)) if max(better, worse) > tie and better != worse else (0, 0.0)


def _given_truths(annotator: Reliability, judgement: int) -> list[float]:
    """Return the probability of the judgement if the first completion is truly better, tied, and worse."""
    right = min(max(annotator.right.value, 1 - CERTAIN), CERTAIN)
    tie = min(max(annotator.tie, 1 - CERTAIN), CERTAIN)
    true_tie = min(max(annotator.true_tie, 1 - CERTAIN), CERTAIN)
    if judgement == 0:
        return [tie, true_tie, tie]
    sides = [(1 - tie) * right, (1 - true_tie) / 2, (1 - tie) * (1 - right)]
    return sides if judgement > 0 else sides[::-1]


def _aggregated(group: Group, name: str, decide: Decide) -> Aggregated:
    folded = {completion.id: completion.folded for completion in group.completions}
    votes: dict[tuple[str, str], dict[str, int]] = defaultdict(dict)
    strengths: dict[tuple[str, str], list[int | None]] = defaultdict(list)
    for ranking in group.rankings:
        for (first, second), judgement in judged_pairs(ranking).items():
            if folded[first] != folded[second]:
                votes[first, second].setdefault(ranking.annotator, judgement)
        for comparison in comparisons(ranking):
            strengths[comparison.chosen, comparison.rejected].append(comparison.strength)
    decided = {pair: decide(judgements) for pair, judgements in votes.items()}
    sides = {pair if side > 0 else pair[::-1]: certainty for pair, (side, certainty) in decided.items() if side}
    aggregated = [
        Comparison(group.prompt.id, *pair, name, _common_strength(strengths[pair]), certainty / len(sides))
        for pair, certainty in sides.items()
    ]
    undecided = len(votes) - len(sides)
    tied = {pair: certainty for pair, (side, certainty) in decided.items() if not side and certainty}
    return Aggregated(aggregated, Counter({UNDECIDED: undecided} if undecided else {}), tied)


def _common_strength(strengths: list[int | None]) -> int | None:
    """Return the rounded mean of the strengths given with a comparison; None if any strength is missing."""
    if not strengths or None in strengths:
        return None
    return round(sum(strength for strength in strengths if strength is not None) / len(strengths))

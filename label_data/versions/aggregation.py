"""Several annotators' rankings of one prompt as one set of comparisons: raw, by majority, or by reliability.

Raw keeps every comparison that anybody made, contradictions included. The other two give each pair of completions at
most one comparison, and the comparisons of one prompt the weight of one ranking between them.
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
    """A group's comparisons, and how many pairs gave none and why."""

    comparisons: list[Comparison]
    left_out: Counter[str]
    tied: dict[tuple[str, str], float] = field(default_factory=dict)
    """Pairs that are a tie rather than either side -> how sure, above 0 to 1; they weigh nothing in the comparisons."""


Decide = Callable[[Mapping[str, int]], tuple[int, float]]
"""From what each annotator said of a pair (1, 0, -1) to which it is (1, 0, -1) and how sure; 0, 0.0: undecided."""


def raw(group: Group) -> Aggregated:
    """Return every comparison of every ranking."""
    return Aggregated(group_comparisons(group), Counter())


def majority(group: Group) -> Aggregated:
    """Return one comparison for each pair on which one side has more votes than the other, and than ties have.

    A pair's weight does not depend on how many agree. Someone who ranked a prompt twice votes once, the first time.
    """
    return _aggregated(group, "majority", _most_votes)


def weighted_votes(group: Group, reliabilities: Mapping[str, Reliability], tied: float) -> Aggregated:
    """Return one comparison for each pair whose more probable side is more probable than a tie.

    The side's probability follows from what each annotator said and how reliable they are (`reliability.dawid_skene`,
    which also gives `tied`, the share of true ties); someone unknown has no vote. A comparison weighs as much as its
    side is more probable than the other.
    """
    return _aggregated(group, "weighted", lambda said: _most_probable(said, reliabilities, tied))


def _most_votes(said: Mapping[str, int]) -> tuple[int, float]:
    votes = Counter(said.values())
    side = 1 if votes[1] > votes[-1] else -1
    if votes[0] > votes[side]:
        return 0, 1.0
    return (side, 1.0) if votes[side] > max(votes[-side], votes[0]) else (0, 0.0)


def _most_probable(said: Mapping[str, int], annotators: Mapping[str, Reliability], tied: float) -> tuple[int, float]:
    logs = np.log(np.maximum([(1 - tied) / 2, tied, (1 - tied) / 2], 1e-10))
    for name, judgement in said.items():
        if name in annotators:
            logs += np.log(_given_truths(annotators[name], judgement))
    better, tie, worse = np.exp(logs - logs.max()) / np.exp(logs - logs.max()).sum()
    side = 1 if better > worse else -1
    if tie > max(better, worse):
        return 0, float(tie - max(better, worse))
    return (side, abs(better - worse)) if max(better, worse) > tie and better != worse else (0, 0.0)


def _given_truths(annotator: Reliability, judgement: int) -> list[float]:
    """Return how probable the judgement is if the first is truly better, tied, worse."""
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
        for (one, other), judgement in judged_pairs(ranking).items():
            if folded[one] != folded[other]:
                votes[one, other].setdefault(ranking.annotator, judgement)
        for comparison in comparisons(ranking):
            strengths[comparison.chosen, comparison.rejected].append(comparison.strength)
    decided = {pair: decide(said) for pair, said in votes.items()}
    sides = {pair if side > 0 else pair[::-1]: sure for pair, (side, sure) in decided.items() if side}
    made = [
        Comparison(group.prompt.id, *pair, name, _common_strength(strengths[pair]), sure / len(sides))
        for pair, sure in sides.items()
    ]
    undecided = len(votes) - len(sides)
    tied = {pair: sure for pair, (side, sure) in decided.items() if not side and sure}
    return Aggregated(made, Counter({UNDECIDED: undecided} if undecided else {}), tied)


def _common_strength(strengths: list[int | None]) -> int | None:
    """Return the rounded mean strength of those who preferred this side; None if any of them gave none."""
    if not strengths or None in strengths:
        return None
    return round(sum(strength for strength in strengths if strength is not None) / len(strengths))

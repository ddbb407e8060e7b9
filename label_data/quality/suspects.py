"""Which rankings are probably mistakes: those that a model contradicts which was not trained on them.

Rewards come from cross-validation folded by prompt: a model that has seen a ranking agrees with it. What is found is
where model and annotator disagree, which is a reason to ask somebody else, blind, and never to change a label.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import log

import numpy as np

from label_data.comparisons import comparisons
from label_data.records import Ranking

SHARE = 0.05
"""Of the rankings, the most suspect, that are sent to somebody else."""


@dataclass(frozen=True, slots=True)
class Suspect:
    """A ranking and how far the model disagrees with it."""

    submission: str
    prompt_id: str
    annotator: str
    disagreement: float
    """Mean over its comparisons of -log P(comparison) in nats; log 2 = 0.693 where the model does not know."""
    contradicted: int
    """Comparisons that the model orders the other way."""
    comparisons: int


def suspects(rankings: Iterable[Ranking], rewards: Mapping[str, float]) -> list[Suspect]:
    """Return the rankings that imply comparisons, most suspect first.

    Args:
        rewards: completion id -> reward in log-odds, from a model not trained on the completion's prompt. Comparisons
            without both rewards are no part, and a ranking without any is not in the list.

    The mean, not the sum: an order of four has six comparisons and would else always seem worse than a pair.
    """
    found = []
    for ranking in rankings:
        margins = [
            rewards[one.chosen] - rewards[one.rejected]
            for one in comparisons(ranking)
            if one.chosen in rewards and one.rejected in rewards
        ]
        if margins:
            loss = float(np.mean(np.logaddexp(0.0, -np.array(margins))))
            turned = sum(margin < 0 for margin in margins)
            who = ranking.submission, ranking.prompt_id, ranking.annotator
            found.append(Suspect(*who, loss, turned, len(margins)))
    return sorted(found, key=lambda one: (-one.disagreement, one.submission))


def to_relabel(found: list[Suspect], share: float = SHARE) -> list[Suspect]:
    """Return the most suspect `share` of the rankings, those with which the model rather agrees left out."""
    return [one for one in found[: round(share * len(found))] if one.disagreement > log(2)]


def recall(found: list[Suspect], planted: set[str], share: float = SHARE) -> float:
    """Return the share of `planted` submissions among the first `share` of the list; nan if none were planted.

    Chance finds about `share` of them.
    """
    first = {one.submission for one in found[: round(share * len(found))]}
    return len(first & planted) / len(planted) if planted else float("nan")

"""Suspect rankings: those that a model not trained on them disagrees with, most suspect first.

Rewards come from cross-validation folded by prompt, because a model that was trained on a ranking agrees with it.
Suspect rankings are candidates for blind relabelling by another annotator. A label is never changed because of them.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import log
from typing import Any

import numpy as np

from label_data.comparisons import comparisons
from label_data.records import Ranking

SHARE = 0.05
"""Share of the rankings, the most suspect, that are sent for relabelling."""


@dataclass(frozen=True, slots=True)
class Suspect:
    """A ranking, and how far the model disagrees with it."""

    submission: str
    prompt_id: str
    annotator: str
    log_loss: float
    """Mean over its comparisons of -log P(comparison) in nats; log 2 = 0.693 for a model that knows nothing."""
    opposed: int
    """Comparisons that the model orders the other way."""
    comparisons: int

    def as_dict(self) -> dict[str, str | float]:
        """Return the suspect as JSON values, as the results of jobs store it."""
        return {
            "submission": self.submission,
            "prompt_id": self.prompt_id,
            "annotator": self.annotator,
            "disagreement": self.log_loss,
            "contradicted": self.opposed,
            "comparisons": self.comparisons,
        }


def suspect_from(value: Mapping[str, Any]) -> Suspect:
    """Return the suspect that `Suspect.as_dict` wrote."""
    ids = value["submission"], value["prompt_id"], value["annotator"]
    return Suspect(*ids, value["disagreement"], value["contradicted"], value["comparisons"])


def rank_suspects(rankings: Iterable[Ranking], rewards: Mapping[str, float]) -> list[Suspect]:
    """Return the rankings that imply comparisons, most suspect first.

    Args:
        rewards: completion id -> reward in log-odds, from a model not trained on the completion's prompt. Comparisons
            without both rewards do not count; a ranking without any that counts is not in the list.

    Rankings are ordered by the mean over comparisons, not the sum: an order of four has six comparisons and would
    otherwise always seem worse than a pair.
    """
    ranked = []
    for ranking in rankings:
        margins = [
            rewards[comparison.chosen] - rewards[comparison.rejected]
            for comparison in comparisons(ranking)
            if comparison.chosen in rewards and comparison.rejected in rewards
        ]
        if margins:
            loss = float(np.mean(np.logaddexp(0.0, -np.array(margins))))
            opposed = sum(margin < 0 for margin in margins)
            ids = ranking.submission, ranking.prompt_id, ranking.annotator
            ranked.append(Suspect(*ids, loss, opposed, len(margins)))
    return sorted(ranked, key=lambda suspect: (-suspect.log_loss, suspect.submission))


def to_relabel(ranked: list[Suspect], share: float = SHARE) -> list[Suspect]:
    """Return the most suspect `share` of the rankings, without those that the model rather agrees with."""
    return [suspect for suspect in ranked[: round(share * len(ranked))] if suspect.log_loss > log(2)]


def recall(ranked: list[Suspect], planted: set[str], share: float = SHARE) -> float:
    """Return the share of `planted` submissions among the first `share` of the list; nan if none were planted.

    By chance the recall is about `share`.
    """
    first = {suspect.submission for suspect in ranked[: round(share * len(ranked))]}
    return len(first & planted) / len(planted) if planted else float("nan")

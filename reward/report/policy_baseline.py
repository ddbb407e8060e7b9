"""The policy baseline: a predictor that knows which policy wrote a completion and nothing about its text.

A reward model that is no better has only learned to tell policies apart, which does not help with a new policy.
"""

import numpy as np

from label_data.quality.leaderboard import strengths
from reward.data.sides import Side


def policy_margins(train: Side, held_out: Side) -> np.ndarray | None:
    """Return the Bradley-Terry strength of the chosen completion's policy minus the rejected's, shape (comparisons,).

    Strengths are fitted on the training side with the comparisons' weights. A pair from the same policy, or from a
    policy without a name or without training data, has margin 0. None if every held-out comparison has margin 0.
    """
    policies = sorted({policy for policy in _policy_of(train).values() if policy})
    index = {policy: place for place, policy in enumerate(policies)}
    wins = np.zeros((len(policies), len(policies)))
    for (chosen, rejected), weight in zip(_policy_pairs(train), train.weights, strict=True):
        if chosen != rejected and chosen in index and rejected in index:
            wins[index[chosen], index[rejected]] += weight
    if not wins.any():
        return None
    strength = dict(zip(policies, strengths(wins), strict=True))
    margins = np.zeros(len(held_out.comparisons))
    for row, (chosen, rejected) in enumerate(_policy_pairs(held_out)):
        if chosen in strength and rejected in strength:
            margins[row] = strength[chosen] - strength[rejected]
    return margins if margins.any() else None


def _policy_of(side: Side) -> dict[str, str]:
    """Return the policy that wrote each completion, by completion id."""
    return {completion.id: completion.policy for group in side.groups for completion in group.completions}


def _policy_pairs(side: Side) -> list[tuple[str, str]]:
    """Return the policies of the chosen and the rejected completion of every comparison."""
    policy = _policy_of(side)
    return [(policy[comparison.chosen], policy[comparison.rejected]) for comparison in side.comparisons]

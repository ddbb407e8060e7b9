"""A baseline that knows who wrote a completion and nothing of its text: the policy that usually wins wins again.

A reward model that does no better has learned to tell policies apart, which is worth nothing on the next policy.
"""

import numpy as np

from label_data.quality.leaderboard import strengths
from reward.data.sides import Side


def policy_margins(train: Side, test: Side) -> np.ndarray | None:
    """Return Bradley-Terry strengths of the chosen's policy less that of the rejected's, shape (comparisons,).

    Strengths are learned on the training side, each comparison with its weight. A pair of one policy, or of one that
    is not named or was never seen, has margin 0. None if that is so of every held-out comparison.
    """
    policies = sorted({policy for policy in _policies(train).values() if policy})
    place = {policy: at for at, policy in enumerate(policies)}
    wins = np.zeros((len(place), len(place)))
    for (chosen, rejected), weight in zip(_pairs(train), train.weights, strict=True):
        if chosen != rejected and chosen in place and rejected in place:
            wins[place[chosen], place[rejected]] += weight
    if not wins.any():
        return None
    strength = dict(zip(policies, strengths(wins), strict=True))
    margins = np.array(
        [
            strength[chosen] - strength[rejected] if chosen in strength and rejected in strength else 0.0
            for chosen, rejected in _pairs(test)
        ]
    )
    return margins if margins.any() else None


def _policies(side: Side) -> dict[str, str]:
    return {one.id: one.policy for group in side.groups for one in group.completions}


def _pairs(side: Side) -> list[tuple[str, str]]:
    """Return the policies of the chosen and the rejected completion of every comparison."""
    policy = _policies(side)
    return [(policy[one.chosen], policy[one.rejected]) for one in side.comparisons]

"""The policy leaderboard: Bradley-Terry strengths with intervals that resample prompts, and head-to-head results.

    P(a over b) = sigmoid(s_a - s_b), a tie counting as half a win for each

Source: Bradley and Terry 1952, Biometrika 39, eq. 1; fitted by choix (Maystre and Grossglauser 2015, arXiv:1510.08003).
"""

from collections import Counter
from dataclasses import dataclass

import choix
import numpy as np
from scipy.sparse import csr_array
from scipy.special import expit

from label_data.intervals import FEWEST_PROMPTS, Estimate, draws, rate
from label_data.quality.judgements import Judgements
from label_data.sentences import Sentence, say

PRIOR = 0.1
"""Wins added for each policy against each other policy, so that one that always wins has a finite strength."""
RESAMPLES = 200
"""Resamples, and so fits, behind an interval."""


@dataclass(frozen=True, slots=True)
class Standing:
    """The place of one policy on the leaderboard."""

    policy: str
    strength: Estimate
    """Log-odds against an average policy; its count is the number of judged pairs with another policy."""
    against_average: float
    """Probability of being preferred to an average policy."""
    wins: Estimate
    """Share of its pairs that it won, a tie counting half."""
    ties: Estimate
    """Share of its pairs that were tied."""


@dataclass(frozen=True, slots=True)
class Leaderboard:
    """The policies, best first, and their head-to-head results."""

    standings: tuple[Standing, ...]
    wins: np.ndarray
    """Judged pairs that the row won against the column, without ties; shape (policies, policies), in the order of
    standings."""
    ties: np.ndarray
    """Judged pairs tied; symmetric, same shape."""
    left_out: Counter[Sentence]
    """Reason -> how many judged pairs are left out for it."""


def leaderboard(judged: Judgements, seed: int = 0) -> Leaderboard:
    """Return the leaderboard of the policies that wrote the judged completions.

    Pairs of completions by the same policy, or by an unknown policy, are left out and counted. If no chain of
    comparisons connects two policies, only the prior decides between them: look at the win matrix.
    """
    policy = judged.completions["policy"]
    codes, names = policy.cat.codes.to_numpy().astype(int), policy.cat.categories
    first, second = (codes[judged.pairs[side].to_numpy()] for side in ("first", "second"))
    unknown = names.get_loc("") if "" in names else -1
    is_unknown, is_same = (first == unknown) | (second == unknown), first == second
    left_out = Counter(
        {
            say("label_data.quality.unknown_policy"): int(is_unknown.sum()),
            say("label_data.quality.same_policy"): int((is_same & ~is_unknown).sum()),
        }
    )
    rows = ~is_unknown & ~is_same
    present = np.unique(np.concatenate([first[rows], second[rows]]))
    first, second = np.searchsorted(present, first[rows]), np.searchsorted(present, second[rows])
    judgement, prompts = judged.pairs["judgement"].to_numpy(int)[rows], judged.of_pairs("prompt").to_numpy()[rows]
    size = len(present)
    if not size:
        return Leaderboard((), np.zeros((0, 0)), np.zeros((0, 0)), +left_out)
    points = _points(first, second, judgement, prompts, size)
    total = np.asarray(points.sum(axis=0)).reshape(size, size)
    fitted = strengths(total)
    low, high = _interval(points, size, seed)
    standings = []
    best_first = np.argsort(-fitted, kind="stable")
    for policy in best_first:
        own = (first == policy) | (second == policy)
        won = np.where(first == policy, 1 + judgement, 1 - judgement)[own] / 2
        pairs, on_prompts = int(own.sum()), len(np.unique(prompts[own]))
        standings.append(
            Standing(
                str(names[present[policy]]),
                Estimate(float(fitted[policy]), low[policy], high[policy], pairs, on_prompts),
                float(expit(fitted[policy])),
                rate(won, prompts[own], seed),
                rate((judgement[own] == 0).astype(float), prompts[own], seed),
            )
        )
    winner, loser = np.where(judgement > 0, first, second), np.where(judgement > 0, second, first)
    decided = judgement != 0
    wins, ties = np.zeros((size, size)), np.zeros((size, size))
    np.add.at(wins, (winner[decided], loser[decided]), 1)
    np.add.at(ties, (first[~decided], second[~decided]), 1)
    ordered = np.ix_(best_first, best_first)
    return Leaderboard(tuple(standings), wins[ordered], (ties + ties.T)[ordered], +left_out)


def strengths(wins: np.ndarray) -> np.ndarray:
    """Return the Bradley-Terry strengths, log-odds with mean 0, from wins of row over column; shape (policies,)."""
    padded = wins + PRIOR * (1 - np.eye(len(wins)))
    fitted = np.asarray(choix.ilsr_pairwise_dense(padded))
    return np.asarray(fitted - fitted.mean())


def _points(first: np.ndarray, second: np.ndarray, judgement: np.ndarray, prompts: np.ndarray, size: int) -> csr_array:
    """Return each prompt's wins of row over column, a tie half for each, shape (prompts, size²)."""
    cluster = np.unique(prompts, return_inverse=True)[1]
    values = np.concatenate([(1 + judgement) / 2, (1 - judgement) / 2])
    cells = np.concatenate([first * size + second, second * size + first])
    return csr_array((values, (np.tile(cluster, 2), cells)), shape=(int(cluster.max()) + 1, size * size))


def _interval(points: csr_array, size: int, seed: int) -> tuple[list[float], list[float]]:
    if points.shape[0] < FEWEST_PROMPTS:
        return [float("nan")] * size, [float("nan")] * size
    fits = [
        strengths(total.reshape(size, size))
        for drawn in draws(points.shape[0], seed, RESAMPLES)
        for total in drawn @ points
    ]
    low, high = np.percentile(fits, [2.5, 97.5], axis=0)
    return low.tolist(), high.tolist()

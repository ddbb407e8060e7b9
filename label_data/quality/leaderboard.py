"""Which policy is preferred: Bradley-Terry strengths with intervals that resample prompts, and who beat whom.

    P(a over b) = sigmoid(s_a - s_b), a tie half a win for each

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

PRIOR = 0.1
"""Wins of each policy against each other, added to those observed: a policy that always wins has a finite strength."""
RESAMPLES = 200
"""Fits for an interval."""


@dataclass(frozen=True, slots=True)
class Standing:
    """One policy on the leaderboard."""

    policy: str
    strength: Estimate
    """Log-odds against an average policy; its count is judged pairs with another policy."""
    against_average: float
    """Probability of being preferred to an average policy."""
    wins: Estimate
    """Share of its pairs that it won, a tie half."""
    ties: Estimate
    """Share of its pairs that were tied."""


@dataclass(frozen=True, slots=True)
class Leaderboard:
    """The policies, best first, and how each did against each other."""

    standings: tuple[Standing, ...]
    wins: np.ndarray
    """Row over column: judged pairs won, ties not counted; shape (policies, policies), in the order of standings."""
    ties: np.ndarray
    """Judged pairs tied, symmetric, same shape."""
    left_out: Counter[str]


def leaderboard(judged: Judgements, seed: int = 0) -> Leaderboard:
    """Return the leaderboard of the policies that wrote the judged completions.

    Pairs of two completions by one policy, or by a policy unknown, are left out and counted. Policies that no chain of
    comparisons joins are held apart by the prior alone: look at the win matrix.
    """
    policy = judged.completions["policy"]
    codes, names = policy.cat.codes.to_numpy().astype(int), policy.cat.categories
    first, second = (codes[judged.pairs[side].to_numpy()] for side in ("first", "second"))
    unknown = names.get_loc("") if "" in names else -1
    is_unknown, is_same = (first == unknown) | (second == unknown), first == second
    left_out = Counter(
        {
            "pairs with a completion whose policy is not known": int(is_unknown.sum()),
            "pairs of two completions by the same policy": int((is_same & ~is_unknown).sum()),
        }
    )
    rows = ~is_unknown & ~is_same
    present = np.unique(np.concatenate([first[rows], second[rows]]))
    one, other = np.searchsorted(present, first[rows]), np.searchsorted(present, second[rows])
    said, prompts = judged.pairs["judgement"].to_numpy(int)[rows], judged.of_pairs("prompt").to_numpy()[rows]
    size = len(present)
    if not size:
        return Leaderboard((), np.zeros((0, 0)), np.zeros((0, 0)), +left_out)
    points = _points(one, other, said, prompts, size)
    total = np.asarray(points.sum(axis=0)).reshape(size, size)
    fitted = strengths(total)
    low, high = _interval(points, size, seed)
    standings = []
    for at in np.argsort(-fitted, kind="stable"):
        mine = (one == at) | (other == at)
        won = np.where(one == at, 1 + said, 1 - said)[mine] / 2
        standings.append(
            Standing(
                str(names[present[at]]),
                Estimate(float(fitted[at]), low[at], high[at], int(mine.sum()), len(np.unique(prompts[mine]))),
                float(expit(fitted[at])),
                rate(won, prompts[mine], seed),
                rate((said[mine] == 0).astype(float), prompts[mine], seed),
            )
        )
    best_first = np.argsort(-fitted, kind="stable")
    winner, loser = np.where(said > 0, one, other), np.where(said > 0, other, one)
    decided = said != 0
    wins, ties = np.zeros((size, size)), np.zeros((size, size))
    np.add.at(wins, (winner[decided], loser[decided]), 1)
    np.add.at(ties, (one[~decided], other[~decided]), 1)
    turned = np.ix_(best_first, best_first)
    return Leaderboard(tuple(standings), wins[turned], (ties + ties.T)[turned], +left_out)


def strengths(wins: np.ndarray) -> np.ndarray:
    """Return the log-odds strengths, with mean 0, of wins of row over column; shape (policies,)."""
    padded = wins + PRIOR * (1 - np.eye(len(wins)))
    found = choix.ilsr_pairwise_dense(padded)
    return found - found.mean()


def _points(one: np.ndarray, other: np.ndarray, said: np.ndarray, prompts: np.ndarray, size: int) -> csr_array:
    """Return each prompt's wins of row over column, ties half to both, shape (prompts, size²)."""
    cluster = np.unique(prompts, return_inverse=True)[1]
    values = np.concatenate([(1 + said) / 2, (1 - said) / 2])
    cells = np.concatenate([one * size + other, other * size + one])
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

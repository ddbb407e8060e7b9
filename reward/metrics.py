"""Measures of a reward model, computed from the margin of every comparison: no batch, so no batch size.

A margin is the reward of the chosen completion less that of the rejected one, in log-odds. `weights` say how much each
comparison counts (those of one ranking sum to 1), `clusters` which prompt it belongs to. With no comparison every
measure is nan.
"""

from dataclasses import dataclass
from math import comb

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.stats import spearmanr

BINS = 15


@dataclass(frozen=True, slots=True)
class CalibrationBin:
    """Comparisons of about the same confidence, and how often the model was right about them."""

    confidence: float
    """Mean probability that the model gave to the side it preferred, 0.5 to 1."""
    accuracy: float
    comparisons: int
    weight: float
    """Share of all comparisons by weight; bins are as equal in it as whole comparisons allow."""


def mean(values: np.ndarray, weights: np.ndarray) -> float:
    """Return the weighted mean; nan if there is nothing to weigh."""
    return float(np.average(values, weights=weights)) if len(values) else float("nan")


def correct(margins: np.ndarray) -> np.ndarray:
    """Return 1 for a positive margin, 0 for a negative one and a half for an exact tie, shape (comparisons,)."""
    return (np.sign(margins) + 1) / 2


def accuracy(margins: np.ndarray, weights: np.ndarray) -> float:
    """Return the share of comparisons that the model orders as the annotator did; exact ties count half."""
    return mean(correct(margins), weights)


def losses(margins: np.ndarray) -> np.ndarray:
    """Return -log sigmoid(margin) of each comparison, shape (comparisons,), in nats; log 2 = 0.693 knows nothing."""
    return np.logaddexp(0.0, -np.asarray(margins, dtype=np.float64))


def log_loss(margins: np.ndarray, weights: np.ndarray) -> float:
    """Return the mean of `losses`: the negative log-likelihood under Bradley-Terry."""
    return mean(losses(margins), weights)


def squared_errors(margins: np.ndarray) -> np.ndarray:
    """Return (1 - sigmoid(margin))² of each comparison, shape (comparisons,); 0.25 knows nothing."""
    return np.exp(-2 * np.logaddexp(0.0, np.asarray(margins, dtype=np.float64)))


def brier(margins: np.ndarray, weights: np.ndarray) -> float:
    """Return the mean of `squared_errors`. Source: Brier 1950, Monthly Weather Review 78, for one of two outcomes."""
    return mean(squared_errors(margins), weights)


def calibration_bins(margins: np.ndarray, weights: np.ndarray, bins: int = BINS) -> list[CalibrationBin]:
    """Return bins of equal mass over the confidence sigmoid(|margin|), least confident first; empty ones left out."""
    confidence = 1 / (1 + np.exp(-np.abs(margins)))
    order = np.argsort(confidence, kind="stable")
    mass = np.cumsum(weights[order]) - weights[order] / 2
    place = np.minimum((mass / weights.sum() * bins).astype(int), bins - 1) if len(order) else order
    found = []
    for members in (order[place == number] for number in range(bins)):
        if len(members):
            of_bin = weights[members]
            sure, right = mean(confidence[members], of_bin), accuracy(margins[members], of_bin)
            found.append(CalibrationBin(sure, right, len(members), float(of_bin.sum() / weights.sum())))
    return found


def ece(margins: np.ndarray, weights: np.ndarray, bins: int = BINS) -> float:
    """Return the expected calibration error: the mean gap between confidence and accuracy over equal-mass bins.

    Few comparisons make it too large by chance: even a perfect model has gaps in bins of a handful.

    Source: Guo et al. 2017, arXiv:1706.04599, eq. 3; equal mass after Nixon et al. 2019, arXiv:1904.01685.
    """
    found = calibration_bins(margins, weights, bins)
    gaps = np.array([abs(one.accuracy - one.confidence) for one in found])
    return mean(gaps, np.array([one.weight for one in found]))


def temperature(margins: np.ndarray, weights: np.ndarray) -> float:
    """Return the T, from 0.01 to 100, for which margins / T have the least log-loss: above 1 was too sure of itself.

    Source: Guo et al. 2017, arXiv:1706.04599, section 4.2.
    """
    if not len(margins):
        return float("nan")
    found = minimize_scalar(
        lambda log_t: log_loss(margins / np.exp(log_t), weights), bounds=np.log([0.01, 100]), method="bounded"
    )
    return float(np.exp(found.x))


def spearman(first: np.ndarray, second: np.ndarray) -> float:
    """Return Spearman's rank correlation; nan if there are fewer than two values or one side never varies."""
    if len(first) < 2 or np.ptp(first) == 0 or np.ptp(second) == 0:
        return float("nan")
    return float(spearmanr(first, second).statistic)


def best_of_weights(rewards: np.ndarray, drawn: int) -> np.ndarray:
    """Return how probable it is that each completion has the highest reward of `drawn` that chance takes from them.

    Of N completions the one with the i-th lowest reward is it in C(i - 1, n - 1) of the C(N, n) draws. Equal rewards
    share what they have together, as if chance took one of them. Shape (completions,), sums to 1.

    Source: Stiennon et al. 2020, arXiv:2009.01325, section 4.3, for the procedure; the estimator that uses every draw
    is that of Nakano et al. 2021, arXiv:2112.09332, appendix I.

    Raises:
        ValueError: if `drawn` is below 1 or above the number of completions.
    """
    if not 1 <= drawn <= len(rewards):
        raise ValueError(f"{drawn} of {len(rewards)} completions can't be drawn.")
    of_rank = np.array([comb(below, drawn - 1) for below in range(len(rewards))]) / comb(len(rewards), drawn)
    _, level, ties = np.unique(rewards, return_inverse=True, return_counts=True)
    of_level = np.bincount(np.sort(level), weights=of_rank) / ties
    return of_level[level]

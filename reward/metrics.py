"""Metrics of a reward model, computed from the margins of all comparisons at once, not averaged over batches.

A margin is the reward of the chosen completion minus the reward of the rejected completion, in log-odds. `weights`
holds one weight per comparison; the weights of one ranking sum to 1. Without comparisons every metric is nan.
"""

from dataclasses import dataclass
from math import comb

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.stats import spearmanr

BINS = 15

Floats = NDArray[np.floating]
"""Numbers of any precision, shape (comparisons,) unless stated otherwise."""


@dataclass(frozen=True, slots=True)
class CalibrationBin:
    """Comparisons with about the same predicted probability, and the model's accuracy on them."""

    confidence: float
    """Mean probability that the model gave to the side it preferred, 0.5 to 1."""
    accuracy: float
    comparisons: int
    weight: float
    """Share of the weight of all comparisons; bins are as equal in weight as whole comparisons allow."""


def mean(values: Floats, weights: Floats) -> float:
    """Return the weighted mean; nan without values."""
    return float(np.average(values, weights=weights)) if len(values) else float("nan")


def correct(margins: Floats) -> Floats:
    """Return 1 for a positive margin, 0 for a negative margin, and 0.5 for an exact tie, shape (comparisons,)."""
    return np.asarray((np.sign(margins) + 1) / 2)


def accuracy(margins: Floats, weights: Floats) -> float:
    """Return the share of comparisons on which the model agrees with the annotator; exact ties count half."""
    return mean(correct(margins), weights)


def losses(margins: Floats) -> NDArray[np.float64]:
    """Return -log sigmoid(margin) of each comparison, shape (comparisons,), in nats; by chance log 2 = 0.693."""
    return np.logaddexp(0.0, -np.asarray(margins, dtype=np.float64))


def log_loss(margins: Floats, weights: Floats) -> float:
    """Return the mean of `losses`: the negative log-likelihood under Bradley-Terry."""
    return mean(losses(margins), weights)


def squared_errors(margins: Floats) -> NDArray[np.float64]:
    """Return (1 - sigmoid(margin))² of each comparison, shape (comparisons,); by chance 0.25."""
    return np.asarray(np.exp(-2 * np.logaddexp(0.0, np.asarray(margins, dtype=np.float64))))


def brier(margins: Floats, weights: Floats) -> float:
    """Return the mean of `squared_errors`. Source: Brier 1950, Monthly Weather Review 78, for one of two outcomes."""
    return mean(squared_errors(margins), weights)


def calibration_bins(margins: Floats, weights: Floats, bins: int = BINS) -> list[CalibrationBin]:
    """Return bins of equal weight over the confidence sigmoid(|margin|), least confident first, without empty bins."""
    confidence = 1 / (1 + np.exp(-np.abs(margins)))
    order = np.argsort(confidence, kind="stable")
    middle = np.cumsum(weights[order]) - weights[order] / 2
    bin_of = np.minimum((middle / weights.sum() * bins).astype(int), bins - 1) if len(order) else order
    result: list[CalibrationBin] = []
    for number in range(bins):
        rows = order[bin_of == number]
        if len(rows):
            weight = weights[rows]
            share = float(weight.sum() / weights.sum())
            bin_accuracy = accuracy(margins[rows], weight)
            result.append(CalibrationBin(mean(confidence[rows], weight), bin_accuracy, len(rows), share))
    return result


def ece(margins: Floats, weights: Floats, bins: int = BINS) -> float:
    """Return the expected calibration error: the mean gap between confidence and accuracy over bins of equal weight.

    It is biased upwards with few comparisons: even a perfect model has gaps in bins of a handful.

    Source: Guo et al. 2017, arXiv:1706.04599, eq. 3; bins of equal weight after Nixon et al. 2019, arXiv:1904.01685.
    """
    result = calibration_bins(margins, weights, bins)
    gaps = np.array([abs(one_bin.accuracy - one_bin.confidence) for one_bin in result])
    return mean(gaps, np.array([one_bin.weight for one_bin in result]))


def temperature(margins: Floats, weights: Floats) -> float:
    """Return the T, from 0.01 to 100, that minimises the log loss of margins / T; above 1 the model is overconfident.

    Source: Guo et al. 2017, arXiv:1706.04599, section 4.2.
    """
    if not len(margins):
        return float("nan")

    def loss(log_temperature: float) -> float:
        return log_loss(margins / np.exp(log_temperature), weights)

    low, high = np.log([0.01, 100])
    result = minimize_scalar(loss, bounds=(float(low), float(high)), method="bounded")
    return float(np.exp(result.x))


def spearman(first: Floats, second: Floats) -> float:
    """Return Spearman's rank correlation; nan with fewer than two values, or if one side is constant."""
    if len(first) < 2 or np.ptp(first) == 0 or np.ptp(second) == 0:
        return float("nan")
    return float(spearmanr(first, second).statistic)


def best_of_weights(rewards: Floats, drawn: int) -> NDArray[np.float64]:
    """Return each completion's probability of having the highest reward among `drawn` completions drawn at random.

    With N completions, the completion with the i-th lowest reward is the best in C(i - 1, n - 1) of the C(N, n)
    draws of n. Completions with equal rewards share their probability equally. Shape (completions,), sums to 1.

    Source: Stiennon et al. 2020, arXiv:2009.01325, section 4.3, for the procedure; Nakano et al. 2021,
    arXiv:2112.09332, appendix I, for the estimator that uses every draw.

    Raises:
        ValueError: if `drawn` is below 1 or above the number of completions.
    """
    if not 1 <= drawn <= len(rewards):
        raise ValueError(f"{drawn} of {len(rewards)} completions can't be drawn.")
    by_rank = np.array([comb(below, drawn - 1) for below in range(len(rewards))]) / comb(len(rewards), drawn)
    _, level, ties = np.unique(rewards, return_inverse=True, return_counts=True)
    by_level: NDArray[np.float64] = np.bincount(np.sort(level), weights=by_rank) / ties
    return by_level[level]

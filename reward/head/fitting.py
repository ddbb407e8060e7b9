"""A linear Bradley-Terry head on the features of a frozen backbone, fitted in seconds and reproducible from its seed.

    P(chosen over rejected) = sigmoid(w · (f(chosen) - f(rejected)))

Source: Bradley and Terry 1952, Biometrika 39, eq. 1, with a linear strength.
"""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import GroupKFold
from threadpoolctl import threadpool_limits

from reward.head.logistic import minimise
from reward.metrics import log_loss

REGULARISATION = tuple(10.0**power for power in np.arange(-5, 0.5, 0.5))
"""Candidates for C, the inverse strength of the penalty |w|² / 2: a small C is a strong penalty."""
FOLDS = 5
CROSS_VALIDATION_TOLERANCE = 1e-5
"""Tolerance of the fits of cross-validation, see `minimise`; it changes their log losses by less than 1e-5."""
MOST_CELLS = 2**22
"""Largest number of comparisons times fits that cross-validation computes at once, in each of some ten arrays."""


@dataclass(frozen=True, slots=True)
class Head:
    """A fitted linear head."""

    weights: NDArray[np.float64]
    """Shape (width,). A reward, in log-odds, is the product of the weights and a feature vector."""
    layer: int
    """Position of the layer that the head reads among the candidate layers."""
    regularisation: float
    """C."""
    cross_validated: float
    """Log loss in grouped cross-validation, by which layer and C were chosen."""


def feature_scale(differences: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return 1 / root mean square of each feature over the differences, shape (width,); 0 if it never differs."""
    spread = np.sqrt(np.average(differences**2, axis=0, weights=weights))
    scale: NDArray[np.float64] = np.divide(1.0, spread, out=np.zeros_like(spread), where=spread > 0)
    return scale


def fit_weights(
    differences: NDArray[np.floating],
    weights: NDArray[np.float64],
    regularisation: Sequence[float],
    margins: NDArray[np.float64] | float = 0.0,
) -> NDArray[np.float64]:
    """Return, for each C, the w that minimises C sum_i weight_i log(1 + exp(m_i - w · z_i)) + |w|² / 2, standardised z.

    Each feature is divided by its root mean square over the differences. The returned weights include this division,
    so they apply to the features as they are.

    Args:
        differences: features of the chosen less those of the rejected, shape (comparisons, width), at least two rows.
        weights: weight of each comparison, shape (comparisons,).
        regularisation: values of C, above 0.
        margins: the margin m required of each comparison, at least 0, shape (comparisons,) or a number.

    Returns:
        Shape (len(regularisation), width). A feature that never differs gets weight 0.
    """
    rows = np.asarray(differences, dtype=np.float64)
    scale = feature_scale(rows, weights)
    scales = np.repeat(scale[:, None], len(regularisation), axis=1)
    columns = np.multiply.outer(weights, regularisation)
    return (scales * minimise(rows, columns, scales, margins)).T


def cross_validate(
    differences: NDArray[np.floating],
    weights: NDArray[np.float64],
    clusters: Sequence[str] | NDArray[np.str_],
    regularisation: Sequence[float],
    seed: int,
    margins: NDArray[np.float64] | None = None,
) -> NDArray[np.float64]:
    """Return the log loss on left-out prompts for each C, shape (len(regularisation),), in nats per ranking.

    All comparisons of a cluster (prompt) are in the same fold; otherwise memorised prompts would look like skill.

    Raises:
        ValueError: if there are fewer than two clusters.
    """
    rows = np.asarray(differences, dtype=np.float64)
    splitter = GroupKFold(min(FOLDS, len(set(clusters))), shuffle=True, random_state=seed)
    folds = list(splitter.split(rows, groups=clusters))
    fold_of_row = np.empty(len(rows), dtype=int)
    for fold, (_, left_out) in enumerate(folds):
        fold_of_row[left_out] = fold
    fold_weights = (fold_of_row[:, None] != np.arange(len(folds))) * np.asarray(weights, dtype=np.float64)[:, None]
    scales = np.stack([feature_scale(rows, column) for column in fold_weights.T], axis=1)
    at_once = max(1, MOST_CELLS // fold_weights.size)
    losses: list[float] = []
    for start in range(0, len(regularisation), at_once):
        values = np.asarray(regularisation[start : start + at_once])
        columns = np.multiply.outer(values, fold_weights).transpose(1, 0, 2).reshape(len(rows), -1)
        scale = np.tile(scales, len(values))
        margin = 0.0 if margins is None else margins
        fitted = scale * minimise(rows, columns, scale, margin, CROSS_VALIDATION_TOLERANCE)
        gaps = (rows @ fitted).reshape(len(rows), len(values), len(folds))
        losses += [log_loss(gaps[np.arange(len(gaps)), index, fold_of_row], weights) for index in range(len(values))]
    return np.array(losses)


def fit_head(
    differences: NDArray[np.floating],
    weights: NDArray[np.float64],
    clusters: Sequence[str] | NDArray[np.str_],
    seed: int = 0,
    margins: NDArray[np.float64] | None = None,
) -> Head:
    """Choose layer and C by grouped cross-validation, then fit to all comparisons with them.

    Args:
        differences: shape (comparisons, layers, width).
        weights: shape (comparisons,); the weights of one ranking sum to 1.
        clusters: the prompt (or first turn) of each comparison.
        seed: decides the folds.
        margins: margin required of each comparison in the fits, shape (comparisons,); none by default. The log loss on
            left-out comparisons is computed without margins.
    """
    margin = np.zeros(len(differences)) if margins is None else margins

    def losses_of(layer: int) -> NDArray[np.float64]:
        return cross_validate(differences[:, layer], weights, clusters, REGULARISATION, seed, margin)

    # One thread per layer: BLAS's own threads wait by spinning, and took up to 15 times as long on shared cores.
    with threadpool_limits(1), ThreadPoolExecutor(os.cpu_count()) as threads:
        losses = np.array(list(threads.map(losses_of, range(differences.shape[1]))))
        layer, position = (int(index) for index in np.unravel_index(np.argmin(losses), losses.shape))
        chosen = REGULARISATION[position]
        fitted = fit_weights(differences[:, layer], weights, [chosen], margin)[0]
    return Head(fitted, layer, chosen, float(losses[layer, position]))

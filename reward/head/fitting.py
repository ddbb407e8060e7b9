"""A linear Bradley-Terry head on features of a frozen backbone: fitted in seconds, the same under the same seed.

    P(chosen over rejected) = sigmoid(w · (f(chosen) - f(rejected)))

Source: Bradley and Terry 1952, Biometrika 39, eq. 1, with a linear strength.
"""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from sklearn.model_selection import GroupKFold
from threadpoolctl import threadpool_limits

from reward.head.logistic import minimise
from reward.metrics import log_loss

REGULARISATION = tuple(10.0**power for power in np.arange(-5, 0.5, 0.5))
"""Candidates for C, the inverse strength of the penalty |w|² / 2: small is strict."""
FOLDS = 5
NEARLY = 1e-5
"""How much of its first slope a fit may be left with that cross-validation looks at: their log-losses are off by less
than 1e-5 for it."""
MOST_CELLS = 2**22
"""Comparisons times fits of cross-validation at once: numbers in each of some ten arrays."""


@dataclass(frozen=True, slots=True)
class Head:
    """A fitted head: which layer it reads and how."""

    weights: np.ndarray
    """Shape (width,), float64; a reward is their product with a feature vector, in log-odds."""
    layer: int
    """Position among the candidate layers."""
    regularisation: float
    """C."""
    cross_validated: float
    """Log-loss on prompts left out of the fit, by grouped cross-validation: what layer and C were chosen by."""


def feature_scale(differences: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return one over each feature's root mean square over the differences, shape (width,); 0 if it never differs."""
    spread = np.sqrt(np.average(differences**2, axis=0, weights=weights))
    return np.divide(1.0, spread, out=np.zeros_like(spread), where=spread > 0)


def fit_weights(
    differences: np.ndarray, weights: np.ndarray, regularisation: Sequence[float], margins: np.ndarray | float = 0.0
) -> np.ndarray:
    """Return, for each C, the w that minimises C sum_i weight_i log(1 + exp(m_i - w · z_i)) + |w|² / 2, standardised z.

    Each feature is divided by its root mean square over the differences, and the division is folded into the result,
    so it applies to features as they are.

    Args:
        differences: features of the chosen less those of the rejected, shape (comparisons, width), at least two.
        weights: how much each comparison counts, shape (comparisons,).
        regularisation: values of C, above 0.
        margins: the gap m asked of each comparison, at least 0, shape (comparisons,) or one number.

    Returns:
        Shape (len(regularisation), width). A feature that never differs gets weight 0.
    """
    differences = np.asarray(differences, dtype=np.float64)
    scale = feature_scale(differences, weights)[:, None]
    columns = np.multiply.outer(weights, regularisation)
    return (scale * minimise(differences, columns, np.repeat(scale, len(regularisation), axis=1), margins)).T


def cross_validate(
    differences: np.ndarray,
    weights: np.ndarray,
    clusters: Sequence[str],
    regularisation: Sequence[float],
    seed: int,
    margins: np.ndarray | None = None,
) -> np.ndarray:
    """Return the log-loss on left-out prompts for each C, shape (len(regularisation),), in nats a ranking.

    No cluster (prompt) is on both sides of a fold: folded by comparison, memorised prompts look like skill.

    Raises:
        ValueError: if there are fewer than two clusters.
    """
    differences = np.asarray(differences, dtype=np.float64)
    folds = list(
        GroupKFold(min(FOLDS, len(set(clusters))), shuffle=True, random_state=seed).split(differences, groups=clusters)
    )
    of_fold = np.empty(len(differences), dtype=int)
    for fold, (_, left_out) in enumerate(folds):
        of_fold[left_out] = fold
    of_folds = (of_fold[:, None] != np.arange(len(folds))) * np.asarray(weights, dtype=np.float64)[:, None]
    scales = np.stack([feature_scale(differences, of) for of in of_folds.T], axis=1)
    at_once = max(1, MOST_CELLS // of_folds.size)
    losses = []
    for start in range(0, len(regularisation), at_once):
        some = np.asarray(regularisation[start : start + at_once])
        columns = np.multiply.outer(some, of_folds).transpose(1, 0, 2).reshape(len(differences), -1)
        scale = np.tile(scales, len(some))
        found = scale * minimise(differences, columns, scale, 0.0 if margins is None else margins, NEARLY)
        gaps = (differences @ found).reshape(len(differences), len(some), len(folds))
        losses += [log_loss(gaps[np.arange(len(gaps)), at, of_fold], weights) for at in range(len(some))]
    return np.array(losses)


def fit_head(
    differences: np.ndarray,
    weights: np.ndarray,
    clusters: Sequence[str],
    seed: int = 0,
    margins: np.ndarray | None = None,
) -> Head:
    """Choose layer and C by grouped cross-validation, then fit all comparisons with them.

    Args:
        differences: shape (comparisons, layers, width).
        weights: shape (comparisons,); those of one ranking sum to 1.
        clusters: the prompt (or first turn) of each comparison.
        seed: decides the folds.
        margins: the gap asked of each comparison where it is fitted, shape (comparisons,); none if not given. What is
            left out is judged without.
    """
    asked = np.zeros(len(differences)) if margins is None else margins

    def validated(layer: int) -> np.ndarray:
        return cross_validate(differences[:, layer], weights, clusters, REGULARISATION, seed, asked)

    # A layer a thread: BLAS's own threads wait by spinning, and took up to 15 times as long on shared cores.
    with threadpool_limits(1), ThreadPoolExecutor(os.cpu_count()) as threads:
        losses = np.array(list(threads.map(validated, range(differences.shape[1]))))
        layer, position = (int(at) for at in np.unravel_index(np.argmin(losses), losses.shape))
        chosen = REGULARISATION[position]
        found = fit_weights(differences[:, layer], weights, [chosen], asked)[0]
    return Head(found, layer, chosen, float(losses[layer, position]))

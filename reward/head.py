"""A linear Bradley-Terry head on features of a frozen backbone: fitted in seconds, the same under the same seed.

    P(chosen over rejected) = sigmoid(w · (f(chosen) - f(rejected)))

Source: Bradley and Terry 1952, Biometrika 39, eq. 1, with a linear strength.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import expit
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold
from threadpoolctl import threadpool_limits

from reward.metrics import log_loss

REGULARISATION = tuple(10.0**power for power in np.arange(-5, 0.5, 0.5))
"""Candidates for C, the inverse strength of the penalty |w|² / 2: small is strict."""
FOLDS = 5
MOST_STEPS, FLAT, SHORTEST = 100, 1e-6, 1e-8
"""Of Newton's method: steps, slope at which it has arrived, and part of a step below which none gains."""


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
        regularisation: values of C, above 0, smallest first: each fit starts from the one before.
        margins: the gap m asked of each comparison, at least 0, shape (comparisons,) or one number.

    Returns:
        Shape (len(regularisation), width). A feature that never differs gets weight 0.
    """
    differences = np.asarray(differences, dtype=np.float64)
    scale = feature_scale(differences, weights)
    standardised, basis = differences * scale, None
    if len(differences) < differences.shape[1]:
        # The best w is a sum of the rows: with fewer rows than features, solving in their span is exact and cheaper.
        basis, triangle = np.linalg.qr(standardised.T)
        standardised = triangle.T
    if np.any(margins):
        found = _with_margins(standardised, weights, regularisation, margins)
        return (found if basis is None else found @ basis.T) * scale
    # Every comparison says "chosen", a single class, which scikit-learn refuses. With no intercept the loss of
    # (z, 1) is that of (-z, 0), so turning every other comparison round changes nothing else.
    signs = np.where(np.arange(len(differences)) % 2 == 0, 1, -1)
    model = LogisticRegression(fit_intercept=False, solver="newton-cholesky", warm_start=True)
    found = []
    for strength in regularisation:
        model.set_params(C=strength).fit(standardised * signs[:, None], signs, sample_weight=weights)
        found.append(model.coef_[0] if basis is None else basis @ model.coef_[0])
    return np.array(found) * scale


def _with_margins(
    differences: np.ndarray, weights: np.ndarray, regularisation: Sequence[float], margins: np.ndarray | float
) -> np.ndarray:
    """Return what `fit_weights` minimises, by Newton's method: scikit-learn's models have no place for a margin.

    The loss is convex, and a step is halved until it gains, so that it always arrives.
    """

    def loss(w: np.ndarray, c: float) -> float:
        return float(c * weights @ np.logaddexp(0.0, margins - differences @ w) + w @ w / 2)

    w, found = np.zeros(differences.shape[1]), []
    for c in regularisation:
        for _ in range(MOST_STEPS):
            wrong = expit(margins - differences @ w)
            slope = w - c * differences.T @ (weights * wrong)
            if np.abs(slope).max() < FLAT:
                break
            curved = (weights * wrong * (1 - wrong))[:, None] * differences
            step = np.linalg.solve(np.eye(len(w)) + c * differences.T @ curved, slope)
            length, before = 1.0, loss(w, c)
            while loss(w - length * step, c) > before - 1e-4 * length * (slope @ step) and length > SHORTEST:
                length /= 2
            w = w - length * step
        found.append(w)
    return np.array(found)


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
    folds = GroupKFold(min(FOLDS, len(set(clusters))), shuffle=True, random_state=seed)
    asked = np.zeros(len(differences)) if margins is None else margins
    gaps = np.empty((len(regularisation), len(differences)))
    for fitted, left_out in folds.split(differences, groups=clusters):
        found = fit_weights(differences[fitted], weights[fitted], regularisation, asked[fitted])
        gaps[:, left_out] = found @ differences[left_out].T
    return np.array([log_loss(of_strength, weights) for of_strength in gaps])


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
    layers = range(differences.shape[1])
    with threadpool_limits(1):  # the matrices are small: on shared cores more threads took up to 15 times as long
        losses = np.array(
            [cross_validate(differences[:, at], weights, clusters, REGULARISATION, seed, asked) for at in layers]
        )
        layer, position = (int(at) for at in np.unravel_index(np.argmin(losses), losses.shape))
        chosen = REGULARISATION[position]
        found = fit_weights(differences[:, layer], weights, [chosen], asked)[0]
    return Head(found, layer, chosen, float(losses[layer, position]))

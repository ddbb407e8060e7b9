"""Many penalised logistic regressions on the same rows at once: every fold and every C in the same matrix products."""

import numpy as np
from scipy.special import expit

MOST_STEPS, MOST_TRIALS = 1_000, 20
"""Of all problems together, and along one direction; neither is met but by rounding."""


def minimise(
    rows: np.ndarray, weights: np.ndarray, scales: np.ndarray, margins: np.ndarray | float = 0.0, flat: float = 1e-8
) -> np.ndarray:
    """Return, for each column k, the u that minimises sum_i weights_ik log(1 + exp(m_i - u · (scales_k * row_i)))
    + |u|² / 2.

    Conjugate gradients, of Polak and Ribière and begun anew where they point uphill (Nocedal and Wright 2006, Numerical
    Optimization, algorithm 5.4 and eq. 5.45), in coordinates in which the penalty and the mean curvature of the rows
    are round. A step goes so far that the slope along it is at most half of what it was.

    Args:
        rows: shape (rows, width).
        weights: at least 0, C included, shape (rows, columns). A row of weight 0 is no part of that column's problem.
        scales: what each feature is multiplied by, shape (width, columns).
        margins: the gap m asked of each row, shape (rows,) or one number.
        flat: how much of the first slope, by its largest entry, may be left.

    Returns:
        Shape (width, columns).
    """
    basis, curvature = _mean_curvature(rows * scales.mean(1), (weights / weights.sum(0)).mean(1))
    asked = np.broadcast_to(np.asarray(margins, dtype=float), len(rows))[:, None]
    found = np.zeros(scales.shape)
    left = np.arange(found.shape[1])
    u, gaps = found.copy(), np.zeros(weights.shape)
    wrong = np.broadcast_to(expit(asked), weights.shape)
    direction = old_slope = length = None
    for step in range(MOST_STEPS):
        slope = u - scales * (rows.T @ (weights * wrong))
        steepest = np.abs(slope).max(0)
        if step == 0:
            enough = flat * steepest
        on = steepest > enough
        found[:, left] = u
        if not on.any():
            break
        if not on.all():  # those that have arrived are paid for no longer
            left, enough = left[on], enough[on]
            u, gaps, wrong, slope, weights, scales = (of[:, on] for of in (u, gaps, wrong, slope, weights, scales))
            if direction is not None:
                direction, old_slope, length = direction[:, on], old_slope[:, on], length[on]
        bent = weights * wrong * (1 - wrong)
        round_slope = slope + basis @ ((1 / (1 + bent.sum(0) * curvature[:, None]) - 1) * (basis.T @ slope))
        if direction is None:
            direction = -round_slope
        else:
            kept = np.maximum(0.0, ((slope - old_slope) * round_slope).sum(0) / length)
            direction = kept * direction - round_slope
            direction = np.where((direction * slope).sum(0) < 0, direction, -round_slope)
        old_slope, length = slope, (slope * round_slope).sum(0)

        towards = rows @ (scales * direction)
        down, along, size = (direction * slope).sum(0), (direction * u).sum(0), (direction**2).sum(0)
        far = -down / (size + (bent * towards**2).sum(0))
        weighed = weights * towards
        for _ in range(MOST_TRIALS):
            wrong = expit(asked - gaps - far * towards)
            after = along + far * size - (weighed * wrong).sum(0)
            again = np.abs(after) > 0.5 * np.abs(down)
            if not again.any():
                break
            far = np.where(again, far * down / (down - after), far)
        u, gaps = u + far * direction, gaps + far * towards
    return found


def _mean_curvature(rows: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return eigenvectors, shape (width, n), and eigenvalues, shape (n,), of sum_i weight_i row_i row_iᵀ."""
    if len(rows) < rows.shape[1]:
        _, singular, basis = np.linalg.svd(np.sqrt(weights)[:, None] * rows, full_matrices=False)
        return basis.T, singular**2
    values, basis = np.linalg.eigh((rows * weights[:, None]).T @ rows)
    return basis, np.maximum(values, 0.0)

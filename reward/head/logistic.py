"""Many penalised logistic regressions on the same rows at once: every fold and every C in the same matrix products."""

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

MOST_STEPS, MOST_TRIALS = 1_000, 20
"""Limits of the steps for all problems together, and of the trials along one direction. Rounding errors aside, neither
limit is ever reached."""


def minimise(
    rows: NDArray[np.float64],
    weights: NDArray[np.float64],
    scales: NDArray[np.float64],
    margins: NDArray[np.float64] | float = 0.0,
    tolerance: float = 1e-8,
) -> NDArray[np.float64]:
    """Return, for each column k, the u that minimises sum_i weights_ik log(1 + exp(m_i - u · (scales_k * row_i)))
    + |u|² / 2.

    Uses conjugate gradients after Polak and Ribière, restarted where they point uphill (Nocedal and Wright 2006,
    Numerical Optimization, algorithm 5.4 and eq. 5.45), preconditioned with the penalty and the mean curvature of the
    rows. Each step goes so far that the slope along it falls to at most half.

    Args:
        rows: shape (rows, width).
        weights: at least 0, C included, shape (rows, columns). A row with weight 0 is not part of the column's problem.
        scales: factor of each feature, shape (width, columns).
        margins: the margin m of each row, shape (rows,) or a number.
        tolerance: share of the first gradient, by its largest entry, at which a problem counts as solved.

    Returns:
        Shape (width, columns).
    """
    basis, curvature = _mean_curvature(rows * scales.mean(1), (weights / weights.sum(0)).mean(1))
    margin = np.broadcast_to(np.asarray(margins, dtype=float), (len(rows),))[:, None]
    solution = np.zeros(scales.shape)
    columns = np.arange(weights.shape[1])  # the problems that are not solved yet
    u, gaps = solution.copy(), np.zeros(weights.shape)
    wrong = np.broadcast_to(expit(margin), weights.shape)
    direction: NDArray[np.float64] | None = None
    old_slope = length = enough = np.zeros(0)
    for step in range(MOST_STEPS):
        slope = u - scales * (rows.T @ (weights * wrong))
        steepest = np.abs(slope).max(0)
        if step == 0:
            enough = tolerance * steepest
        unsolved = steepest > enough
        solution[:, columns] = u
        if not unsolved.any():
            break
        if not unsolved.all():  # compute no longer for the solved problems
            columns, enough = columns[unsolved], enough[unsolved]
            u, gaps, wrong = u[:, unsolved], gaps[:, unsolved], wrong[:, unsolved]
            slope, weights, scales = slope[:, unsolved], weights[:, unsolved], scales[:, unsolved]
            if direction is not None:
                direction, old_slope, length = direction[:, unsolved], old_slope[:, unsolved], length[unsolved]
        bend = weights * wrong * (1 - wrong)
        preconditioned = slope + basis @ ((1 / (1 + bend.sum(0) * curvature[:, None]) - 1) * (basis.T @ slope))
        if direction is None:
            direction = -preconditioned
        else:
            kept = np.maximum(0.0, ((slope - old_slope) * preconditioned).sum(0) / length)
            direction = kept * direction - preconditioned
            direction = np.where((direction * slope).sum(0) < 0, direction, -preconditioned)
        old_slope, length = slope, (slope * preconditioned).sum(0)

        gap_change = rows @ (scales * direction)
        down, along, size = (direction * slope).sum(0), (direction * u).sum(0), (direction**2).sum(0)
        distance = -down / (size + (bend * gap_change**2).sum(0))
        weighted = weights * gap_change
        for _ in range(MOST_TRIALS):
            wrong = expit(margin - gaps - distance * gap_change)
            after = along + distance * size - (weighted * wrong).sum(0)
            too_steep = np.abs(after) > 0.5 * np.abs(down)
            if not too_steep.any():
                break
            distance = np.where(too_steep, distance * down / (down - after), distance)
        u, gaps = u + distance * direction, gaps + distance * gap_change
    return solution


def _mean_curvature(
    rows: NDArray[np.float64], weights: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return eigenvectors, shape (width, n), and eigenvalues, shape (n,), of sum_i weight_i row_i row_iᵀ."""
    if len(rows) < rows.shape[1]:
        _, singular, basis = np.linalg.svd(np.sqrt(weights)[:, None] * rows, full_matrices=False)
        return basis.T, singular**2
    values, basis = np.linalg.eigh((rows * weights[:, None]).T @ rows)
    return basis, np.maximum(values, 0.0)

import numpy as np
import pytest
from scipy.optimize import minimize

from reward.head.logistic import minimise


def loss(u, rows, weights, scale, margins):
    return weights @ np.logaddexp(0.0, margins - (rows * scale) @ u) + u @ u / 2


def slope(u, rows, weights, scale, margins):
    wrong = 1 / (1 + np.exp((rows * scale) @ u - margins))
    return u - (rows * scale).T @ (weights * wrong)


@pytest.mark.parametrize("rows, width", [(40, 6), (12, 30)], ids=["more rows than features", "fewer"])
@pytest.mark.parametrize("margin", [0.0, 2.5], ids=["no margin", "margins"])
def test_every_column_is_the_minimum_that_a_stock_optimiser_finds(rows, width, margin):
    """Six problems at once: C from almost 0 to large enough to memorise the rows, a fold left out of every second
    problem, and features scaled differently in each.
    """
    rng = np.random.default_rng(0)
    data, margins = rng.normal(size=(rows, width)) + 0.3, margin * rng.random(rows)
    strengths = np.array([1e-4, 1e-2, 0.1, 1.0, 10.0, 1_000.0])
    weights = rng.random((rows, 6)) * strengths
    weights[: rows // 4, ::2] = 0
    scales = 0.5 + rng.random((width, 6))
    solution = minimise(data, weights, scales, margins)
    for column in range(6):
        problem = data, weights[:, column], scales[:, column], margins
        stock = minimize(loss, np.zeros(width), problem, "BFGS", slope, options={"gtol": 1e-9, "maxiter": 5_000})
        assert solution[:, column] == pytest.approx(stock.x, abs=1e-5 * (1 + np.abs(stock.x).max()))


def test_the_gradient_is_within_the_tolerance():
    """The tolerance is relative to the gradient at 0, which is half of the sum of the weighted rows."""
    rng = np.random.default_rng(1)
    data, weights, scales = rng.normal(size=(200, 20)) + 0.2, np.ones((200, 1)), np.ones((20, 1))
    first = np.abs(slope(np.zeros(20), data, weights[:, 0], scales[:, 0], 0.0)).max()
    for tolerance in (1e-1, 1e-4, 1e-9):
        (solution,) = minimise(data, weights, scales, tolerance=tolerance).T
        assert np.abs(slope(solution, data, weights[:, 0], scales[:, 0], 0.0)).max() <= tolerance * first


def test_rows_of_zeros_give_weights_of_zero():
    assert minimise(np.zeros((3, 2)), np.ones((3, 1)), np.ones((2, 1))).tolist() == [[0.0], [0.0]]

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
@pytest.mark.parametrize("asked", [0.0, 2.5], ids=["no margin", "margins"])
def test_every_column_is_the_minimum_that_a_stock_optimiser_finds(rows, width, asked):
    """Six problems at once: C from next to nothing to what lets the rows be learned by heart, a fold left out of each
    other one, and features scaled otherwise in each.
    """
    chance = np.random.default_rng(0)
    data, margins = chance.normal(size=(rows, width)) + 0.3, asked * chance.random(rows)
    strengths = np.array([1e-4, 1e-2, 0.1, 1.0, 10.0, 1_000.0])
    weights = chance.random((rows, 6)) * strengths
    weights[: rows // 4, ::2] = 0
    scales = 0.5 + chance.random((width, 6))
    found = minimise(data, weights, scales, margins)
    for column in range(6):
        problem = data, weights[:, column], scales[:, column], margins
        stock = minimize(loss, np.zeros(width), problem, "BFGS", slope, options={"gtol": 1e-9, "maxiter": 5_000})
        assert found[:, column] == pytest.approx(stock.x, abs=1e-5 * (1 + np.abs(stock.x).max()))


def test_a_rough_answer_is_rough_by_as_much_as_was_allowed():
    """The steepest slope at 0 is that of u itself: half of the sum of the weighed rows."""
    chance = np.random.default_rng(1)
    data, weights, scales = chance.normal(size=(200, 20)) + 0.2, np.ones((200, 1)), np.ones((20, 1))
    first = np.abs(slope(np.zeros(20), data, weights[:, 0], scales[:, 0], 0.0)).max()
    for tolerance in (1e-1, 1e-4, 1e-9):
        (found,) = minimise(data, weights, scales, tolerance=tolerance).T
        assert np.abs(slope(found, data, weights[:, 0], scales[:, 0], 0.0)).max() <= tolerance * first


def test_rows_that_say_nothing_give_weights_of_nothing():
    assert minimise(np.zeros((3, 2)), np.ones((3, 1)), np.ones((2, 1))).tolist() == [[0.0], [0.0]]

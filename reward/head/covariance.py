"""How sure a linear head is of its rewards: how far they would move had other prompts been ranked.

A jackknife: leave each prompt out, see where the weights go, and add up the squares of the steps,

    covariance = (n - 1) / n sum over n prompts of step step^T

To fit anew without each prompt would take minutes; a Newton step from the fit to all of them takes none. With the
prompt's standardised differences of features as rows of Z, the weight of each comparison (those of a ranking sum to 1)
and the probability p that the fit gives to the choice that was made,

    step = -H^-1 Z^T (I - V Z H^-1 Z^T)^-1 r,    H = sum over all of weight p (1 - p) z z^T + I / C
    V = diag(weight p (1 - p)),    r = weight (1 - p)

Source: Efron and Stein 1981, Ann. Statist. 9, for the jackknife; Bell and McCaffrey 2002, Survey Methodology 28, for
clusters left out whole; the step is that of Pregibon 1981, Ann. Statist. 9, eq. 9. Laplace's approximation, H^-1 alone,
takes the penalty for knowledge: on held-out comparisons of real rankings it is two to four times too wide
(docs/results.md).
"""

import numpy as np
from scipy.special import expit

from reward.head.fitting import Head, feature_scale
from reward.model.uncertainty import Uncertainty


def over_prompts(
    differences: np.ndarray,
    weights: np.ndarray,
    clusters: np.ndarray,
    head: Head,
    origin: np.ndarray,
    margins: np.ndarray | float = 0.0,
) -> Uncertainty:
    """Return how far a head may be off that `fit_weights` fitted on these differences with its C.

    A feature in which no two compared completions differ has weight 0, and no deviation.

    Args:
        differences: features of the chosen less those of the rejected, shape (comparisons, width).
        weights: shape (comparisons,).
        clusters: the prompt (or first turn) of each comparison; at least two.
        origin: mean feature vector of the training completions, shape (width,).
        margins: the gap that was asked of each comparison, as `fit_weights` got it.
    """
    differences = np.asarray(differences, dtype=np.float64)
    scale = feature_scale(differences, weights)
    rows, missing = differences * scale, expit(margins - differences @ head.weights)
    slope, bend = weights * missing, weights * missing * (1 - missing)
    curvature = (rows * bend[:, None]).T @ rows
    curvature[np.diag_indices_from(curvature)] += 1 / head.regularisation
    solved = np.linalg.solve(curvature, rows.T).T
    order = np.argsort(clusters, kind="stable")
    prompts = np.split(order, np.flatnonzero(np.asarray(clusters)[order][1:] != np.asarray(clusters)[order][:-1]) + 1)
    steps = np.empty((len(prompts), len(scale)))
    for number, prompt in enumerate(prompts):
        others = np.eye(len(prompt)) - bend[prompt, None] * (rows[prompt] @ solved[prompt].T)
        steps[number] = solved[prompt].T @ np.linalg.solve(others, slope[prompt])
    spread = steps * scale * np.sqrt((len(prompts) - 1) / len(prompts))
    factor = np.linalg.qr(spread, mode="r")
    return Uncertainty(np.asarray(origin, dtype=np.float32), factor.astype(np.float32))

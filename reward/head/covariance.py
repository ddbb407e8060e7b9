"""The uncertainty of a linear head's rewards: how far they would move if other prompts had been ranked.

This is a jackknife: leave each prompt out, see how the weights change, and add up the squared steps,

    covariance = (n - 1) / n sum over n prompts of step step^T

Refitting without each prompt would take minutes; a Newton step from the fit to all prompts takes almost no time. With
the standardised feature differences of a prompt as rows of Z, the weight of each comparison (those of a ranking sum to
1) and the probability p that the fit gives to the annotator's choice,

    step = -H^-1 Z^T (I - V Z H^-1 Z^T)^-1 r,    H = sum over all of weight p (1 - p) z z^T + I / C
    V = diag(weight p (1 - p)),    r = weight (1 - p)

Source: Efron and Stein 1981, Ann. Statist. 9, for the jackknife; Bell and McCaffrey 2002, Survey Methodology 28, for
leaving out whole clusters; the step is from Pregibon 1981, Ann. Statist. 9, eq. 9. Laplace's approximation, H^-1 alone,
treats the penalty as knowledge: on held-out comparisons of real rankings it is two to four times too wide
(docs/results.md).
"""

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from reward.head.fitting import Head, feature_scale
from reward.model.uncertainty import Uncertainty


def jackknife(
    differences: NDArray[np.floating],
    weights: NDArray[np.float64],
    clusters: NDArray[np.str_],
    head: Head,
    origin: NDArray[np.floating],
    margins: NDArray[np.float64] | float = 0.0,
) -> Uncertainty:
    """Return the uncertainty of a head that `fit_weights` fitted to these differences with the head's C.

    A feature that never differs between two compared completions has weight 0, and no uncertainty.

    Args:
        differences: features of the chosen less those of the rejected, shape (comparisons, width).
        weights: weight of each comparison, shape (comparisons,).
        clusters: the prompt (or first turn) of each comparison; at least two different ones.
        origin: mean feature vector of the training completions, shape (width,).
        margins: the margins that `fit_weights` got.
    """
    precise = np.asarray(differences, dtype=np.float64)
    scale = feature_scale(precise, weights)
    rows, missing = precise * scale, expit(margins - precise @ head.weights)
    slope, curvature_of_rows = weights * missing, weights * missing * (1 - missing)
    curvature = (rows * curvature_of_rows[:, None]).T @ rows
    curvature[np.diag_indices_from(curvature)] += 1 / head.regularisation
    solved = np.linalg.solve(curvature, rows.T).T
    order = np.argsort(clusters, kind="stable")
    sorted_clusters = np.asarray(clusters)[order]
    prompts = np.split(order, np.flatnonzero(sorted_clusters[1:] != sorted_clusters[:-1]) + 1)
    steps = np.empty((len(prompts), len(scale)))
    for number, prompt in enumerate(prompts):
        others = np.eye(len(prompt)) - curvature_of_rows[prompt, None] * (rows[prompt] @ solved[prompt].T)
        steps[number] = solved[prompt].T @ np.linalg.solve(others, slope[prompt])
    spread = steps * scale * np.sqrt((len(prompts) - 1) / len(prompts))
    factor = np.asarray(np.linalg.qr(spread, mode="r"), dtype=np.float32)
    return Uncertainty(np.asarray(origin, dtype=np.float32), factor)

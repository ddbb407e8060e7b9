"""A paired test of two models on the same comparisons, computed from their margins.

Prompts are the independent units: the comparisons of one prompt are not independent of each other.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from label_data.intervals import Estimate, mean_with_interval
from reward import metrics

MOST_EXACT = 20
"""Up to this many prompts on which the models differ, all 2^n sign flips are counted."""
DRAWS = 100_000
"""Random sign flips where there are too many to count."""


@dataclass(frozen=True, slots=True)
class Paired:
    """The difference between two models on the same comparisons."""

    accuracy: Estimate
    """Accuracy of the first minus that of the second model, with an interval that resamples prompts."""
    log_loss: Estimate
    """Log loss of the first minus that of the second model: below 0 the first is better."""
    p: float
    """Probability of an accuracy difference at least this large if the models are equally good: see `sign_flips`."""
    differing: int
    """Prompts on which the models differ in accuracy; the test uses no others."""
    first_better: int
    second_better: int
    """Prompts on which each model is ahead."""
    disagreements: int
    """Comparisons that the models order differently."""


def sign_flips(values: np.ndarray, seed: int = 0) -> float:
    """Return the two-sided p of the sum of the values if each sign were + or - with probability 1/2.

    If two models are equally good, either is ahead on a prompt with the same probability, by whatever amount. So p is
    the share of the 2^n ways to give the n values signs whose sum is at least as far from 0. Up to MOST_EXACT values
    other than 0, all ways are counted. Above that, DRAWS random ways are counted together with the observed signs, so
    that p is never 0.

    Source: Fisher 1935, The Design of Experiments, section 21; for counting the observed signs, Phipson and Smyth 2010,
    Statist. Appl. Genet. Mol. Biol. 9, eq. 2.
    """
    values = values[values != 0]
    if not len(values):
        return 1.0
    # Without this slack, rounding would decide whether a sum is as far from 0 as the observed sum.
    observed = abs(values.sum()) - 1e-9 * np.abs(values).sum()
    if len(values) <= MOST_EXACT:
        sums = np.zeros(1)
        for value in values:
            sums = np.concatenate([sums + value, sums - value])
        return float(np.mean(np.abs(sums) >= observed))
    rng, reached, remaining = np.random.default_rng(seed), 0, DRAWS
    while remaining:
        size = min(remaining, max(1, 4_000_000 // len(values)))
        signs = 2.0 * rng.integers(2, size=(size, len(values)), dtype=np.int8) - 1
        reached += int(np.sum(np.abs(signs @ values) >= observed))
        remaining -= size
    return (reached + 1) / (DRAWS + 1)


def paired_difference(
    first: np.ndarray, second: np.ndarray, weights: np.ndarray, clusters: Sequence[str] | np.ndarray, seed: int = 0
) -> Paired:
    """Return the difference between two models from their margins on the same comparisons.

    Args:
        first, second: margins, shape (comparisons,).
        weights: shape (comparisons,); the weights of one ranking sum to 1.
        clusters: the prompt of each comparison.
        seed: seed of the bootstrap and of random sign flips.
    """
    difference = metrics.correct(first) - metrics.correct(second)
    prompts = np.asarray(clusters, dtype=str)
    names, cluster = np.unique(prompts, return_inverse=True)
    by_prompt = np.bincount(cluster, weights=weights * difference, minlength=len(names))
    by_prompt[np.abs(by_prompt) < 1e-12] = 0  # thirds do not cancel exactly
    losses = metrics.losses(first) - metrics.losses(second)
    return Paired(
        accuracy=mean_with_interval(difference, weights, prompts, seed),
        log_loss=mean_with_interval(losses, weights, prompts, seed),
        p=sign_flips(by_prompt, seed),
        differing=int(np.sum(by_prompt != 0)),
        first_better=int(np.sum(by_prompt > 0)),
        second_better=int(np.sum(by_prompt < 0)),
        disagreements=int(np.sum(np.sign(first) != np.sign(second))),
    )

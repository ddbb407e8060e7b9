"""Is one of two models better on the same comparisons, or is that chance? Computed from margins, without a model.

A prompt is what chance draws: what is said of one prompt, by whomever, stands or falls together.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from label_data.intervals import Estimate, mean_with_interval
from reward import metrics

MOST_EXACT = 20
"""Prompts on which two models differ up to which every way to turn their signs is counted: 2^20 of them."""
DRAWS = 100_000
"""Ways to turn the signs that chance takes where there are too many to count."""


@dataclass(frozen=True, slots=True)
class Paired:
    """What two models' rewards of the same comparisons say of the difference between them."""

    accuracy: Estimate
    """Accuracy of the first less that of the second, with an interval that resamples prompts."""
    log_loss: Estimate
    """Log-loss of the first less that of the second: below 0 the first is better."""
    p: float
    """How probable a difference in accuracy at least as large is if the two are equally good: see `sign_flips`."""
    differing: int
    """Prompts on which they differ in accuracy; the others say nothing."""
    first_better: int
    second_better: int
    """Of those prompts, on how many each is ahead."""
    disagreements: int
    """Comparisons that they order differently."""


def sign_flips(values: np.ndarray, seed: int = 0) -> float:
    """Return the two-sided p of the sum of the values if each had either sign with probability 1/2.

    Were two models equally good, which of them is ahead on a prompt would be chance, whatever it is ahead by. So the p
    is the share of the 2^n ways to give the n values signs whose sum is at least as far from 0. Up to MOST_EXACT values
    other than 0 all are counted; above, DRAWS of them, and the observed one with them, so that p is never 0.

    Source: Fisher 1935, The Design of Experiments, section 21; the added one is that of Phipson and Smyth 2010,
    Statist. Appl. Genet. Mol. Biol. 9, eq. 2.
    """
    values = values[values != 0]
    if not len(values):
        return 1.0
    # Rounding must not decide whether a sum is as far from 0 as another.
    observed = abs(values.sum()) - 1e-9 * np.abs(values).sum()
    if len(values) <= MOST_EXACT:
        sums = np.zeros(1)
        for value in values:
            sums = np.concatenate([sums + value, sums - value])
        return float(np.mean(np.abs(sums) >= observed))
    chance, reached, left = np.random.default_rng(seed), 0, DRAWS
    while left:
        some = min(left, max(1, 4_000_000 // len(values)))
        signs = 2.0 * chance.integers(2, size=(some, len(values)), dtype=np.int8) - 1
        reached += int(np.sum(np.abs(signs @ values) >= observed))
        left -= some
    return (reached + 1) / (DRAWS + 1)


def paired(
    first: np.ndarray, second: np.ndarray, weights: np.ndarray, clusters: Sequence[str], seed: int = 0
) -> Paired:
    """Return the difference between two models from their margins on the same comparisons.

    Args:
        first, second: margins, shape (comparisons,).
        weights: shape (comparisons,); those of one ranking sum to 1.
        clusters: the prompt of each comparison.
    """
    better = metrics.correct(first) - metrics.correct(second)
    names, cluster = np.unique(np.asarray(clusters, dtype=str), return_inverse=True)
    by_prompt = np.bincount(cluster, weights=weights * better, minlength=len(names))
    by_prompt[np.abs(by_prompt) < 1e-12] = 0  # thirds do not cancel to the bit
    losses = metrics.losses(first) - metrics.losses(second)
    return Paired(
        accuracy=mean_with_interval(better, weights, clusters, seed),
        log_loss=mean_with_interval(losses, weights, clusters, seed),
        p=sign_flips(by_prompt, seed),
        differing=int(np.sum(by_prompt != 0)),
        first_better=int(np.sum(by_prompt > 0)),
        second_better=int(np.sum(by_prompt < 0)),
        disagreements=int(np.sum(np.sign(first) != np.sign(second))),
    )

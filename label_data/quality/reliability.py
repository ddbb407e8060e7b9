"""How reliable each annotator is, and how much their rankings should weigh.

Dawid and Skene's model on pairs: a pair has a true answer (the first is better, a tie, the second is better), drawn
with common shares, and each annotator gives it, calls a tie or turns it round with probabilities of their own. Which of
a pair is first is arbitrary, so an annotator errs on both sides alike: three numbers for a true preference, one for a
true tie. Truth and probabilities are found together by expectation and maximisation; no gold answers are needed, but
pairs that several annotators judged are.

Source: Dawid and Skene 1979, Applied Statistics 28, eqs. 2.3 to 2.5.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from scipy.special import logsumexp

from label_data.intervals import Estimate, estimates
from label_data.quality.judgements import Judgements
from label_data.records import Comparison

PRIOR = 4.0
"""Judgements by the average annotator that everyone is given beforehand: who has judged little is taken as average."""
ROUNDS, SMALLEST = 300, 1e-10
TOLERANCE = 1e-6
"""Gain in log-likelihood a pair below which it ends: how often a true preference is called a tie settles slowly."""
CERTAIN = 0.99
"""No annotator is trusted beyond this when votes are weighed: a single one could otherwise outvote everybody."""


@dataclass(frozen=True, slots=True)
class Reliability:
    """How an annotator judges pairs of which one is truly better."""

    right: Estimate
    """Probability of the right side among the times a side is taken; 0.5 is a coin. The interval resamples prompts and
    takes the truth as found, so it is a little narrow. Counted are pairs that others judged too."""
    tie: float
    """Probability of calling a true preference a tie."""
    true_tie: float
    """Probability of calling a true tie a tie."""


@dataclass(frozen=True, slots=True)
class Truth:
    """What the annotators' judgements together say."""

    pairs: pd.DataFrame
    """A row a pair: first, second (rows of completions), probability of better, tie and worse for the first, voices."""
    annotators: dict[str, Reliability]
    tied: float
    """Share of true ties."""


def dawid_skene(judged: Judgements, prior: float = PRIOR, seed: int = 0) -> Truth:
    """Return the truth of every pair and the reliability of every annotator.

    Args:
        prior: weight of the average annotator in each annotator's probabilities, in judgements; 0 gives Dawid and
            Skene's maximum likelihood.
        seed: decides the resamples of the intervals.
    """
    table = judged.once()
    unit, said = table["unit"].to_numpy(int), table["judgement"].to_numpy(int)
    names, annotator = np.unique(table["annotator"].to_numpy(str), return_inverse=True)
    answer = 3 * annotator + 1 - said
    units, log_likelihood = int(unit.max(initial=-1)) + 1, -np.inf
    truth = np.column_stack([np.bincount(unit[said == value], minlength=units) for value in (1, 0, -1)]).astype(float)
    voices = truth.sum(axis=1)
    truth /= np.maximum(voices, 1)[:, None]
    chances = _chances(truth, unit, answer, len(names), prior)
    for _ in range(ROUNDS if units else 0):
        tied = truth[:, TIE].mean()
        logs = np.log(np.maximum(_given_truth(chances), SMALLEST)).reshape(-1, 3)[answer]
        scores = np.column_stack([np.bincount(unit, weights=column, minlength=units) for column in logs.T])
        scores += np.log(np.maximum([(1 - tied) / 2, tied, (1 - tied) / 2], SMALLEST))
        total = logsumexp(scores, axis=1, keepdims=True)
        truth = np.exp(scores - total)
        chances = _chances(truth, unit, answer, len(names), prior)
        if total.sum() - log_likelihood < TOLERANCE * units:
            break
        log_likelihood = total.sum()

    is_shared, prompts = voices[unit] > 1, table["prompt"].to_numpy()
    annotators = {}
    for code, name in enumerate(names.tolist()):
        mine = is_shared & (annotator == code)
        right = _right(truth[unit[mine]], said[mine], prompts[mine], chances[code], seed)
        annotators[name] = Reliability(right, float(chances[code, TIE]), float(chances[code, TRUE_TIE]))
    pairs = table.drop_duplicates("unit").sort_values("unit", ignore_index=True)[["first", "second"]]
    pairs = pairs.assign(better=truth[:, 0], tie=truth[:, 1], worse=truth[:, 2], voices=voices.astype(int))
    return Truth(pairs, annotators, float(truth[:, TIE].mean()) if units else float("nan"))


RIGHT, TIE, WRONG, TRUE_TIE = range(4)
"""An annotator's probabilities: the first three of a true preference, the last of a true tie."""


def _chances(truth: np.ndarray, unit: np.ndarray, answer: np.ndarray, annotators: int, prior: float) -> np.ndarray:
    """Return every annotator's probabilities given the truth, shape (annotators, 4)."""
    counts = [np.bincount(answer, weights=column, minlength=3 * annotators) for column in truth[unit].T]
    said = np.stack(counts, axis=-1).reshape(-1, 3, 3)
    preferred = np.column_stack(
        [said[:, 0, 0] + said[:, 2, 2], said[:, 1, 0] + said[:, 1, 2], said[:, 0, 2] + said[:, 2, 0]]
    )
    tied = np.column_stack([said[:, 1, 1], said[:, 0, 1] + said[:, 2, 1]])
    return np.column_stack([_smoothed(preferred, prior), _smoothed(tied, prior)[:, 0]])


def _smoothed(counts: np.ndarray, prior: float) -> np.ndarray:
    """Return the shares in each row, `prior` counts of the average row added."""
    total = counts.sum(axis=0)
    found = counts + prior * total / max(total.sum(), SMALLEST)
    return found / np.maximum(found.sum(axis=1, keepdims=True), SMALLEST)


def _given_truth(chances: np.ndarray) -> np.ndarray:
    """Return the probability of each answer under each truth, shape (annotators, 3 answers, 3 truths)."""
    right, tie, wrong, true_tie = chances.T
    rows = [[right, (1 - true_tie) / 2, wrong], [tie, true_tie, tie], [wrong, (1 - true_tie) / 2, right]]
    return np.moveaxis(np.array(rows), -1, 0)


def _right(truth: np.ndarray, said: np.ndarray, prompts: np.ndarray, chances: np.ndarray, seed: int) -> Estimate:
    """Return the share of the right side with its interval: the value of the model, the ends by resampling prompts."""
    taken = chances[RIGHT] + chances[WRONG]
    value = float(chances[RIGHT] / taken) if taken > 0 else float("nan")
    if not len(said):
        return Estimate(value, float("nan"), float("nan"), 0, 0)
    better, _, worse = truth.T
    parts = (
        np.column_stack([np.where(said > 0, better, worse), np.where(said > 0, worse, better)]) * (said != 0)[:, None]
    )
    found = estimates(parts, prompts, {"": _share_right}, seed=seed)[""]
    return replace(found, value=value, low=min(found.low, value), high=max(found.high, value))


def _share_right(sums: np.ndarray) -> np.ndarray:
    """Return right / (right + wrong), with half a judgement on either side: who never erred yet is not infallible."""
    return (sums[..., 0] + 0.5) / (sums[..., 0] + sums[..., 1] + 1)


# Weights


def annotator_weights(annotators: Mapping[str, Reliability]) -> dict[str, float]:
    """Return how much each annotator's rankings should weigh in training, 1 for the average over annotators.

    The weight is 2 p - 1 for the probability p of the right side: how much of a comparison is signal where the rest is
    a coin. A coin or worse weighs 0. With nobody better than a coin everyone weighs 1.
    """
    signal = {name: max(0.0, 2 * one.right.value - 1) for name, one in annotators.items()}
    mean = sum(signal.values()) / max(len(signal), 1)
    return {name: one / mean if mean > 0 else 1.0 for name, one in signal.items()}


def weighted(comparison: Comparison, weights: Mapping[str, float]) -> Comparison:
    """Return the comparison with its weight multiplied by its annotator's, 1 for an annotator who has none."""
    return replace(comparison, weight=comparison.weight * weights.get(comparison.annotator, 1.0))

"""Reliability of each annotator by Dawid and Skene's model, and the weight of their rankings.

The model on pairs: a pair has a true judgement (the first is better, a tie, the second is better), drawn with common
shares. Each annotator gives the true judgement, a tie, or the opposite with probabilities of their own. Which
completion of a pair is first is arbitrary, so an annotator errs on both sides alike: three probabilities for a true
preference, one for a true tie. Truth and probabilities are fitted together by expectation maximisation. This needs
pairs that several annotators judged, but no gold rankings.

Source: Dawid and Skene 1979, Applied Statistics 28, eqs. 2.3 to 2.5.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import nan

import numpy as np
import pandas as pd
from scipy.special import logsumexp

from label_data.intervals import Estimate, estimates
from label_data.quality.judgements import Judgements
from label_data.records import Comparison

PRIOR = 4.0
"""Judgements of the average annotator that are added to everyone's, so that who judged little counts as average."""
ROUNDS, SMALLEST = 300, 1e-10
TOLERANCE = 1e-6
"""Gain in log-likelihood per pair at which the fit stops. It is small because the probability of calling a true
preference a tie converges slowly."""
CERTAIN = 0.99
"""Upper limit on an annotator's probabilities in weighted votes: otherwise one annotator could outvote all others."""


@dataclass(frozen=True, slots=True)
class Reliability:
    """An annotator's probabilities."""

    right: Estimate
    """Probability of the correct preference, given that the annotator prefers a side of a true preference; 0.5 is
    chance. The interval resamples prompts and takes the fitted truth as given, so it is slightly too narrow. Its count
    is the number of pairs that others judged too."""
    tie: float
    """Probability of calling a true preference a tie."""
    true_tie: float
    """Probability of calling a true tie a tie."""


@dataclass(frozen=True, slots=True)
class Truth:
    """The fitted model: the truth of each pair and the annotators' reliability."""

    pairs: pd.DataFrame
    """One row per pair: first, second (rows of completions), better, tie, worse (probabilities for the first), voices
    (how many annotators judged it)."""
    annotators: dict[str, Reliability]
    tied: float
    """Share of true ties."""


def dawid_skene(judged: Judgements, prior: float = PRIOR, seed: int = 0) -> Truth:
    """Fit the truth of every pair and the reliability of every annotator.

    Args:
        prior: weight of the average annotator in each annotator's probabilities, in judgements; 0 gives Dawid and
            Skene's maximum likelihood.
        seed: decides the resamples of the intervals.
    """
    table = judged.once()
    unit, judgement = table["unit"].to_numpy(int), table["judgement"].to_numpy(int)
    names, annotator = np.unique(table["annotator"].to_numpy(str), return_inverse=True)
    answer = 3 * annotator + 1 - judgement
    units, log_likelihood = int(unit.max(initial=-1)) + 1, -np.inf
    votes = [np.bincount(unit[judgement == value], minlength=units) for value in (1, 0, -1)]
    truth = np.column_stack(votes).astype(float)
    voices = truth.sum(axis=1)
    truth /= np.maximum(voices, 1)[:, None]
    probabilities = _probabilities(truth, unit, answer, len(names), prior)
    for _ in range(ROUNDS if units else 0):
        tied = truth[:, TIE].mean()
        logs = np.log(np.maximum(_given_truth(probabilities), SMALLEST)).reshape(-1, 3)[answer]
        scores = np.column_stack([np.bincount(unit, weights=column, minlength=units) for column in logs.T])
        scores += np.log(np.maximum([(1 - tied) / 2, tied, (1 - tied) / 2], SMALLEST))
        total = logsumexp(scores, axis=1, keepdims=True)
        truth = np.exp(scores - total)
        probabilities = _probabilities(truth, unit, answer, len(names), prior)
        if total.sum() - log_likelihood < TOLERANCE * units:
            break
        log_likelihood = total.sum()

    is_shared, prompts = voices[unit] > 1, table["prompt"].to_numpy()
    annotators = {}
    for code, name in enumerate(names.tolist()):
        own = is_shared & (annotator == code)
        right = _right(truth[unit[own]], judgement[own], prompts[own], probabilities[code], seed)
        annotators[name] = Reliability(right, float(probabilities[code, TIE]), float(probabilities[code, TRUE_TIE]))
    pairs = table.drop_duplicates("unit").sort_values("unit", ignore_index=True)[["first", "second"]]
    pairs = pairs.assign(better=truth[:, 0], tie=truth[:, 1], worse=truth[:, 2], voices=voices.astype(int))
    return Truth(pairs, annotators, float(truth[:, TIE].mean()) if units else float("nan"))


RIGHT, TIE, WRONG, TRUE_TIE = range(4)
"""Columns of an annotator's probabilities: the first three given a true preference, the last given a true tie."""


def _probabilities(
    truth: np.ndarray, unit: np.ndarray, answer: np.ndarray, annotators: int, prior: float
) -> np.ndarray:
    """Return every annotator's probabilities given the truth, shape (annotators, 4)."""
    counts = [np.bincount(answer, weights=column, minlength=3 * annotators) for column in truth[unit].T]
    given = np.stack(counts, axis=-1).reshape(-1, 3, 3)
    preferred = np.column_stack(
        [given[:, 0, 0] + given[:, 2, 2], given[:, 1, 0] + given[:, 1, 2], given[:, 0, 2] + given[:, 2, 0]]
    )
    tied = np.column_stack([given[:, 1, 1], given[:, 0, 1] + given[:, 2, 1]])
    return np.column_stack([_smoothed(preferred, prior), _smoothed(tied, prior)[:, 0]])


def _smoothed(counts: np.ndarray, prior: float) -> np.ndarray:
    """Return the shares in each row after adding `prior` counts of the average row."""
    total = counts.sum(axis=0)
    smoothed = counts + prior * total / max(total.sum(), SMALLEST)
    return np.asarray(smoothed / np.maximum(smoothed.sum(axis=1, keepdims=True), SMALLEST))


def _given_truth(probabilities: np.ndarray) -> np.ndarray:
    """Return the probability of each judgement given each truth, shape (annotators, 3 judgements, 3 truths)."""
    right, tie, wrong, true_tie = probabilities.T
    rows = [[right, (1 - true_tie) / 2, wrong], [tie, true_tie, tie], [wrong, (1 - true_tie) / 2, right]]
    return np.moveaxis(np.array(rows), -1, 0)


def _right(
    truth: np.ndarray, judgement: np.ndarray, prompts: np.ndarray, probabilities: np.ndarray, seed: int
) -> Estimate:
    """Return the probability of the correct preference: the model's value, with an interval that resamples prompts."""
    preferred = probabilities[RIGHT] + probabilities[WRONG]
    value = float(probabilities[RIGHT] / preferred) if preferred > 0 else nan
    if not len(judgement):
        return Estimate(value, nan, nan, 0, 0)
    better, _, worse = truth.T
    sides = [np.where(judgement > 0, better, worse), np.where(judgement > 0, worse, better)]
    parts = np.column_stack(sides) * (judgement != 0)[:, None]
    share = estimates(parts, prompts, {"": _share_right}, seed=seed)[""]
    return replace(share, value=value, low=min(share.low, value), high=max(share.high, value))


def _share_right(sums: np.ndarray) -> np.ndarray:
    """Return right / (right + wrong) after adding half a judgement to each: no annotator is infallible."""
    return np.asarray((sums[..., 0] + 0.5) / (sums[..., 0] + sums[..., 1] + 1))


# Weights


def annotator_weights(annotators: Mapping[str, Reliability]) -> dict[str, float]:
    """Return the weight of each annotator's rankings in training; the average over annotators is 1.

    The weight is proportional to 2 p - 1, where p is the probability of the correct preference: the share of
    comparisons that is signal if the rest is random. An annotator at chance or below has weight 0. If nobody is better
    than chance, everyone has weight 1.
    """
    signal = {name: max(0.0, 2 * reliability.right.value - 1) for name, reliability in annotators.items()}
    mean = sum(signal.values()) / max(len(signal), 1)
    return {name: value / mean if mean > 0 else 1.0 for name, value in signal.items()}


def weighted(comparison: Comparison, weights: Mapping[str, float]) -> Comparison:
    """Return the comparison with its weight multiplied by its annotator's; an annotator without weight counts as 1."""
    return replace(comparison, weight=comparison.weight * weights.get(comparison.annotator, 1.0))

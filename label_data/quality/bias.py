"""Bias: whether the position on the screen, the length, or the markdown of a completion sways judgements.

Rates are shares of the pairs in which one completion was preferred; 0.5 means no bias. Positions are drawn at random
for every annotator, so position bias is a fault. Length bias need not be one, since longer answers may be better, but
it shows what a reward model can learn without understanding any text.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from label_data.intervals import NO_DATA, Estimate, difference_p_value, mean_p_value, rate
from label_data.quality.judgements import Judgements


@dataclass(frozen=True, slots=True)
class Bias:
    """How often the completion with some feature wins."""

    rate: Estimate
    p: float
    """Two-sided p-value of the rate against 0.5."""
    unlike_others: float
    """Two-sided p-value of the difference from all other annotators' rate; nan for all annotators together."""


@dataclass(frozen=True, slots=True)
class BiasByAnnotator:
    """The bias towards one feature, overall and by annotator."""

    overall: Bias
    by_annotator: dict[str, Bias]


@dataclass(frozen=True, slots=True)
class FeatureEffects:
    """The effect of each feature with the others held equal: P(first wins) = sigmoid(sum of effect x difference)."""

    length: Estimate
    """Log-odds for a completion twice as long."""
    markup: Estimate
    """Log-odds for twice as many marks of markdown, after adding one to each count."""
    shown_first: Estimate
    """Log-odds for the completion shown earlier. Where the order is unknown, the difference is 0."""


def position_bias(judged: Judgements, seed: int = 0) -> BiasByAnnotator:
    """Return how often the completion shown earlier wins, in rankings whose order on the screen is known."""
    earlier = judged.pairs["second_place"].to_numpy(int) - judged.pairs["first_place"].to_numpy(int)
    return _bias(judged, earlier, seed)


def length_bias(judged: Judgements, seed: int = 0) -> BiasByAnnotator:
    """Return how often the completion with more characters wins, where the two differ in length."""
    return _bias(judged, _feature_difference(judged, "characters"), seed)


def markup_bias(judged: Judgements, seed: int = 0) -> BiasByAnnotator:
    """Return how often the completion with more marks of markdown wins, where the two differ in them."""
    return _bias(judged, _feature_difference(judged, "markup"), seed)


def mean_rank_by_place(judged: Judgements, seed: int = 0) -> dict[tuple[int, int], Estimate]:
    """Return the mean normalised rank by place: {(number shown, place from 1): estimate}.

    A completion's normalised rank is the share of the other completions that it loses against, a tie counting half: 0
    is best, 1 worst. Without position bias every place has 0.5, however many are shown. Rankings whose order on the
    screen is unknown do not count.
    """
    known = judged.of_pairs("order_is_known").to_numpy(bool)
    pairs, prompts = judged.pairs[known], judged.of_pairs("prompt").to_numpy()[known]
    shown = judged.of_pairs("shown").to_numpy()[known]
    lost = (1 - pairs["judgement"].to_numpy(float)) / 2
    places = np.concatenate([pairs["first_place"], pairs["second_place"]]).astype(int)
    losses = np.concatenate([lost, 1 - lost])
    prompts, shown = np.tile(prompts, 2), np.tile(shown, 2)
    result = {}
    for size in np.unique(shown):
        for place in range(size):
            rows = (shown == size) & (places == place)
            result[int(size), place + 1] = rate(losses[rows], prompts[rows], seed)
    return result


def feature_effects(judged: Judgements) -> FeatureEffects:
    """Return the coefficients of a logistic regression of preferences on log2 length, log2 markup and position.

    Fitted together, so that the effect of length is what remains of it once markdown is accounted for, as in the style
    control of Chiang et al. 2024, arXiv:2403.04132. The intervals are Wald intervals with a covariance clustered by
    prompt (Liang and Zeger 1986, Biometrika 73, eq. 3). A feature that never differs has no estimate, and none has one
    if a feature separates the preferences perfectly.
    """
    wins = judged.pairs["judgement"].to_numpy(float)
    decided = wins != 0
    logs = {name: np.log2(1 + judged.completions[name].to_numpy(float)) for name in ("characters", "markup")}
    first, second = (judged.pairs[name].to_numpy() for name in ("first", "second"))
    earlier = np.sign(judged.pairs["second_place"].to_numpy(float) - judged.pairs["first_place"].to_numpy(float))
    columns = [values[first] - values[second] for values in logs.values()] + [earlier]
    differences, wins = np.column_stack(columns)[decided], wins[decided]
    prompts = np.unique(judged.of_pairs("prompt").to_numpy()[decided], return_inverse=True)[1]
    varying = np.flatnonzero(np.any(differences != 0, axis=0)) if len(wins) else np.empty(0, dtype=int)
    effects = [NO_DATA] * 3
    weights, errors = _logistic_regression(differences[:, varying] * wins[:, None], prompts)
    for column, weight, half in zip(varying, weights, 1.96 * errors, strict=True):
        count = int(np.count_nonzero(differences[:, column]))
        ends = float(weight - half), float(weight + half)
        effects[column] = Estimate(float(weight), *ends, count, int(prompts.max()) + 1)
    return FeatureEffects(*effects)


def _logistic_regression(rows: np.ndarray, prompts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the w that maximises sum log sigmoid(w · row), and its standard errors; nan if there is no maximum.

    Newton's method. Each row holds the winner's features less the loser's.
    """
    weights = np.zeros(rows.shape[1])
    undefined = np.full(len(weights), np.nan), np.full(len(weights), np.nan)
    for _ in range(50):
        missing = expit(-rows @ weights)
        gradient = rows.T @ missing
        curvature = rows.T @ (rows * (missing * (1 - missing))[:, None])
        if not rows.size or np.linalg.cond(curvature) > 1e12:
            return undefined
        step = np.linalg.solve(curvature, gradient)
        weights = weights + step
        if np.abs(step).max(initial=0) < 1e-9:
            break
    else:
        return undefined
    scores = np.column_stack([np.bincount(prompts, weights=column) for column in (rows * missing[:, None]).T])
    inverse = np.linalg.inv(curvature)
    return weights, np.sqrt(np.diag(inverse @ (scores.T @ scores) @ inverse))


def _feature_difference(judged: Judgements, column: str) -> np.ndarray:
    """Return the first completion's value less the second's, one per pair."""
    values = judged.completions[column].to_numpy()
    return np.asarray(values[judged.pairs["first"].to_numpy()] - values[judged.pairs["second"].to_numpy()])


def _bias(judged: Judgements, more: np.ndarray, seed: int) -> BiasByAnnotator:
    """Return how often the side with more of a feature wins, in pairs that have a winner and differ in the feature.

    `more`: above 0 where the first completion has more of it, below 0 where the second has.
    """
    judgements = judged.pairs["judgement"].to_numpy(int)
    rows = (judgements != 0) & (more != 0)
    wins = (np.sign(more[rows]) == judgements[rows]).astype(float)
    prompts = judged.of_pairs("prompt").to_numpy()[rows]
    annotators = judged.of_pairs("annotator").to_numpy()[rows]
    by_annotator = {}
    for name in np.unique(annotators.astype(str)):
        own = annotators == name
        p = mean_p_value(wins[own], prompts[own], 0.5)
        by_annotator[str(name)] = Bias(rate(wins[own], prompts[own], seed), p, difference_p_value(wins, prompts, own))
    overall = Bias(rate(wins, prompts, seed), mean_p_value(wins, prompts, 0.5), float("nan"))
    return BiasByAnnotator(overall, by_annotator)

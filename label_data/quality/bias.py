"""What sways judgements besides quality: the place on the screen, length, and markdown.

Rates are over pairs in which one was preferred; 0.5 is no leaning. Places are drawn at random for every annotator, so a
leaning to a place is a fault of the judging. A leaning to length is not by itself: longer answers may be better. It
says what a reward model will learn for nothing.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from label_data.intervals import NO_DATA, Estimate, difference_p_value, mean_p_value, rate
from label_data.quality.judgements import Judgements


@dataclass(frozen=True, slots=True)
class Leaning:
    """How often the side with some feature wins."""

    rate: Estimate
    p: float
    """How probable a rate at least as far from 0.5 is if nothing leans (two-sided)."""
    unlike_others: float
    """How probable a difference from all other annotators' rate at least as large is; nan for all together."""


@dataclass(frozen=True, slots=True)
class Leanings:
    """One feature's leaning, over all and by annotator."""

    overall: Leaning
    by_annotator: dict[str, Leaning]


@dataclass(frozen=True, slots=True)
class Pull:
    """What draws a preference, the other features held equal: P(first wins) = sigmoid(sum of pull x difference)."""

    length: Estimate
    """Log-odds for a completion twice as long."""
    markup: Estimate
    """Log-odds for twice as many marks of markdown, one added to each count."""
    shown_first: Estimate
    """Log-odds for the one shown earlier; where nobody knows which that was, the two count as equal in this."""


def position_leanings(judged: Judgements, seed: int = 0) -> Leanings:
    """Return how often the one shown earlier wins, of the rankings that tell which that was."""
    earlier = judged.pairs["second_place"].to_numpy(int) - judged.pairs["first_place"].to_numpy(int)
    return _leanings(judged, earlier, seed)


def length_leanings(judged: Judgements, seed: int = 0) -> Leanings:
    """Return how often the one with more characters wins, where they differ in length."""
    return _leanings(judged, _difference(judged, "characters"), seed)


def markup_leanings(judged: Judgements, seed: int = 0) -> Leanings:
    """Return how often the one with more marks of markdown wins, where they differ in that."""
    return _leanings(judged, _difference(judged, "markup"), seed)


def place_ranks(judged: Judgements, seed: int = 0) -> dict[tuple[int, int], Estimate]:
    """Return the mean normalised rank of each place by how many were shown: {(shown, place from 1): estimate}.

    A completion's normalised rank is the share of the others it loses against, a tie half: 0 best, 1 worst. Without
    position bias every place has 0.5, whatever the number shown. Rankings whose order on the screen is not known have
    no part in it.
    """
    known = judged.of_pairs("order_is_known").to_numpy(bool)
    pairs, prompts = judged.pairs[known], judged.of_pairs("prompt").to_numpy()[known]
    shown = judged.of_pairs("shown").to_numpy()[known]
    lost = (1 - pairs["judgement"].to_numpy(float)) / 2
    place = np.concatenate([pairs["first_place"], pairs["second_place"]]).astype(int)
    losses = np.concatenate([lost, 1 - lost])
    prompts, shown = np.tile(prompts, 2), np.tile(shown, 2)
    found = {}
    for size in np.unique(shown):
        for at in range(size):
            rows = (shown == size) & (place == at)
            found[int(size), at + 1] = rate(losses[rows], prompts[rows], seed)
    return found


def pull(judged: Judgements) -> Pull:
    """Return the logistic regression of preferences on log2 length, log2 markup and place, all together.

    So length is what is left of it once markdown is accounted for, as in the style control of Chiang et al. 2024,
    arXiv:2403.04132. Intervals are Wald's with a covariance that sums over prompts (Liang and Zeger 1986, Biometrika
    73, eq. 3). Where a feature never differs, or separates the preferences perfectly, there is no number.
    """
    wins = judged.pairs["judgement"].to_numpy(float)
    decided = wins != 0
    doubled = {name: np.log2(1 + judged.completions[name].to_numpy(float)) for name in ("characters", "markup")}
    first, second = (judged.pairs[name].to_numpy() for name in ("first", "second"))
    earlier = np.sign(judged.pairs["second_place"].to_numpy(float) - judged.pairs["first_place"].to_numpy(float))
    columns = [values[first] - values[second] for values in doubled.values()] + [earlier]
    differences, wins = np.column_stack(columns)[decided], wins[decided]
    prompts = np.unique(judged.of_pairs("prompt").to_numpy()[decided], return_inverse=True)[1]
    varying = np.flatnonzero(np.any(differences != 0, axis=0)) if len(wins) else np.empty(0, dtype=int)
    found = [NO_DATA] * 3
    weights, spread = _logistic(differences[:, varying] * wins[:, None], prompts)
    for at, weight, half in zip(varying, weights, 1.96 * spread, strict=True):
        count = int(np.count_nonzero(differences[:, at]))
        found[at] = Estimate(float(weight), float(weight - half), float(weight + half), count, int(prompts.max()) + 1)
    return Pull(*found)


def _logistic(rows: np.ndarray, prompts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return w that maximises sum log sigmoid(w · row), and its standard errors; nan if there is no maximum.

    Newton's method; every row is the winner's features less the loser's.
    """
    weights = np.zeros(rows.shape[1])
    for _ in range(50):
        missing = expit(-rows @ weights)
        slope = rows.T @ missing
        curvature = rows.T @ (rows * (missing * (1 - missing))[:, None])
        if not rows.size or np.linalg.cond(curvature) > 1e12:
            return np.full(len(weights), np.nan), np.full(len(weights), np.nan)
        step = np.linalg.solve(curvature, slope)
        weights = weights + step
        if np.abs(step).max(initial=0) < 1e-9:
            break
    else:
        return np.full(len(weights), np.nan), np.full(len(weights), np.nan)
    scores = np.column_stack([np.bincount(prompts, weights=column) for column in (rows * missing[:, None]).T])
    inverse = np.linalg.inv(curvature)
    return weights, np.sqrt(np.diag(inverse @ (scores.T @ scores) @ inverse))


def _difference(judged: Judgements, column: str) -> np.ndarray:
    values = judged.completions[column].to_numpy()
    return values[judged.pairs["first"].to_numpy()] - values[judged.pairs["second"].to_numpy()]


def _leanings(judged: Judgements, more: np.ndarray, seed: int) -> Leanings:
    """Return how often the side with more of something wins, where one side won and has more."""
    said = judged.pairs["judgement"].to_numpy(int)
    rows = (said != 0) & (more != 0)
    wins = (np.sign(more[rows]) == said[rows]).astype(float)
    prompts = judged.of_pairs("prompt").to_numpy()[rows]
    annotators = judged.of_pairs("annotator").to_numpy()[rows]
    by_annotator = {}
    for name in np.unique(annotators.astype(str)):
        mine = annotators == name
        unlike = difference_p_value(wins, prompts, mine)
        by_annotator[str(name)] = Leaning(
            rate(wins[mine], prompts[mine], seed), mean_p_value(wins[mine], prompts[mine], 0.5), unlike
        )
    return Leanings(Leaning(rate(wins, prompts, seed), mean_p_value(wins, prompts, 0.5), float("nan")), by_annotator)

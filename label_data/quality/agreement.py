"""Do annotators agree, ties counted for what they are, and how well can a model do at best?

Everything is computed from meetings: two annotators' judgements of one pair of completions. A judgement is one of
three: the first is better, a tie, the second is better. Which of a pair is first is arbitrary, so every meeting counts
in both directions; that leaves four kinds of meeting, and every coefficient is a function of how often each occurs.

`alpha` is Krippendorff's for nominal values: only the same answer agrees. It is the one to quote, since it asks
whether people said the same and nothing else. `alpha_ordered` is for the order better, tie, worse: to contradict costs
four times what a tie against a preference costs. Because both directions count, the ordinal and the interval metric
are here the same number. Far above `alpha`, it says that people differ over when to call a tie, not over what is
better.

Sources: Krippendorff 2019, Content Analysis, 4th edition, section 12.3; Kendall 1945, Biometrika 33 (tau-b).
"""

from dataclasses import dataclass
from math import sqrt

import numpy as np
import pandas as pd

from label_data.intervals import NO_DATA, Estimate, Statistic, estimates, rate
from label_data.quality.judgements import Judgements

PREFERRED, TIED, MIXED, OPPOSED = range(4)
"""Kinds of meeting: the same side, a tie twice, a tie against a preference, opposite sides."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """How far annotators agree; every number with its interval and count."""

    alpha: Estimate
    alpha_ordered: Estimate
    same: Estimate
    """Share of meetings in which both gave the same of the three answers."""
    decided: Estimate
    """Share on the same side of those in which both took one: what a model's accuracy is to be held against."""
    tau: Estimate
    """Mean Kendall tau-b of two rankings of one prompt; those in which one ties everything have none."""


@dataclass(frozen=True, slots=True)
class Ceiling:
    """Between what the best possible accuracy against one annotator's comparisons lies."""

    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.low:.3f} to {self.high:.3f}"


def human_ceiling(decided: float) -> Ceiling:
    """Return [a, (1 + sqrt(2 a - 1)) / 2] for an agreement a; the upper end is nan under a = 0.5.

    Let the pair's majority be the truth, which an annotator gives with probability p >= 1/2, independently of others.
    Two agree on the pair with a = p² + (1 - p)², and a model that knows the truth agrees with one of them with p:
    never less than a (equal where p is 1/2 or 1), and p = (1 + sqrt(2 a - 1)) / 2, which is concave in a. So over pairs
    of any mixture the mean of p lies between the mean of a and the formula at it, the upper end where all are alike.

    The same argument, for many classes and several annotators: Xu et al. 2023, arXiv:2109.07867, section 3.
    """
    return Ceiling(decided, (1 + sqrt(2 * decided - 1)) / 2 if decided >= 0.5 else float("nan"))


def meetings(judged: Judgements) -> pd.DataFrame:
    """Return every two annotators' judgements of the same pair of completions.

    Columns: unit, prompt, category, first, second (as in `Judgements.pairs`), annotator_a and annotator_b (as
    categories), ranking_a, ranking_b, a, b (judgements), weight: 1 / (annotators of the pair - 1), so that every
    judgement weighs the same however many there are of its pair.
    """
    table = judged.once().sort_values(["unit", "annotator"], ignore_index=True)
    unit = table["unit"].to_numpy()
    voices = np.bincount(unit)[unit] if len(unit) else unit
    found = [(np.empty(0, dtype=np.int64),) * 2]
    for lag in range(1, int(voices.max(initial=0))):
        at = np.flatnonzero(unit[lag:] == unit[:-lag])
        found.append((at, at + lag))
    one, other = (np.concatenate(side) for side in zip(*found, strict=True))
    met = table.loc[one, ["unit", "prompt", "category", "first", "second"]].reset_index(drop=True)
    for name, column in (("annotator", "annotator"), ("ranking", "ranking"), ("", "judgement")):
        for side, rows in (("a", one), ("b", other)):
            met[f"{name}_{side}".lstrip("_")] = table[column].take(rows).reset_index(drop=True)
    return met.assign(weight=1 / (voices[one] - 1) if len(one) else np.empty(0))


def agreement(met: pd.DataFrame, seed: int = 0) -> Agreement:
    """Return how far two sides agree; of `meetings` it needs prompt, a, b, ranking_a, ranking_b and weight."""
    return _Columns.of(met).agreement(np.arange(len(met)), seed)


def agreement_by_annotator(met: pd.DataFrame, seed: int = 0) -> dict[str, Agreement]:
    """Return each annotator's agreement with all others, each meeting weighing 1."""
    names = met["annotator_a"].cat.categories
    codes = np.concatenate([met[side].cat.codes.to_numpy() for side in ("annotator_a", "annotator_b")])
    rows = pd.Series(codes).groupby(codes).indices
    columns = _Columns.of(met.assign(weight=1.0))
    return {names[code]: columns.agreement(np.sort(at % len(met)), seed) for code, at in rows.items()}


def agreement_by_two(met: pd.DataFrame, seed: int = 0) -> dict[tuple[str, str], Agreement]:
    """Return the agreement of every two annotators who judged a pair in common."""
    columns = _Columns.of(met.assign(weight=1.0))
    rows = met.groupby(["annotator_a", "annotator_b"], observed=True).indices
    return {names: columns.agreement(at, seed) for names, at in rows.items()}


def agreement_by_category(met: pd.DataFrame, seed: int = 0) -> dict[str, Agreement]:
    """Return the agreement on the prompts of each category."""
    columns = _Columns.of(met)
    return {name: columns.agreement(at, seed) for name, at in met.groupby("category", observed=True).indices.items()}


def agreement_by_policy(met: pd.DataFrame, judged: Judgements, seed: int = 0) -> dict[str, Agreement]:
    """Return the agreement on pairs in which each policy takes part; a pair of two policies is in both."""
    columns, policy = _Columns.of(met), judged.completions["policy"]
    codes = policy.cat.codes.to_numpy()
    first, second = codes[met["first"].to_numpy()], codes[met["second"].to_numpy()]
    rows = {name: np.flatnonzero((first == code) | (second == code)) for code, name in enumerate(policy.cat.categories)}
    return {name: columns.agreement(at, seed) for name, at in rows.items() if len(at)}


@dataclass(frozen=True, slots=True)
class _Columns:
    """Meetings as arrays, one value a meeting."""

    prompts: np.ndarray
    a: np.ndarray
    b: np.ndarray
    kinds: np.ndarray
    weights: np.ndarray
    rankings: np.ndarray
    """A number for the two rankings that met."""

    @classmethod
    def of(cls, met: pd.DataFrame) -> "_Columns":
        a, b = met["a"].to_numpy(int), met["b"].to_numpy(int)
        kinds = np.where(a == b, np.where(a == 0, TIED, PREFERRED), np.where(a * b == 0, MIXED, OPPOSED))
        one, other = (met[name].to_numpy(np.int64) for name in ("ranking_a", "ranking_b"))
        numbers = np.unique(one * (other.max(initial=0) + 1) + other, return_inverse=True)[1]
        return cls(met["prompt"].to_numpy(int), a, b, kinds, met["weight"].to_numpy(float), numbers)

    def agreement(self, at: np.ndarray, seed: int) -> Agreement:
        """Return the agreement in the meetings at these positions."""
        if not len(at):
            return Agreement(NO_DATA, NO_DATA, NO_DATA, NO_DATA, NO_DATA)
        kinds, prompts = self.kinds[at], self.prompts[at]
        parts = np.zeros((len(at), 4))
        parts[np.arange(len(at)), kinds] = self.weights[at]
        decided = int(np.isin(kinds, (PREFERRED, OPPOSED)).sum())
        counts = dict.fromkeys(STATISTICS, len(at)) | {"decided": decided}
        taus, of_taus = self._taus(at)
        return Agreement(**estimates(parts, prompts, STATISTICS, counts, seed), tau=rate(taus, of_taus, seed))

    def _taus(self, at: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return tau-b of every two rankings that met, where it is defined, and their prompts.

        tau-b = (concordant - discordant) / sqrt(pairs the one does not tie x pairs the other does not tie)
        """
        _, where, number = np.unique(self.rankings[at], return_index=True, return_inverse=True)
        a, b = self.a[at], self.b[at]
        concordant = np.bincount(number, weights=a * b)
        decided = np.bincount(number, weights=a != 0) * np.bincount(number, weights=b != 0)
        defined = decided > 0
        return concordant[defined] / np.sqrt(decided[defined]), self.prompts[at][where][defined]


# Coefficients as functions of (same side, tie twice, tie against preference, opposite sides), shape (..., 4)


def _shares(kinds: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return how many values there are with both directions counted, how many are ties and how many a side has."""
    tied = 4 * kinds[..., TIED] + 2 * kinds[..., MIXED]
    total = 4 * kinds.sum(axis=-1)
    return total, tied, (total - tied) / 2


def alpha_of(kinds: np.ndarray) -> np.ndarray:
    """Return nominal alpha: 1 - observed / expected disagreement, expected if the values were dealt out at random.

    nan where all said one and the same (0 of 0): agreement that could not have been otherwise shows nothing.
    """
    total, tied, side = _shares(kinds)
    with np.errstate(invalid="ignore", divide="ignore"):
        observed = (kinds[..., MIXED] + kinds[..., OPPOSED]) / kinds.sum(axis=-1)
        expected = (total**2 - tied**2 - 2 * side**2) / (total * (total - 1))
        return 1 - observed / expected


def alpha_ordered_of(kinds: np.ndarray) -> np.ndarray:
    """Return alpha with squared distances on better 1, tie 0, worse -1: the interval metric, and here the ordinal."""
    total, tied, side = _shares(kinds)
    with np.errstate(invalid="ignore", divide="ignore"):
        observed = (kinds[..., MIXED] + 4 * kinds[..., OPPOSED]) / kinds.sum(axis=-1)
        expected = (4 * tied * side + 8 * side**2) / (total * (total - 1))
        return 1 - observed / expected


def _same_of(kinds: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore", divide="ignore"):
        return (kinds[..., PREFERRED] + kinds[..., TIED]) / kinds.sum(axis=-1)


def _decided_of(kinds: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore", divide="ignore"):
        return kinds[..., PREFERRED] / (kinds[..., PREFERRED] + kinds[..., OPPOSED])


STATISTICS: dict[str, Statistic] = {
    "alpha": alpha_of,
    "alpha_ordered": alpha_ordered_of,
    "same": _same_of,
    "decided": _decided_of,
}

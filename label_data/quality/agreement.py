"""Agreement between annotators, with ties as an answer of their own, and the human ceiling for a model.

Everything is computed from meetings: two annotators' judgements of the same pair of completions. A judgement has one of
three values: the first is better, a tie, the second is better. Which completion of a pair is first is arbitrary, so
every meeting counts in both directions. That leaves four kinds of meeting, and every coefficient is a function of their
counts.

`alpha` is Krippendorff's alpha for nominal values: only equal judgements agree. Quote this one, since it measures
whether annotators gave the same answer and nothing else. `alpha_ordered` is for the ordered values better, tie, worse:
opposite preferences cost four times what a tie against a preference costs. Because both directions count, the ordinal
and the interval metric give the same number here. If `alpha_ordered` is far above `alpha`, annotators differ over when
to call a tie, not over which completion is better.

Sources: Krippendorff 2019, Content Analysis, 4th edition, section 12.3; Kendall 1945, Biometrika 33 (tau-b).
"""

from dataclasses import dataclass
from math import sqrt
from typing import Any

import numpy as np
import pandas as pd

from label_data.intervals import NO_DATA, Estimate, Statistic, estimates, rate
from label_data.quality.judgements import Judgements

PREFERRED, TIED, MIXED, OPPOSED = range(4)
"""Kinds of meeting: same preference, two ties, a tie against a preference, opposite preferences."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """Measures of agreement, each with its interval and count."""

    alpha: Estimate
    alpha_ordered: Estimate
    same: Estimate
    """Share of meetings with equal judgements."""
    decided: Estimate
    """Pairwise agreement: share of equal judgements among meetings of two preferences. Compare a model's accuracy with
    it."""
    tau: Estimate
    """Mean Kendall tau-b of two rankings of one prompt; undefined, and left out, if either ranking ties everything."""


@dataclass(frozen=True, slots=True)
class Ceiling:
    """Bounds on the accuracy of the best possible model against one annotator's comparisons."""

    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.low:.3f} to {self.high:.3f}"


def human_ceiling(decided: float) -> Ceiling:
    """Return [a, (1 + sqrt(2 a - 1)) / 2] for an agreement a; the upper end is nan under a = 0.5.

    Let the majority's judgement of a pair be the truth, which each annotator gives with probability p >= 1/2,
    independently of the others. Two annotators agree on the pair with probability a = p² + (1 - p)². A model that knows
    the truth agrees with one annotator with probability p, which is at least a (equal where p is 1/2 or 1), and
    p = (1 + sqrt(2 a - 1)) / 2, which is concave in a. So over any mixture of pairs the mean of p lies between the mean
    of a and the formula at that mean. It reaches the upper end where all pairs have the same p.

    The same argument for many classes and several annotators: Xu et al. 2023, arXiv:2109.07867, section 3.
    """
    return Ceiling(decided, (1 + sqrt(2 * decided - 1)) / 2 if decided >= 0.5 else float("nan"))


def meetings(judged: Judgements) -> pd.DataFrame:
    """Return the meetings: each two annotators' judgements of the same pair of completions.

    Columns: unit, prompt, category, first, second (as in `Judgements.pairs`), annotator_a and annotator_b (as
    categories), ranking_a, ranking_b, a, b (judgements), weight: 1 / (annotators of the pair - 1), so that every
    judgement has the same weight, however many annotators judged its pair.
    """
    table = judged.once().sort_values(["unit", "annotator"], ignore_index=True)
    unit = table["unit"].to_numpy()
    annotators = np.bincount(unit)[unit] if len(unit) else unit
    matches = [(np.empty(0, dtype=np.int64),) * 2]
    for lag in range(1, int(annotators.max(initial=0))):
        rows = np.flatnonzero(unit[lag:] == unit[:-lag])
        matches.append((rows, rows + lag))
    rows_a, rows_b = (np.concatenate(side) for side in zip(*matches, strict=True))
    met = table.loc[rows_a, ["unit", "prompt", "category", "first", "second"]].reset_index(drop=True)
    for name, column in (("annotator", "annotator"), ("ranking", "ranking"), ("", "judgement")):
        for side, rows in (("a", rows_a), ("b", rows_b)):
            met[f"{name}_{side}".lstrip("_")] = table[column].take(rows).reset_index(drop=True)
    return met.assign(weight=1 / (annotators[rows_a] - 1) if len(rows_a) else np.empty(0))


def agreement(met: pd.DataFrame, seed: int = 0) -> Agreement:
    """Return the agreement over these meetings.

    Of the columns of `meetings` it needs prompt, a, b, ranking_a, ranking_b and weight.
    """
    return _Columns.of(met).agreement(np.arange(len(met)), seed)


def agreement_by_annotator(met: pd.DataFrame, seed: int = 0) -> dict[str, Agreement]:
    """Return each annotator's agreement with all others; every meeting has weight 1."""
    names = met["annotator_a"].cat.categories
    codes = np.concatenate([met[side].cat.codes.to_numpy() for side in ("annotator_a", "annotator_b")])
    columns = _Columns.of(met.assign(weight=1.0))
    rows = _rows(pd.Series(codes).groupby(codes))
    return {str(names[code]): columns.agreement(np.sort(indices % len(met)), seed) for code, indices in rows.items()}


def agreement_by_two(met: pd.DataFrame, seed: int = 0) -> dict[tuple[str, str], Agreement]:
    """Return the agreement of each two annotators who judged a pair in common."""
    columns = _Columns.of(met.assign(weight=1.0))
    rows = _rows(met.groupby(["annotator_a", "annotator_b"], observed=True))
    return {(str(a), str(b)): columns.agreement(indices, seed) for (a, b), indices in rows.items()}


def agreement_by_category(met: pd.DataFrame, seed: int = 0) -> dict[str, Agreement]:
    """Return the agreement in each category of prompts."""
    columns = _Columns.of(met)
    rows = _rows(met.groupby("category", observed=True))
    return {str(name): columns.agreement(indices, seed) for name, indices in rows.items()}


def _rows(groups: Any) -> dict[Any, np.ndarray]:
    """Return the positions of the rows of each group (Any: pandas types neither keys nor positions precisely)."""
    return {key: np.asarray(positions) for key, positions in groups.indices.items()}


def agreement_by_policy(met: pd.DataFrame, judged: Judgements, seed: int = 0) -> dict[str, Agreement]:
    """Return the agreement on the pairs with a completion of each policy; a pair of two policies counts for both."""
    columns, policy = _Columns.of(met), judged.completions["policy"]
    codes = policy.cat.codes.to_numpy()
    first, second = codes[met["first"].to_numpy()], codes[met["second"].to_numpy()]
    rows = {name: np.flatnonzero((first == code) | (second == code)) for code, name in enumerate(policy.cat.categories)}
    return {name: columns.agreement(indices, seed) for name, indices in rows.items() if len(indices)}


@dataclass(frozen=True, slots=True)
class _Columns:
    """Meetings as arrays, one value per meeting."""

    prompts: np.ndarray
    a: np.ndarray
    b: np.ndarray
    kinds: np.ndarray
    weights: np.ndarray
    rankings: np.ndarray
    """A number for each two rankings that met."""

    @classmethod
    def of(cls, met: pd.DataFrame) -> "_Columns":
        a, b = met["a"].to_numpy(int), met["b"].to_numpy(int)
        kinds = np.where(a == b, np.where(a == 0, TIED, PREFERRED), np.where(a * b == 0, MIXED, OPPOSED))
        ranking_a, ranking_b = (met[name].to_numpy(np.int64) for name in ("ranking_a", "ranking_b"))
        numbers = np.unique(ranking_a * (ranking_b.max(initial=0) + 1) + ranking_b, return_inverse=True)[1]
        return cls(met["prompt"].to_numpy(int), a, b, kinds, met["weight"].to_numpy(float), numbers)

    def agreement(self, rows: np.ndarray, seed: int) -> Agreement:
        """Return the agreement over the meetings at these positions."""
        if not len(rows):
            return Agreement(NO_DATA, NO_DATA, NO_DATA, NO_DATA, NO_DATA)
        kinds, prompts = self.kinds[rows], self.prompts[rows]
        parts = np.zeros((len(rows), 4))
        parts[np.arange(len(rows)), kinds] = self.weights[rows]
        decided = int(np.isin(kinds, (PREFERRED, OPPOSED)).sum())
        counts = dict.fromkeys(STATISTICS, len(rows)) | {"decided": decided}
        taus, tau_prompts = self._taus(rows)
        return Agreement(**estimates(parts, prompts, STATISTICS, counts, seed), tau=rate(taus, tau_prompts, seed))

    def _taus(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return tau-b of each two rankings that met, where it is defined, and their prompts.

        tau-b = (concordant - discordant) / sqrt(pairs that the first does not tie x pairs that the second does not tie)
        """
        _, first_row, number = np.unique(self.rankings[rows], return_index=True, return_inverse=True)
        a, b = self.a[rows], self.b[rows]
        concordant = np.bincount(number, weights=a * b)
        decided = np.bincount(number, weights=a != 0) * np.bincount(number, weights=b != 0)
        defined = decided > 0
        return concordant[defined] / np.sqrt(decided[defined]), self.prompts[rows][first_row][defined]


# Coefficients as functions of the counts of the four kinds of meeting, shape (..., 4)


def _shares(kinds: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the counts of all values, of ties, and of either preference; both directions counted."""
    tied = 4 * kinds[..., TIED] + 2 * kinds[..., MIXED]
    total = 4 * kinds.sum(axis=-1)
    return total, tied, (total - tied) / 2


def alpha_of(kinds: np.ndarray) -> np.ndarray:
    """Return nominal alpha: 1 - observed / expected disagreement, the latter if values were assigned at random.

    nan if all values are equal (0 / 0): the agreement could not have been lower, so it shows nothing.
    """
    total, tied, side = _shares(kinds)
    with np.errstate(invalid="ignore", divide="ignore"):
        observed = (kinds[..., MIXED] + kinds[..., OPPOSED]) / kinds.sum(axis=-1)
        expected = (total**2 - tied**2 - 2 * side**2) / (total * (total - 1))
        return np.asarray(1 - observed / expected)


def alpha_ordered_of(kinds: np.ndarray) -> np.ndarray:
    """Return alpha with squared distances on better 1, tie 0, worse -1: the interval metric, and here the ordinal."""
    total, tied, side = _shares(kinds)
    with np.errstate(invalid="ignore", divide="ignore"):
        observed = (kinds[..., MIXED] + 4 * kinds[..., OPPOSED]) / kinds.sum(axis=-1)
        expected = (4 * tied * side + 8 * side**2) / (total * (total - 1))
        return np.asarray(1 - observed / expected)


def _same_of(kinds: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray((kinds[..., PREFERRED] + kinds[..., TIED]) / kinds.sum(axis=-1))


def _decided_of(kinds: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(kinds[..., PREFERRED] / (kinds[..., PREFERRED] + kinds[..., OPPOSED]))


STATISTICS: dict[str, Statistic] = {
    "alpha": alpha_of,
    "alpha_ordered": alpha_ordered_of,
    "same": _same_of,
    "decided": _decided_of,
}

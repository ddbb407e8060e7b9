"""Effort: reading speed, orders left as shown, repeated patterns, and ties.

What chance would give is computed ranking by ranking. If places are drawn at random, the probability that an order
falls on the places as it did is (product of the factorials of its tied groups' sizes) / (number shown, factorial).
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import binom

from label_data.intervals import Estimate, difference_p_value, estimates, mean_p_value, rate, ratio
from label_data.quality.judgements import Judgements

TOO_FAST = -3.5
"""Robust z below which a ranking is an outlier. Iglewicz and Hoaglin 1993, How to Detect and Handle Outliers, p. 12."""
EXPECTED_TOO_FAST = 0.001
"""Share of rankings below TOO_FAST that anyone may have. Normal logarithms would give 0.0002; people's tails are
longer."""
SHORTEST = 0.1
"""Seconds: shorter times count as this, so that the logarithm exists."""


@dataclass(frozen=True, slots=True)
class Speed:
    """How fast an annotator ranks, in the rankings whose time was measured."""

    seconds: Estimate
    """Geometric mean of seconds per 1,000 characters shown."""
    too_fast: Estimate
    """Share of rankings that are faster than annotators usually are, by the outlier test of TOO_FAST."""
    p: float
    """Probability of at least as many outliers if EXPECTED_TOO_FAST of all rankings are outliers."""


@dataclass(frozen=True, slots=True)
class StraightLining:
    """How often an annotator moved nothing, and the longest run of rankings with the same pattern."""

    unchanged: Estimate
    """Share of rankings in which no completion was placed before one shown earlier."""
    expected: float
    """The share expected if places did not matter."""
    p: float
    """Two-sided p-value of the share against the expected share."""
    longest_run: int
    """Consecutive rankings, by time of submission, of the same pattern."""
    run_p: float
    """Upper bound on the probability of so unlikely a run anywhere in this annotator's rankings, by chance."""


@dataclass(frozen=True, slots=True)
class Outcomes:
    """How often an annotator ties, and how often the annotator gives no order."""

    ties: Estimate
    """Share of judged pairs that are tied."""
    ties_unlike: float
    """Two-sided p-value of the difference from the others' share."""
    no_order: Estimate
    """Share of rankings that are skipped or all bad."""
    no_order_unlike: float
    """Two-sided p-value of the difference from the others' share."""


def robust_z(values: np.ndarray, annotators: np.ndarray) -> np.ndarray:
    """Return 0.6745 (x - m) / median |x - own median|, where m is the median of the annotators' medians.

    Centre and spread are computed over annotators, not over rankings. Otherwise an annotator who clicks through a third
    of all rankings would widen the spread until nobody stands out. All 0 if half of all values equal their annotator's
    median.
    """
    own = pd.Series(values).groupby(annotators, observed=True).transform("median").to_numpy()
    spread = np.median(np.abs(values - own)) if len(values) else 0.0
    middle = np.median(pd.Series(own).groupby(annotators, observed=True).first()) if len(values) else 0.0
    return 0.6745 * (values - middle) / spread if spread > 0 else np.zeros(len(values))


def _log_pace(judged: Judgements) -> "pd.Series[float]":
    """Return the natural logarithm of seconds per 1,000 characters, for the rankings whose time was measured."""
    timed = judged.rankings[judged.rankings["seconds"].notna() & (judged.rankings["outcome"] != "skipped")]
    pace = timed["seconds"].clip(lower=SHORTEST) / timed["characters"].clip(lower=1) * 1_000
    return pd.Series(np.log(pace.to_numpy(float)), index=timed.index)


def too_fast(judged: Judgements) -> pd.DataFrame:
    """Return the rankings made too fast to have been read, fastest first: submission, annotator, seconds, z."""
    pace = _log_pace(judged)
    z = pd.Series(robust_z(pace.to_numpy(), judged.rankings["annotator"].loc[pace.index].to_numpy()), index=pace.index)
    outliers = z[z < TOO_FAST].sort_values(kind="stable")
    table = judged.rankings.loc[outliers.index, ["submission", "annotator", "seconds"]]
    return table.assign(z=outliers).reset_index(drop=True)


def speeds(judged: Judgements, seed: int = 0) -> dict[str, Speed]:
    """Return each annotator's speed, and under "" that of all together; without annotators who were never timed."""
    pace = _log_pace(judged)
    annotators = judged.rankings["annotator"].loc[pace.index]
    outlier = robust_z(pace.to_numpy(), annotators.to_numpy()) < TOO_FAST
    prompts = judged.rankings["prompt"].loc[pace.index].to_numpy()
    values = pace.to_numpy()
    result = {}
    for name, rows in _rows_by_annotator(annotators).items():
        parts = np.column_stack([values[rows], np.ones(len(rows))])
        seconds = estimates(parts, prompts[rows], {"": _geometric_mean}, seed=seed)[""]
        p = float(binom.sf(outlier[rows].sum() - 1, len(rows), EXPECTED_TOO_FAST))
        result[name] = Speed(seconds, rate(outlier[rows].astype(float), prompts[rows], seed), p)
    return result


def _geometric_mean(sums: np.ndarray) -> np.ndarray:
    return np.asarray(np.exp(ratio(sums)))


def straight_lining(judged: Judgements, seed: int = 0) -> dict[str, StraightLining]:
    """Return each annotator's straight-lining, from rankings of known order shown that do not tie everything."""
    table = judged.rankings[judged.rankings["pattern"] != ""]
    table = table.assign(code=table["pattern"].cat.codes).sort_values("submitted", kind="stable", na_position="first")
    result = {}
    for name, own in table.groupby("annotator", observed=True):
        unchanged, chance = own["unchanged"].to_numpy(float), own["chance"].to_numpy(float)
        prompts = own["prompt"].to_numpy()
        longest, run_p = longest_run(own["code"].to_numpy(), chance)
        estimate, p = rate(unchanged, prompts, seed), mean_p_value(unchanged, prompts, chance)
        result[str(name)] = StraightLining(estimate, float(chance.mean()), p, longest, run_p)
    return result


def longest_run(patterns: np.ndarray, chance: np.ndarray) -> tuple[int, float]:
    """Return the length of the longest run of equal patterns, and a bound on the p-value of the least probable run.

    Args:
        patterns: one per ranking, in order of time.
        chance: probability of each ranking's pattern if its levels fell on the places at random.

    A run has the product of the probabilities of all its rankings but the first, and can start at any ranking.
    """
    if not len(patterns):
        return 0, 1.0
    starts = np.flatnonzero(np.diff(patterns, prepend=patterns[0] - 1) != 0)
    lengths = np.diff(starts, append=len(patterns))
    logs = np.add.reduceat(np.log(chance), starts) - np.log(chance[starts])
    return int(lengths.max()), float(min(1.0, len(patterns) * np.exp(logs.min())))


def outcomes(judged: Judgements, seed: int = 0) -> dict[str, Outcomes]:
    """Return each annotator's share of ties and of rankings without an order, and under "" that of all together."""
    rankings = judged.rankings
    tied = (judged.pairs["judgement"] == 0).to_numpy(float)
    pair_prompts = judged.of_pairs("prompt").to_numpy()
    without = rankings["outcome"].isin(["skipped", "all_bad"]).to_numpy(float)
    prompts, pairs_by_annotator = rankings["prompt"].to_numpy(), _rows_by_annotator(judged.of_pairs("annotator"))
    result = {}
    for name, rows in _rows_by_annotator(rankings["annotator"]).items():
        pairs = pairs_by_annotator.get(name, np.empty(0, dtype=int))
        own_rankings, own_pairs = np.zeros(len(rankings), dtype=bool), np.zeros(len(tied), dtype=bool)
        own_rankings[rows], own_pairs[pairs] = True, True
        result[name] = Outcomes(
            rate(tied[pairs], pair_prompts[pairs], seed),
            difference_p_value(tied, pair_prompts, own_pairs),
            rate(without[rows], prompts[rows], seed),
            difference_p_value(without, prompts, own_rankings),
        )
    return result


def _rows_by_annotator(annotators: pd.Series) -> dict[str, np.ndarray]:
    """Return the positions of each annotator's rows, and under "" those of all rows."""
    rows = {"": np.arange(len(annotators))}
    groups = annotators.reset_index(drop=True).groupby(annotators.to_numpy(), observed=True).indices
    return rows | {str(name): np.asarray(positions) for name, positions in groups.items()}

"""Do annotators read and choose? Seconds per character, orders left as shown, patterns that go on and on, ties.

What is expected by chance is worked out ranking by ranking: an order has the probability (product of sizes of its
tied groups, factorial) / (number shown, factorial) of falling on the places as it did if places are drawn at random.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import binom

from label_data.intervals import Estimate, difference_p_value, estimates, mean_p_value, rate
from label_data.quality.judgements import Judgements

TOO_FAST = -3.5
"""Robust z below which a ranking is an outlier. Iglewicz and Hoaglin 1993, How to Detect and Handle Outliers, p. 12."""
EXPECTED_TOO_FAST = 0.001
"""Share of rankings under TOO_FAST to allow anyone: normal logarithms would give 0.0002, people's tails are longer."""
SHORTEST = 0.1
"""Seconds: less is taken as this, so that the logarithm exists."""


@dataclass(frozen=True, slots=True)
class Speed:
    """How fast an annotator judges, among the rankings whose time was measured."""

    seconds: Estimate
    """Geometric mean of seconds per 1,000 characters shown."""
    too_fast: Estimate
    """Share of rankings that are outliers beside what annotators usually take."""
    p: float
    """How probable at least as many outliers are if EXPECTED_TOO_FAST of all are such."""


@dataclass(frozen=True, slots=True)
class StraightLine:
    """How often nothing was moved, and the longest row of rankings of one and the same pattern."""

    unchanged: Estimate
    """Share of rankings in which nothing was put before anything shown earlier."""
    expected: float
    """That share if places did not matter."""
    p: float
    """How probable a share at least as far from the expected is."""
    longest_run: int
    """Rankings, in the order of submission, of the same pattern one after another."""
    run_p: float
    """At most how probable so unlikely a run is by chance, anywhere in this annotator's work."""


@dataclass(frozen=True, slots=True)
class Outcomes:
    """How often an annotator ties, and how often gives no order."""

    ties: Estimate
    """Share of judged pairs that are tied."""
    ties_unlike: float
    """How probable a difference from the others' share at least as large is."""
    no_order: Estimate
    """Share of rankings skipped or all bad."""
    no_order_unlike: float


def robust_z(values: np.ndarray, annotators: np.ndarray) -> np.ndarray:
    """Return 0.6745 (x - m) / median |x - own median|, m being the median of the annotators' medians.

    Centre and spread are those of annotators, not of rankings: one who clicks through a third of all rankings would
    else widen the spread until nobody stands out. All 0 if half of all values equal their annotator's median.
    """
    own = pd.Series(values).groupby(annotators, observed=True).transform("median").to_numpy()
    spread = np.median(np.abs(values - own)) if len(values) else 0.0
    middle = np.median(pd.Series(own).groupby(annotators, observed=True).first()) if len(values) else 0.0
    return 0.6745 * (values - middle) / spread if spread > 0 else np.zeros(len(values))


def _log_pace(judged: Judgements) -> pd.Series:
    """Return the natural logarithm of seconds per 1,000 characters, for the rankings whose time was measured."""
    timed = judged.rankings[judged.rankings["seconds"].notna() & (judged.rankings["outcome"] != "skipped")]
    return np.log(timed["seconds"].clip(lower=SHORTEST) / timed["characters"].clip(lower=1) * 1_000)


def too_fast(judged: Judgements) -> pd.DataFrame:
    """Return the rankings judged too fast to have been read, fastest first: submission, annotator, seconds, z."""
    pace = _log_pace(judged)
    z = pd.Series(robust_z(pace.to_numpy(), judged.rankings["annotator"].loc[pace.index].to_numpy()), index=pace.index)
    at = z[z < TOO_FAST].sort_values(kind="stable").index
    return judged.rankings.loc[at, ["submission", "annotator", "seconds"]].assign(z=z[at]).reset_index(drop=True)


def speeds(judged: Judgements, seed: int = 0) -> dict[str, Speed]:
    """Return each annotator's pace, and under "" everybody's; nobody whose times were never measured."""
    pace = _log_pace(judged)
    annotators = judged.rankings["annotator"].loc[pace.index]
    outlier = robust_z(pace.to_numpy(), annotators.to_numpy()) < TOO_FAST
    prompts = judged.rankings["prompt"].loc[pace.index].to_numpy()
    values = pace.to_numpy()
    found = {}
    for name, at in _everybody(annotators).items():
        parts = np.column_stack([values[at], np.ones(len(at))])
        seconds = estimates(parts, prompts[at], {"": _geometric}, seed=seed)[""]
        p = float(binom.sf(outlier[at].sum() - 1, len(at), EXPECTED_TOO_FAST))
        found[name] = Speed(seconds, rate(outlier[at].astype(float), prompts[at], seed), p)
    return found


def _geometric(sums: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.exp(sums[..., 0] / sums[..., 1])


def straight_lines(judged: Judgements, seed: int = 0) -> dict[str, StraightLine]:
    """Return each annotator's straight-lining, of rankings that tell how they were shown and do not tie everything."""
    table = judged.rankings[judged.rankings["pattern"] != ""]
    table = table.assign(code=table["pattern"].cat.codes).sort_values("submitted", kind="stable", na_position="first")
    found = {}
    for name, mine in table.groupby("annotator", observed=True):
        unchanged, chance = mine["unchanged"].to_numpy(float), mine["chance"].to_numpy(float)
        prompts = mine["prompt"].to_numpy()
        longest, run_p = longest_run(mine["code"].to_numpy(), chance)
        estimate, p = rate(unchanged, prompts, seed), mean_p_value(unchanged, prompts, chance)
        found[name] = StraightLine(estimate, float(chance.mean()), p, longest, run_p)
    return found


def longest_run(patterns: np.ndarray, chance: np.ndarray) -> tuple[int, float]:
    """Return the length of the longest run of equal patterns, and a bound on how probable the least probable run is.

    Args:
        patterns: one a ranking, in order of time.
        chance: probability of each ranking's pattern if its levels fell on the places at random.

    A run that begins at one ranking has the product of the others' chances; there are as many beginnings as rankings.
    """
    if not len(patterns):
        return 0, 1.0
    starts = np.flatnonzero(np.diff(patterns, prepend=patterns[0] - 1) != 0)
    lengths = np.diff(starts, append=len(patterns))
    logs = np.add.reduceat(np.log(chance), starts) - np.log(chance[starts])
    return int(lengths.max()), float(min(1.0, len(patterns) * np.exp(logs.min())))


def outcomes(judged: Judgements, seed: int = 0) -> dict[str, Outcomes]:
    """Return each annotator's share of ties and of rankings without an order, and under "" everybody's."""
    rankings = judged.rankings
    tied = (judged.pairs["judgement"] == 0).to_numpy(float)
    of_pairs, pair_prompts = judged.of_pairs("annotator"), judged.of_pairs("prompt").to_numpy()
    without = rankings["outcome"].isin(["skipped", "all_bad"]).to_numpy(float)
    prompts, by_pairs = rankings["prompt"].to_numpy(), _everybody(of_pairs)
    found = {}
    for name, at in _everybody(rankings["annotator"]).items():
        pairs = by_pairs.get(name, np.empty(0, dtype=int))
        mine, my_pairs = np.zeros(len(rankings), dtype=bool), np.zeros(len(tied), dtype=bool)
        mine[at], my_pairs[pairs] = True, True
        found[name] = Outcomes(
            rate(tied[pairs], pair_prompts[pairs], seed),
            difference_p_value(tied, pair_prompts, my_pairs),
            rate(without[at], prompts[at], seed),
            difference_p_value(without, prompts, mine),
        )
    return found


def _everybody(annotators: pd.Series) -> dict[str, np.ndarray]:
    """Return the positions of each annotator's rows, and under "" of all."""
    everyone = {"": np.arange(len(annotators))}
    return {**everyone, **annotators.reset_index(drop=True).groupby(annotators.to_numpy(), observed=True).indices}

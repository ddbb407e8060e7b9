"""Numbers with their uncertainty: 95 % intervals that resample prompts, and tests that count prompts, not judgements.

What is said of one prompt stands or falls together, so a prompt is what chance draws; to resample judgements one by
one would make intervals too narrow. Every measure here is a function of sums over prompts, so a resample costs one
product of matrices.

Source: Field and Welsh 2007, J. R. Statist. Soc. B 69, section 2.2 (cluster bootstrap).
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import norm

RESAMPLES = 1_000
FEWEST_PROMPTS = 5
"""With fewer a bootstrap has too few different draws to say anything: the ends of the interval are nan."""
AT_ONCE = 4_000_000
"""Numbers drawn at a time: what bounds the memory."""

Statistic = Callable[[np.ndarray], np.ndarray]
"""Sums, shape (..., columns), to values, shape (...)."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number with its 95 % interval, and what it rests on."""

    value: float
    """nan if there is nothing to measure."""
    low: float
    high: float
    count: int
    """Judgements, or whatever the measure counts."""
    prompts: int

    def as_dict(self) -> dict[str, Any]:
        """Return the estimate as JSON values: nan becomes null."""
        ends = {name: _json(getattr(self, name)) for name in ("value", "low", "high")}
        return {**ends, "count": self.count, "prompts": self.prompts}

    def __str__(self) -> str:
        if np.isnan(self.value):
            return "no data"
        ends = "too few prompts" if np.isnan(self.low) else f"{self.low:.3f} to {self.high:.3f}"
        return f"{self.value:.3f} [{ends}]"


def _json(number: float) -> float | None:
    return float(number) if np.isfinite(number) else None


def of_sums(columns: np.ndarray) -> np.ndarray:
    """Return the first sum as a share of the second: the statistic of a rate."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return columns[..., 0] / columns[..., 1]


def estimates(
    parts: np.ndarray,
    prompts: np.ndarray,
    statistics: Mapping[str, Statistic],
    counts: Mapping[str, int] | None = None,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> dict[str, Estimate]:
    """Return each statistic of the column sums, with the 2.5 and 97.5 percentiles over resampled prompts.

    Args:
        parts: shape (rows, columns): what each row adds to the sums.
        prompts: the prompt of each row, shape (rows,), whole numbers.
        statistics: by name; all are worked out on the same draws.
        counts: what each statistic rests on; by default the number of rows.
        seed: decides the draws.

    Resamples for which a statistic is undefined are left out of its percentiles; under FEWEST_PROMPTS prompts, or if
    half the resamples are undefined, there is no interval.
    """
    names, cluster = np.unique(prompts, return_inverse=True)
    parts = np.asarray(parts, dtype=np.float64)
    sums = np.zeros((len(names), parts.shape[1]))
    for column in range(parts.shape[1]):
        sums[:, column] = np.bincount(cluster, weights=parts[:, column], minlength=len(names))
    drawn = _resampled(sums, seed, resamples) if len(names) >= FEWEST_PROMPTS else None
    found = {}
    for name, statistic in statistics.items():
        low, high = (np.nan, np.nan) if drawn is None else _percentiles(statistic(drawn))
        count = len(parts) if counts is None else counts[name]
        found[name] = Estimate(float(statistic(sums.sum(axis=0))), low, high, count, len(names))
    return found


def _percentiles(values: np.ndarray) -> tuple[float, float]:
    defined = values[np.isfinite(values)]
    if 2 * len(defined) < len(values):
        return np.nan, np.nan
    low, high = np.percentile(defined, [2.5, 97.5])
    return float(low), float(high)


def _resampled(sums: np.ndarray, seed: int, resamples: int) -> np.ndarray:
    """Return the sums over resampled prompts, shape (resamples, columns)."""
    return np.concatenate([drawn @ sums for drawn in draws(len(sums), seed, resamples)])


def draws(prompts: int, seed: int, resamples: int) -> Iterator[np.ndarray]:
    """Yield how often each prompt is drawn, shape (some resamples, prompts), `resamples` rows in all."""
    chance = np.random.default_rng(seed)
    step = max(1, AT_ONCE // prompts)
    sizes = [min(step, resamples - start) for start in range(0, resamples, step)]
    return (_counted(chance, rows, prompts) for rows in sizes)


def _counted(chance: np.random.Generator, rows: int, prompts: int) -> np.ndarray:
    drawn = chance.integers(prompts, size=(rows, prompts), dtype=np.int32)
    drawn += prompts * np.arange(rows, dtype=np.int32)[:, None]
    return np.bincount(drawn.ravel(), minlength=rows * prompts).reshape(rows, prompts).astype(np.float64)


def rate(values: np.ndarray, prompts: np.ndarray, seed: int = 0, weights: np.ndarray | None = None) -> Estimate:
    """Return the mean of the values, one a row, with its interval."""
    weights = np.ones(len(values)) if weights is None else weights
    return estimates(np.column_stack([values * weights, weights]), prompts, {"": of_sums}, seed=seed)[""]


def surprise(values: np.ndarray, prompts: np.ndarray, expected: float | np.ndarray) -> float:
    """Return the two-sided p of a mean as far from what is expected: small if chance alone seldom gives it.

    A score test, z = sum over prompts of d / sqrt(sum of d²) with d the prompt's sum of value less expected. |z| never
    exceeds the root of the number of prompts, so that a handful, however one-sided, proves nothing. 1 with no data.

    Source: Boos 1992, The American Statistician 46, section 4 (generalised score test).
    """
    by_prompt = _by_prompt(values - expected, prompts)
    spread = np.sqrt(np.sum(by_prompt**2))
    return float(2 * norm.sf(abs(by_prompt.sum() / spread))) if spread > 0 else 1.0


def difference(values: np.ndarray, prompts: np.ndarray, mine: np.ndarray) -> float:
    """Return the two-sided p of the mean over the rows that are `mine` differing as much from that over the others.

    As `surprise`, with the common mean expected on both sides. 1 if either side is empty.
    """
    if mine.all() or not mine.any():
        return 1.0
    rest, gap = values - values.mean(), values[mine].mean() - values[~mine].mean()
    variance = sum(np.sum(_by_prompt(rest[side], prompts[side]) ** 2) / side.sum() ** 2 for side in (mine, ~mine))
    return float(2 * norm.sf(abs(gap) / np.sqrt(variance))) if variance > 0 else 1.0


def _by_prompt(values: np.ndarray, prompts: np.ndarray) -> np.ndarray:
    cluster = np.unique(prompts, return_inverse=True)[1]
    return np.bincount(cluster, weights=values) if len(values) else np.zeros(0)

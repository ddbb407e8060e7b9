"""Estimates with 95% intervals from a bootstrap that resamples prompts, and tests that count prompts.

The comparisons of one prompt are not independent of each other, so prompts are resampled as wholes. Resampling single
comparisons would make intervals too narrow. Every measure is a function of sums over prompts, so a resample costs one
product with the matrix of those sums.

Source: Field and Welsh 2007, J. R. Statist. Soc. B 69, section 2.2 (cluster bootstrap).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import nan

import numpy as np
from scipy.stats import norm

RESAMPLES = 1_000
MEAN_RESAMPLES = 2_000
"""Resamples of `mean_with_interval`."""
FEWEST_PROMPTS = 5
"""Below this, `estimates` gives no interval (both ends nan): a bootstrap has too few different draws."""
MOST_AT_ONCE = 4_000_000
"""Numbers drawn in one batch, which bounds the memory."""

Statistic = Callable[[np.ndarray], np.ndarray]
"""Turns sums, shape (..., columns), into values, shape (...)."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number with its 95% interval and the data behind it."""

    value: float
    """nan if there is nothing to measure."""
    low: float
    high: float
    count: int
    """How many judgements, comparisons, or other units the number is measured on."""
    prompts: int

    def as_dict(self) -> dict[str, float | None]:
        """Return the estimate as JSON values: nan becomes null."""
        ends = {name: _finite(getattr(self, name)) for name in ("value", "low", "high")}
        return {**ends, "count": self.count, "prompts": self.prompts}

    def __str__(self) -> str:
        if np.isnan(self.value):
            return "no data"
        ends = "too few prompts" if np.isnan(self.low) else f"{self.low:.3f} to {self.high:.3f}"
        return f"{self.value:.3f} [{ends}]"


NO_DATA = Estimate(nan, nan, nan, 0, 0)


def _finite(number: float) -> float | None:
    return float(number) if np.isfinite(number) else None


# The bootstrap


def draws(prompts: int, seed: int, resamples: int) -> Iterator[np.ndarray]:
    """Yield how often each prompt is drawn, shape (resamples of the batch, prompts), `resamples` rows in all."""
    rng = np.random.default_rng(seed)
    step = max(1, MOST_AT_ONCE // prompts)
    sizes = [min(step, resamples - start) for start in range(0, resamples, step)]
    return (_draw(rng, size, prompts) for size in sizes)


def _draw(rng: np.random.Generator, resamples: int, prompts: int) -> np.ndarray:
    drawn = rng.integers(prompts, size=(resamples, prompts), dtype=np.int32)
    drawn += prompts * np.arange(resamples, dtype=np.int32)[:, None]
    return np.bincount(drawn.ravel(), minlength=resamples * prompts).reshape(resamples, prompts).astype(np.float64)


def _percentiles(values: np.ndarray) -> tuple[float, float]:
    """Return the 2.5 and 97.5 percentiles of the defined values; nan if fewer than half are defined."""
    defined = values[np.isfinite(values)]
    if 2 * len(defined) < len(values):
        return nan, nan
    low, high = np.percentile(defined, [2.5, 97.5])
    return float(low), float(high)


# Estimates


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
        statistics: name -> statistic; all use the same draws.
        counts: name -> count of the estimate; by default the number of rows.
        seed: decides the draws.

    A statistic's percentiles leave out the resamples in which it is undefined. There is no interval with fewer than
    FEWEST_PROMPTS prompts, or if the statistic is undefined in more than half of the resamples.
    """
    names, cluster = np.unique(prompts, return_inverse=True)
    parts = np.asarray(parts, dtype=np.float64)
    sums = np.zeros((len(names), parts.shape[1]))
    for column in range(parts.shape[1]):
        sums[:, column] = np.bincount(cluster, weights=parts[:, column], minlength=len(names))
    resampled = None
    if len(names) >= FEWEST_PROMPTS:
        resampled = np.concatenate([drawn @ sums for drawn in draws(len(sums), seed, resamples)])
    result = {}
    for name, statistic in statistics.items():
        low, high = (nan, nan) if resampled is None else _percentiles(statistic(resampled))
        count = len(parts) if counts is None else counts[name]
        result[name] = Estimate(float(statistic(sums.sum(axis=0))), low, high, count, len(names))
    return result


def ratio(sums: np.ndarray) -> np.ndarray:
    """Return the first sum divided by the second: the statistic of a mean or a share."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(sums[..., 0] / sums[..., 1])


def rate(values: np.ndarray, prompts: np.ndarray, seed: int = 0, weights: np.ndarray | None = None) -> Estimate:
    """Return the mean of the values, one per row, with the interval of `estimates`."""
    weights = np.ones(len(values)) if weights is None else weights
    return estimates(np.column_stack([values * weights, weights]), prompts, {"": ratio}, seed=seed)[""]


def mean_with_interval(
    values: np.ndarray,
    weights: np.ndarray,
    clusters: Sequence[str] | np.ndarray,
    seed: int = 0,
    resamples: int = MEAN_RESAMPLES,
) -> Estimate:
    """Return the weighted mean of the values, one per comparison, with the percentiles over resampled prompts.

    It differs from `rate` in three ways, so that reports stored by earlier versions stay comparable to the last digit:
    `clusters` names prompts by id, few prompts have an interval too, and each resample is summed on its own.
    """
    names, cluster = np.unique(np.asarray(clusters, dtype=str), return_inverse=True)
    if not len(names):
        return NO_DATA
    total = np.bincount(cluster, weights=weights * values, minlength=len(names))
    weight = np.bincount(cluster, weights=weights, minlength=len(names))
    means = [row @ total / (row @ weight) for drawn in draws(len(names), seed, resamples) for row in drawn]
    low, high = np.percentile(means, [2.5, 97.5])
    return Estimate(float(np.average(values, weights=weights)), float(low), float(high), len(values), len(names))


# Tests


def mean_p_value(values: np.ndarray, prompts: np.ndarray, expected: float | np.ndarray) -> float:
    """Return the two-sided p-value of the values' mean against the expected mean; 1 with no data.

    A score test: z = sum of d / sqrt(sum of d²), where d is a prompt's sum of value less expected. |z| never exceeds
    the square root of the number of prompts, so a handful of prompts proves nothing, however one-sided they are.

    Source: Boos 1992, The American Statistician 46, section 4 (generalised score test).
    """
    by_prompt = _sums_by_prompt(values - expected, prompts)
    spread = np.sqrt(np.sum(by_prompt**2))
    return float(2 * norm.sf(abs(by_prompt.sum() / spread))) if spread > 0 else 1.0


def difference_p_value(values: np.ndarray, prompts: np.ndarray, selected: np.ndarray) -> float:
    """Return the two-sided p-value of the difference between the means of the selected rows and of the others.

    The test is that of `mean_p_value`, with the common mean expected on both sides. 1 if either side is empty.
    """
    if selected.all() or not selected.any():
        return 1.0
    rest, gap = values - values.mean(), values[selected].mean() - values[~selected].mean()
    sides = (selected, ~selected)
    variance = sum(np.sum(_sums_by_prompt(rest[side], prompts[side]) ** 2) / side.sum() ** 2 for side in sides)
    return float(2 * norm.sf(abs(gap) / np.sqrt(variance))) if variance > 0 else 1.0


def _sums_by_prompt(values: np.ndarray, prompts: np.ndarray) -> np.ndarray:
    cluster = np.unique(prompts, return_inverse=True)[1]
    return np.bincount(cluster, weights=values) if len(values) else np.zeros(0)

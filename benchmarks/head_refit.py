"""How long it takes to fit a head anew once features are cached, beside scikit-learn's solver, a fit at a time.

    python -m benchmarks.head_refit [--comparisons 1000 --comparisons 10000] [--stock 1000]

A refit is what `reward train` does with the features: choose layer and C by cross-validation (4 layers, 11 values of C,
5 folds), fit with them, and say how uncertain every reward is. Features are invented, as wide as SmolLM2-135M's; a
tenth of their directions hold most of what they say, and each prompt has two comparisons. The stock side fits the same
220 regressions of cross-validation one after the other, on one thread.
"""

import time
from typing import Annotated

import numpy as np
import typer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold
from threadpoolctl import threadpool_limits

from reward.head.covariance import jackknife
from reward.head.fitting import FOLDS, REGULARISATION, feature_scale, fit_head

LAYERS, WIDTH = 4, 576


def invented(comparisons: int) -> tuple[np.ndarray, np.ndarray]:
    """Return differences, shape (comparisons, layers, width), and the prompt of each."""
    chance = np.random.default_rng(0)
    signal = chance.normal(size=(comparisons, WIDTH // 10)) * np.linspace(3, 0.1, WIDTH // 10)
    layers = [
        0.3 * signal @ chance.normal(size=(signal.shape[1], WIDTH)) + chance.normal(size=(comparisons, WIDTH)) / 2
        for _ in range(LAYERS)
    ]
    features = np.stack(layers, axis=1)
    chosen = chance.random(comparisons) < 1 / (1 + np.exp(-features[:, 1] @ chance.normal(size=WIDTH) / 50))
    return features * np.where(chosen, 1, -1)[:, None, None], (np.arange(comparisons) // 2).astype(str)


def stock_seconds(differences: np.ndarray, prompts: np.ndarray) -> float:
    """Return how long scikit-learn's Newton solver takes for the fits of cross-validation, warm started."""
    start = time.perf_counter()
    signs = np.where(np.arange(len(differences)) % 2 == 0, 1, -1)  # one class alone it refuses
    with threadpool_limits(1):
        for layer in range(LAYERS):
            rows = differences[:, layer] * signs[:, None]
            for fitted, _ in GroupKFold(FOLDS, shuffle=True, random_state=0).split(rows, groups=prompts):
                scaled = rows[fitted] * feature_scale(rows[fitted], np.ones(len(fitted)))
                model = LogisticRegression(fit_intercept=False, solver="newton-cholesky", warm_start=True)
                for strength in REGULARISATION:
                    model.set_params(C=strength).fit(scaled, signs[fitted])
    return time.perf_counter() - start


def main(
    comparisons: Annotated[list[int], typer.Option(help="how many; may be repeated")] = [1_000, 3_000, 10_000],  # noqa: B006
    stock: Annotated[int, typer.Option(help="comparisons that scikit-learn is given; 0 leaves it out")] = 1_000,
) -> None:
    """Print a row for each number of comparisons, and the ratio to scikit-learn."""
    print("| comparisons | choosing and fitting, s | uncertainty, s | in all, s |\n| ---: | ---: | ---: | ---: |")
    for number in comparisons:
        differences, prompts = invented(number)
        weights, start = np.ones(number), time.perf_counter()
        head = fit_head(differences, weights, prompts)
        fitted = time.perf_counter()
        jackknife(differences[:, head.layer], weights, prompts, head, np.zeros(WIDTH))
        ended = time.perf_counter()
        print(f"| {number:,} | {fitted - start:.2f} | {ended - fitted:.2f} | {ended - start:.2f} |")
    if stock:
        differences, prompts = invented(stock)
        start = time.perf_counter()
        fit_head(differences, np.ones(stock), prompts)
        ours, theirs = time.perf_counter() - start, stock_seconds(differences, prompts)
        print(f"\nscikit-learn, {stock:,} comparisons: {theirs:.1f} s for its fits, {theirs / ours:.0f} times ours")


if __name__ == "__main__":
    typer.run(main)

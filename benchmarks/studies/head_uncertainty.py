"""How well a head's standard deviations are calibrated, against two other ways to get them, on real rankings.

    python -m benchmarks.studies.head_uncertainty hh-rlhf-harmless.jsonl.gz [--repeats 5] [--resamples 30]

Nobody knows the true reward, but two heads fitted on disjoint halves of the training prompts know nothing of one
another: their margins for a held-out comparison differ by chance alone, so (m1 - m2) / sqrt(s1² + s2²) should have a
standard deviation of at most 1 and be within 1.96 for 95 % of the comparisons. A larger spread means that a method
promises too much. A smaller one need not be a fault: both halves shrink alike, which this can't see.

Beside that the held-out log-loss and calibration error when the choice's probability is averaged over what the weights
may be, sigmoid(m / sqrt(1 + pi s² / 8)) (MacKay 1992, Neural Computation 4, eq. 10), against sigmoid(m).

prompts: as `reward.model.uncertainty` has it. laplace: the inverse of the objective's second derivative (MacKay,
section 2).
bootstrap: the spread of heads refitted on resampled prompts.
"""

from collections.abc import Callable
from functools import partial
from typing import Annotated

import numpy as np
import typer
from scipy.special import expit

from label_data.comparisons import split_by_prompt
from reward import metrics
from reward.evaluation.one_model import read_data
from reward.head.covariance import jackknife
from reward.head.fitting import Head, feature_scale, fit_head, fit_weights
from reward.head.train import side
from reward.networks.batches import encode
from reward.networks.features import input_features, open_backbone

Method = Callable[[np.ndarray, np.ndarray, np.ndarray, Head, np.ndarray], np.ndarray]
"""Differences, weights, clusters, head, held-out differences -> standard deviations of the held-out margins."""


def by_prompts(
    differences: np.ndarray, weights: np.ndarray, clusters: np.ndarray, head: Head, queries: np.ndarray
) -> np.ndarray:
    return jackknife(differences, weights, clusters, head, np.zeros(differences.shape[1])).margin_deviations(queries)


def by_laplace(differences: np.ndarray, weights: np.ndarray, _c: object, head: Head, queries: np.ndarray) -> np.ndarray:
    scale, probability = feature_scale(differences, weights), expit(differences @ head.weights)
    rows = differences * scale * np.sqrt(weights * probability * (1 - probability))[:, None]
    precision = rows.T @ rows + np.eye(len(scale)) / head.regularisation
    return np.sqrt(np.sum((queries * scale) * np.linalg.solve(precision, (queries * scale).T).T, axis=1))


def by_bootstrap(
    resamples: int,
    differences: np.ndarray,
    weights: np.ndarray,
    clusters: np.ndarray,
    head: Head,
    queries: np.ndarray,
) -> np.ndarray:
    names, cluster = np.unique(clusters, return_inverse=True)
    chance = np.random.default_rng(0)
    margins = []
    for _ in range(resamples):
        drawn = np.bincount(chance.integers(len(names), size=len(names)), minlength=len(names))[cluster] * weights
        present = drawn > 0
        margins.append(queries @ fit_weights(differences[present], drawn[present], [head.regularisation])[0])
    return np.std(margins, axis=0, ddof=1)


def main(
    data: Annotated[str, typer.Argument(help="a store or a file of rankings")],
    repeats: Annotated[int, typer.Option(help="ways to halve the training prompts")] = 5,
    resamples: Annotated[int, typer.Option(help="heads of a bootstrap")] = 30,
    seed: int = 0,
) -> None:
    """Print the calibration of each method."""
    train, test = (side(part) for part in split_by_prompt(read_data(data).groups, 0.2, seed))
    backbone = open_backbone()
    inputs = {
        completion.id: encode(backbone.tokenizer, group.prompt.messages, completion.text)
        for group in (*train.groups, *test.groups)
        for completion in group.completions
    }
    features = input_features(backbone, list(inputs.values()), on_progress=lambda done, total, message: print(message))
    feature = dict(zip(inputs, features, strict=True))
    learned, queries = (
        np.stack([feature[c.chosen] - feature[c.rejected] for c in item.comparisons]) for item in (train, test)
    )
    whole = fit_head(learned, train.weights, train.clusters, seed)
    learned, queries = (item[:, whole.layer].astype(np.float64) for item in (learned, queries))
    print(
        f"Training: {len(learned)} comparisons of {train.prompts} prompts; held out: {len(queries)} of {test.prompts}"
    )
    print(f"layer {backbone.layers[whole.layer]}, C {whole.regularisation:.2g}")

    methods: dict[str, Method] = {
        "prompts": by_prompts,
        "laplace": by_laplace,
        "bootstrap": partial(by_bootstrap, resamples),
    }
    margins = queries @ whole.weights
    plain = metrics.log_loss(margins, test.weights), metrics.ece(margins, test.weights)
    print(f"plain      log-loss {plain[0]:.4f}  ECE {plain[1]:.3f}")
    for name, method in methods.items():
        spread, within, sizes = [], [], []
        chance = np.random.default_rng(seed)
        for _ in range(repeats):
            prompts = chance.permutation(np.unique(train.clusters))
            first = np.isin(train.clusters, prompts[: len(prompts) // 2])
            of_half, deviations = [], []
            for half in (first, ~first):
                part = (learned[half], train.weights[half], train.clusters[half])
                head = Head(fit_weights(part[0], part[1], [whole.regularisation])[0], 0, whole.regularisation, 0.0)
                of_half.append(queries @ head.weights)
                deviations.append(method(*part, head, queries))
            z = (of_half[0] - of_half[1]) / np.hypot(*deviations)
            spread.append(np.sqrt(np.average(z**2, weights=test.weights)))
            within.append(np.average(np.abs(z) < 1.96, weights=test.weights))
            sizes.append(np.mean(deviations))
        sure = method(learned, train.weights, train.clusters, whole, queries)
        averaged = margins / np.sqrt(1 + np.pi * sure**2 / 8)
        print(
            f"{name:10} z spread {np.mean(spread):.2f} (1)  within 1.96 {np.mean(within):.3f} (0.95)  mean deviation "
            f"{np.mean(sizes):.3f}  averaged: log-loss {metrics.log_loss(averaged, test.weights):.4f}  "
            f"ECE {metrics.ece(averaged, test.weights):.3f}"
        )


if __name__ == "__main__":
    typer.run(main)

"""Accuracy by strength, annotator and category; Kendall's tau over rankings; and best-of-n.

Rewards are given by completion id. Intervals resample prompts; prompts with the same first turn count as one.
"""

from collections.abc import Mapping, Sequence
from math import log

import numpy as np
from scipy.stats import kendalltau

from label_data.canonical import content_id
from label_data.intervals import NO_DATA, Estimate, mean_with_interval
from label_data.records import Comparison, Group, Ranking
from reward import metrics
from reward.report.report import BestOf, Part


def parts(
    groups: Sequence[Group],
    comparisons: Sequence[Comparison],
    correct: np.ndarray,
    clusters: Sequence[str] | np.ndarray,
    seed: int,
) -> tuple[Part, ...]:
    """Return the accuracy at every strength, against every annotator and in every category.

    Comparisons without a strength, and prompts without a category, are in no part of that kind.

    Args:
        groups: the prompts, with their categories.
        comparisons: the comparisons that the model was evaluated on.
        correct: 1, 0 or a half for each comparison, as `metrics.correct` returns it.
        clusters: the prompt of each comparison.
        seed: seed of the intervals' bootstrap.
    """
    category = {group.prompt.id: group.prompt.category for group in groups}
    weights = np.array([comparison.weight for comparison in comparisons])
    clusters = np.asarray(clusters, dtype=str)
    columns = {
        "strength": ["" if comparison.strength is None else str(comparison.strength) for comparison in comparisons],
        "annotator": [comparison.annotator for comparison in comparisons],
        "category": [category[comparison.prompt_id] for comparison in comparisons],
    }
    result = []
    for kind, names in columns.items():
        column = np.array(names, dtype=str)
        for name in np.unique(column[column != ""]):
            matching = column == name
            accuracy = mean_with_interval(correct[matching], weights[matching], clusters[matching], seed)
            result.append(Part(kind, str(name), accuracy))
    return tuple(result)


def mean_tau(groups: Sequence[Group], rewards: Mapping[str, float], seed: int) -> Estimate:
    """Return the mean over rankings of Kendall's tau-b between the ranking and the model's order.

    1 is the same order and -1 the reverse. If the ranking or the model ties everything, tau-b is undefined and the
    ranking is left out. The estimate's `count` is the number of rankings.

    Source: Kendall 1945, Biometrika 33, eq. for tau-b.
    """
    taus, clusters = [], []
    for group in groups:
        for ranking in _ordered_rankings(group):
            level = _levels(ranking)
            model_order = [rewards[completion] for completion in level]
            if len(set(model_order)) > 1 and len(set(level.values())) > 1:
                taus.append(kendalltau([-place for place in level.values()], model_order).statistic)
                clusters.append(content_id(group.prompt.first_turn))
    return mean_with_interval(np.array(taus), np.ones(len(taus)), clusters, seed) if taus else NO_DATA


def best_of(groups: Sequence[Group], rewards: Mapping[str, float], seed: int) -> tuple[BestOf, ...]:
    """Return, for every n, how good annotators find the completion with the highest reward among n drawn.

    The quality of a completion is the share of the prompt's other completions that rankings place below it, a tie
    counting half, over all rankings that place both. A prompt counts for every n up to its number of placed
    completions.
    """
    ranked = []
    for group in groups:
        quality = _quality(group)
        if len(quality) > 1:
            reward = np.array([rewards[completion] for completion in quality])
            ranked.append((content_id(group.prompt.first_turn), reward, np.array(list(quality.values()))))
    result = []
    for drawn in range(1, max((len(quality) for _, _, quality in ranked), default=0) + 1):
        enough = [(cluster, reward, quality) for cluster, reward, quality in ranked if len(quality) >= drawn]
        clusters = [cluster for cluster, _, _ in enough]
        model = np.array([metrics.best_of_weights(reward, drawn) @ quality for _, reward, quality in enough])
        people = np.array([metrics.best_of_weights(quality, drawn) @ quality for _, _, quality in enough])
        beaten = mean_with_interval(model, np.ones(len(model)), clusters, seed)
        result.append(BestOf(drawn, log(drawn) - (drawn - 1) / drawn, beaten, float(people.mean())))
    return tuple(result)


def _ordered_rankings(group: Group) -> list[Ranking]:
    """Return the rankings that order completions and do not test an annotator."""
    return [ranking for ranking in group.rankings if ranking.order and not ranking.tests_annotator]


def _levels(ranking: Ranking) -> dict[str, int]:
    """Return the place of each placed completion, 0 for the best."""
    return {completion: place for place, tied in enumerate(ranking.order) for completion in tied}


def _quality(group: Group) -> dict[str, float]:
    """Return the share of the other completions that each completion beats, over the rankings that place it."""
    beaten: dict[str, list[float]] = {}
    for ranking in _ordered_rankings(group):
        level = _levels(ranking)
        for completion, place in level.items():
            others = [level[other] for other in level if other != completion]
            beaten.setdefault(completion, []).extend((np.sign(other - place) + 1) / 2 for other in others)
    return {completion: float(np.mean(shares)) for completion, shares in beaten.items() if shares}

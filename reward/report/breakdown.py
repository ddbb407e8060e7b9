"""Where a model does well and where not: by strength, annotator and category, by ranking, and as the judge of many.

Rewards are given by completion id. A prompt is what intervals resample, those that share their first turn as one.
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
    groups: Sequence[Group], compared: Sequence[Comparison], right: np.ndarray, clusters: np.ndarray, seed: int
) -> tuple[Part, ...]:
    """Return the accuracy at every strength, against every annotator and in every category.

    Comparisons of which nobody said how strong they are, and prompts without a category, are in no part.

    Args:
        right: 1, 0 or a half for each comparison, as `metrics.correct` gives it.
        clusters: the prompt of each comparison.
    """
    category = {group.prompt.id: group.prompt.category for group in groups}
    weights = np.array([one.weight for one in compared])
    named = {
        "strength": ["" if one.strength is None else str(one.strength) for one in compared],
        "annotator": [one.annotator for one in compared],
        "category": [category[one.prompt_id] for one in compared],
    }
    found = []
    for kind, names in named.items():
        column = np.array(names, dtype=str)
        for name in np.unique(column[column != ""]):
            mine = column == name
            accuracy = mean_with_interval(right[mine], weights[mine], clusters[mine], seed)
            found.append(Part(kind, str(name), accuracy))
    return tuple(found)


def mean_tau(groups: Sequence[Group], rewards: Mapping[str, float], seed: int) -> Estimate:
    """Return the mean over rankings of Kendall's tau-b between the ranking and the model's order.

    1 is the same order, -1 the other way round. A ranking of which one side ties everything has none. The estimate's
    `comparisons` are rankings.

    Source: Kendall 1945, Biometrika 33, eq. for tau-b.
    """
    taus, clusters = [], []
    for group in groups:
        for ranking in _said(group):
            level = _levels(ranking)
            of_model = [rewards[completion] for completion in level]
            if len(set(of_model)) > 1 and len(set(level.values())) > 1:
                taus.append(kendalltau([-one for one in level.values()], of_model).statistic)
                clusters.append(content_id(group.prompt.first_turn))
    return mean_with_interval(np.array(taus), np.ones(len(taus)), clusters, seed) if taus else NO_DATA


def best_of(groups: Sequence[Group], rewards: Mapping[str, float], seed: int) -> tuple[BestOf, ...]:
    """Return, for every n, what people think of the completion that has the highest reward of n drawn.

    What they think of a completion is the share of the prompt's other completions that their rankings place below it,
    a tie half, over all rankings that place both. Prompts of which fewer than n completions were placed are not in n.
    """
    judged = []
    for group in groups:
        liked = _liked(group)
        if len(liked) > 1:
            reward = np.array([rewards[completion] for completion in liked])
            judged.append((content_id(group.prompt.first_turn), reward, np.array(list(liked.values()))))
    found = []
    for drawn in range(1, max((len(liked) for _, _, liked in judged), default=0) + 1):
        enough = [one for one in judged if len(one[1]) >= drawn]
        taken = np.array([metrics.best_of_weights(reward, drawn) @ liked for _, reward, liked in enough])
        people = np.array([metrics.best_of_weights(liked, drawn) @ liked for _, _, liked in enough])
        beaten = mean_with_interval(taken, np.ones(len(taken)), [cluster for cluster, *_ in enough], seed)
        found.append(BestOf(drawn, log(drawn) - (drawn - 1) / drawn, beaten, float(people.mean())))
    return tuple(found)


def _said(group: Group) -> list[Ranking]:
    return [ranking for ranking in group.rankings if ranking.order and not ranking.tests_annotator]


def _levels(ranking: Ranking) -> dict[str, int]:
    """Return the place of each completion that was placed, 0 best."""
    return {completion: place for place, tied in enumerate(ranking.order) for completion in tied}


def _liked(group: Group) -> dict[str, float]:
    """Return the share of the others that each completion beats, of those that were placed beside another."""
    beaten: dict[str, list[float]] = {}
    for ranking in _said(group):
        level = _levels(ranking)
        for one in level:
            beaten.setdefault(one, []).extend(
                (np.sign(level[other] - level[one]) + 1) / 2 for other in level if other != one
            )
    return {completion: float(np.mean(shares)) for completion, shares in beaten.items() if shares}

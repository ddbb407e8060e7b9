"""The measures and counts of a report, from rewards by completion id."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import comb

import numpy as np

from label_data.canonical import canonical
from label_data.comparisons import comparisons
from label_data.records import Comparison, Group
from reward import metrics
from reward.data.sides import Side
from reward.report.breakdown import best_of, mean_tau, parts
from reward.report.policy_baseline import policy_margins
from reward.report.report import Counts, HeldOut, held_out_measures


def data_hash(data: Sequence[Comparison]) -> str:
    """Return the sha256 of the comparisons, whatever their order: it identifies the data of training and evaluation."""
    rows = sorted(
        canonical([c.prompt_id, c.chosen, c.rejected, c.annotator, c.weight, *([c.margin] if c.margin else [])])
        for c in data
    )
    return hashlib.sha256("\n".join(rows).encode()).hexdigest()


def other_prompts(groups: Sequence[Group], seed: int) -> list[tuple[Group, Group]]:
    """Pair every group with a group that has another first turn; none if all groups share their first turn."""
    order = [groups[index] for index in np.random.default_rng(seed).permutation(len(groups))]
    pairs = []
    for place, group in enumerate(order):
        followers = (order[(place + step) % len(order)] for step in range(1, len(order)))
        other = next((other for other in followers if other.prompt.first_turn != group.prompt.first_turn), None)
        if other is not None:
            pairs.append((group, other))
    return pairs


def counts_of(groups: Sequence[Group], train: Side, held_out: Side, trimmed: int, twins: int | None = None) -> Counts:
    """Return how many rankings and comparisons the groups have and how they were used.

    Args:
        groups: the prompts with all their rankings.
        train, held_out: the two sides of the split.
        trimmed: the number of completions whose prompt was truncated.
        twins: the number of comparisons of equal texts, if a data version has counted them; otherwise all comparisons
            that are on neither side.
    """
    every_ranking = [ranking for group in groups for ranking in group.rankings]
    rankings = [ranking for ranking in every_ranking if not ranking.tests_annotator]
    implied = [len(comparisons(ranking)) for ranking in rankings]
    return Counts(
        rankings=len(rankings),
        without_order=implied.count(0),
        tied=sum(comb(len(tied), 2) for ranking in rankings for tied in ranking.order),
        twins=sum(implied) - len(train.comparisons) - len(held_out.comparisons) if twins is None else twins,
        trimmed=trimmed,
        tests=len(every_ranking) - len(rankings),
        train_prompts=train.prompts,
        train_rankings=train.rankings,
        train_comparisons=len(train.comparisons),
        held_out_prompts=held_out.prompts,
        held_out_rankings=held_out.rankings,
        held_out_comparisons=len(held_out.comparisons),
    )


def measures(
    rewards: Mapping[str, float],
    shuffled: Mapping[str, float],
    held_out: Side,
    seed: int,
    train: Side | None = None,
) -> HeldOut:
    """Return the measures of a model on the held-out side.

    Args:
        rewards, shuffled: by completion id, with the completion's own prompt and with another prompt.
        held_out: the comparisons to evaluate the model on.
        seed: seed of the intervals' bootstrap.
        train: the training side, if known, for the policy baseline.
    """
    length = {c.id: len(c.folded) for group in held_out.groups for c in group.completions}
    centred = {
        name: np.concatenate([_centred([values[c.id] for c in group.completions]) for group in held_out.groups])
        for name, values in (("rewards", rewards), ("lengths", length))
    }
    chosen = np.array([rewards[c.chosen] for c in held_out.comparisons])
    rejected = np.array([rewards[c.rejected] for c in held_out.comparisons])
    result = held_out_measures(
        chosen=chosen,
        rejected=rejected,
        shuffled_margins=np.array([shuffled[c.chosen] - shuffled[c.rejected] for c in held_out.comparisons]),
        chosen_lengths=np.array([length[c.chosen] for c in held_out.comparisons]),
        rejected_lengths=np.array([length[c.rejected] for c in held_out.comparisons]),
        weights=held_out.weights,
        clusters=held_out.clusters,
        centred_rewards=centred["rewards"],
        centred_lengths=centred["lengths"],
        seed=seed,
        policy_margins=None if train is None else policy_margins(train, held_out),
    )
    correct = metrics.correct(chosen - rejected)
    return replace(
        result,
        tau=mean_tau(held_out.groups, rewards, seed),
        parts=parts(held_out.groups, held_out.comparisons, correct, held_out.clusters, seed),
        best_of=best_of(held_out.groups, rewards, seed),
    )


def _centred(values: Sequence[float]) -> np.ndarray:
    centred: np.ndarray = np.asarray(values, dtype=np.float64) - np.mean(values)
    return centred

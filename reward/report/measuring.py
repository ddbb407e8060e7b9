"""What is measured on the held-out side, from rewards by completion id."""

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


def data_hash(compared: Sequence[Comparison]) -> str:
    """Return the sha256 of the comparisons, in any order: what exactly was learned from and judged on."""
    rows = sorted(
        canonical([c.prompt_id, c.chosen, c.rejected, c.annotator, c.weight, *([c.margin] if c.margin else [])])
        for c in compared
    )
    return hashlib.sha256("\n".join(rows).encode()).hexdigest()


def other_prompts(groups: Sequence[Group], seed: int) -> list[tuple[Group, Group]]:
    """Pair every group with one whose first turn is another; none if all share theirs."""
    order = [groups[at] for at in np.random.default_rng(seed).permutation(len(groups))]
    pairs = []
    for place, group in enumerate(order):
        others = (order[(place + step) % len(order)] for step in range(1, len(order)))
        other = next((one for one in others if one.prompt.first_turn != group.prompt.first_turn), None)
        if other is not None:
            pairs.append((group, other))
    return pairs


def counts_of(groups: Sequence[Group], train: Side, test: Side, trimmed: int, twins: int | None = None) -> Counts:
    """Return what the groups held and what became of it; `trimmed` is the number of completions that did not fit.

    `twins`: comparisons of equal texts, where a version of the data has counted them; else they are what is missing.
    """
    every = [ranking for group in groups for ranking in group.rankings]
    rankings = [ranking for ranking in every if not ranking.tests_annotator]
    implied = [len(comparisons(ranking)) for ranking in rankings]
    return Counts(
        rankings=len(rankings),
        without_order=implied.count(0),
        tied=sum(comb(len(tied), 2) for ranking in rankings for tied in ranking.order),
        twins=sum(implied) - len(train.comparisons) - len(test.comparisons) if twins is None else twins,
        trimmed=trimmed,
        tests=len(every) - len(rankings),
        train_prompts=train.prompts,
        train_rankings=train.rankings,
        train_comparisons=len(train.comparisons),
        held_out_prompts=test.prompts,
        held_out_rankings=test.rankings,
        held_out_comparisons=len(test.comparisons),
    )


def measures(
    rewards: Mapping[str, float], shuffled: Mapping[str, float], test: Side, seed: int, train: Side | None = None
) -> HeldOut:
    """Return the measures on the held-out side of rewards by completion id, their own and under another prompt.

    `train`, if known, is what a baseline learns from that knows of policies alone.
    """
    length = {c.id: len(c.folded) for group in test.groups for c in group.completions}
    centred = {
        name: np.concatenate([_centred([values[c.id] for c in group.completions]) for group in test.groups])
        for name, values in (("rewards", rewards), ("lengths", length))
    }
    found = held_out_measures(
        chosen=np.array([rewards[one.chosen] for one in test.comparisons]),
        rejected=np.array([rewards[one.rejected] for one in test.comparisons]),
        shuffled_margins=np.array([shuffled[one.chosen] - shuffled[one.rejected] for one in test.comparisons]),
        chosen_lengths=np.array([length[one.chosen] for one in test.comparisons]),
        rejected_lengths=np.array([length[one.rejected] for one in test.comparisons]),
        weights=test.weights,
        clusters=test.clusters,
        centred_rewards=centred["rewards"],
        centred_lengths=centred["lengths"],
        seed=seed,
        policy_margins=None if train is None else policy_margins(train, test),
    )
    right = metrics.correct(np.array([rewards[one.chosen] - rewards[one.rejected] for one in test.comparisons]))
    return replace(
        found,
        tau=mean_tau(test.groups, rewards, seed),
        parts=parts(test.groups, test.comparisons, right, test.clusters, seed),
        best_of=best_of(test.groups, rewards, seed),
    )


def _centred(values: Sequence[float]) -> np.ndarray:
    return np.asarray(values, dtype=np.float64) - np.mean(values)

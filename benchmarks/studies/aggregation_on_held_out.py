"""Does weighing annotators by reliability help? Planted annotators, and PandaLM's three, always on prompts held out.

    python -m benchmarks.studies.aggregation_on_held_out [PANDALM_STORE]

Planted: features and a linear truth; annotators who turn round a share of what they say; three judge each training
pair. A head is fitted to every aggregation's comparisons and asked for the true order of pairs that nobody judged.
PANDALM_STORE is made of what `converters.pandalm_to_groups` writes: reliabilities come from half the prompts, and on
the other half two annotators, aggregated, predict what the third says.
"""

from collections.abc import Callable
from typing import Annotated

import numpy as np
import typer

from label_data.comparisons import split_by_prompt
from label_data.database.engine import open_store
from label_data.intervals import Estimate, rate
from label_data.quality.judgements import judged_pairs, judgements
from label_data.quality.reliability import Truth, annotator_weights, dawid_skene, weighted
from label_data.records import Comparison, Completion, Group, Ranking, user_prompt
from label_data.store.stored_groups import groups as stored_groups
from label_data.versions.aggregation import majority, raw, weighted_votes
from reward.head.fitting import fit_weights

FEATURES, PROMPTS, TESTED, SEEDS = 30, 400, 2_000, 20
CROWDS = {
    "all alike, 20 % turned round": np.full(12, 0.2),
    "mixed, 5 % to 50 %": np.linspace(0.05, 0.5, 12),
    "half careful (5 %), half coins": np.repeat([0.05, 0.5], 6),
    "two in twelve contrary (90 %)": np.repeat([0.1, 0.9], [10, 2]),
}
WAYS = ("raw", "majority", "weighted votes", "raw, annotators weighted")


def crowd(wrong: np.ndarray, seed: int) -> tuple[list[Group], dict[str, np.ndarray], np.ndarray]:
    """Return judged pairs, their completions' features, and the true weights."""
    chance = np.random.default_rng(seed)
    truth = chance.normal(size=FEATURES)
    features: dict[str, np.ndarray] = {}
    groups = []
    for number in range(PROMPTS):
        prompt = user_prompt(f"{seed} {number}")
        first, other = (Completion(prompt.id, text) for text in "ab")
        for completion in (first, other):
            features[completion.id] = chance.normal(size=FEATURES)
        is_first = truth @ (features[first.id] - features[other.id]) > 0
        order = (first.id, other.id) if is_first else (other.id, first.id)
        rankings = []
        for annotator in chance.choice(len(wrong), 3, replace=False):
            stated = order[::-1] if chance.random() < wrong[annotator] else order
            rankings.append(
                Ranking(prompt.id, f"annotator {annotator}", (first.id, other.id), ((stated[0],), (stated[1],)))
            )
        groups.append(Group(prompt, (first, other), tuple(rankings)))
    return groups, features, truth


def aggregated(groups: list[Group], truth: Truth) -> dict[str, list[Comparison]]:
    """Return the comparisons that each way makes of the groups."""
    weights = annotator_weights(truth.annotators)
    all_comparisons = [comparison for group in groups for comparison in raw(group).comparisons]
    votes = [weighted_votes(group, truth.annotators, truth.tied) for group in groups]
    return {
        "raw": all_comparisons,
        "majority": [comparison for group in groups for comparison in majority(group).comparisons],
        "weighted votes": [comparison for vote in votes for comparison in vote.comparisons],
        "raw, annotators weighted": [weighted(comparison, weights) for comparison in all_comparisons],
    }


def held_out_accuracy(compared: list[Comparison], features: dict[str, np.ndarray], truth: np.ndarray) -> float:
    """Fit a head to the comparisons and return its accuracy on the true order of fresh pairs."""
    rows = np.stack([features[comparison.chosen] - features[comparison.rejected] for comparison in compared])
    weights = fit_weights(rows, np.array([comparison.weight for comparison in compared]), [0.1])[0]
    fresh = np.random.default_rng(10_000).normal(size=(TESTED, FEATURES))
    return float(np.mean((fresh @ truth > 0) == (fresh @ weights > 0)))


def planted() -> None:
    """Print each way's mean held-out accuracy, and its mean gain on raw over the same seeds with a standard error."""
    for name, wrong in CROWDS.items():
        scores: dict[str, list[float]] = {way: [] for way in WAYS}
        for seed in range(SEEDS):
            groups, features, truth = crowd(wrong, seed)
            for way, compared in aggregated(groups, dawid_skene(judgements(groups))).items():
                scores[way].append(held_out_accuracy(compared, features, truth))
        typer.echo(f"\n{name}: held-out accuracy, {SEEDS} seeds of {PROMPTS} pairs x 3 annotators")
        for way in WAYS:
            gain = np.array(scores[way]) - np.array(scores["raw"])
            error = gain.std(ddof=1) / np.sqrt(SEEDS)
            typer.echo(f"  {way:26}{np.mean(scores[way]):.3f}   on raw {gain.mean():+.3f} ± {1.96 * error:.3f}")


def without(group: Group, annotator: str) -> Group:
    """Return the group as if this annotator had ranked nothing."""
    left = tuple(ranking for ranking in group.rankings if ranking.annotator != annotator)
    return Group(group.prompt, group.completions, left)


def predicted(groups: list[Group], way: Callable[[Group], list[Comparison]]) -> Estimate:
    """Return how often two annotators, aggregated, say the side that the third takes; half where they say none."""
    values, prompts = [], []
    for number, group in enumerate(groups):
        for annotator in sorted({ranking.annotator for ranking in group.rankings}):
            sides = {(item.chosen, item.rejected) for item in way(without(group, annotator))}
            for ranking in group.rankings:
                if ranking.annotator != annotator:
                    continue
                for (first, other), judgement in judged_pairs(ranking).items():
                    if judgement:
                        stated = (first, other) if judgement > 0 else (other, first)
                        values.append(1.0 if stated in sides else 0.0 if stated[::-1] in sides else 0.5)
                        prompts.append(number)
    return rate(np.array(values), np.array(prompts))


def real(store: str) -> None:
    """Print how well two of the annotators predict the third, on prompts from which no reliability came."""
    groups = list(stored_groups(open_store(store), ranked_only=True))
    known, tested = split_by_prompt(groups, 0.5)
    truth = dawid_skene(judgements(known))
    typer.echo(f"\n{store}: reliabilities from {len(known)} prompts, third annotator predicted on {len(tested)}")
    for name, estimate in truth.annotators.items():
        typer.echo(f"  {name}: right side {estimate.right}, of {estimate.right.count:,}")
    alone = {f"the {which} reliable of the two": pick for which, pick in (("more", max), ("less", min))}
    typer.echo(f"  majority of the two                {predicted(tested, lambda group: majority(group).comparisons)}")
    way = lambda group: weighted_votes(group, truth.annotators, truth.tied).comparisons  # noqa: E731
    typer.echo(f"  weighted by reliability            {predicted(tested, way)}")
    for title, pick in alone.items():
        chosen = lambda group, pick=pick: raw(one_of(group, truth, pick)).comparisons  # noqa: E731
        typer.echo(f"  {title:35}{predicted(tested, chosen)}")


def one_of(group: Group, truth: Truth, pick: Callable) -> Group:
    """Return the group with the rankings of its most (or least) reliable annotator alone."""
    names = sorted({ranking.annotator for ranking in group.rankings})
    chosen = pick(names, key=lambda name: truth.annotators[name].right.value)
    return Group(
        group.prompt, group.completions, tuple(ranking for ranking in group.rankings if ranking.annotator == chosen)
    )


def main(
    store: Annotated[str, typer.Argument(help="a store of PandaLM's groups; without it planted data alone")] = "",
) -> None:
    """Print held-out accuracies of every way to aggregate."""
    planted()
    if store:
        real(store)


if __name__ == "__main__":
    typer.run(main)

"""How many wrong labels does the list of suspects find? Some rankings of a store are turned round, and looked for.

    python -m benchmarks.studies.suspect_labels [STORE] [--share 0.05] [--seeds 5]

A head on the packaged backbone is fitted to the spoilt rankings, folded by prompt, so that no reward comes from a fit
that saw its prompt; features are kept between runs. Recall is the share of turned rankings among the first `share` of
the list; chance finds about `share`. Labels that were wrong before count as found in vain. Without STORE: planted
pairs with a linear truth, three annotators each, who are never wrong but where they were turned round.
"""

from dataclasses import replace
from typing import Annotated

import numpy as np
import typer

from benchmarks.studies.aggregation_on_held_out import crowd
from label_data.comparisons import comparisons
from label_data.database.engine import open_store
from label_data.quality.suspects import rank_suspects, recall
from label_data.records import Group, Ranking
from label_data.store.stored_groups import groups as stored_groups
from reward.head.suspects import cross_validated_rewards
from reward.networks.batches import encode
from reward.networks.features import input_features, open_backbone


def turned(ranking: Ranking) -> Ranking:
    """Return the ranking upside down."""
    return replace(ranking, order=ranking.order[::-1], strength=ranking.strength[::-1])


def spoilt(groups: list[Group], share: float, seed: int) -> tuple[list[Group], set[str]]:
    """Return the groups with that share of the rankings that compare anything turned round, and which those are."""
    ordered = [ranking.submission for group in groups for ranking in group.rankings if comparisons(ranking)]
    chance = np.random.default_rng(seed)
    wrong = set(chance.choice(ordered, round(share * len(ordered)), replace=False).tolist())
    spoilt_groups = [
        replace(
            group,
            rankings=tuple(turned(ranking) if ranking.submission in wrong else ranking for ranking in group.rankings),
        )
        for group in groups
    ]
    return spoilt_groups, wrong


def stored(store: str) -> tuple[list[Group], dict[str, np.ndarray]]:
    """Return the store's ranked groups and the features of their completions, shape (layers, width)."""
    groups = list(stored_groups(open_store(store), ranked_only=True))
    backbone = open_backbone()
    inputs = {
        completion.id: encode(backbone.tokenizer, group.prompt.messages, completion.text)
        for group in groups
        for completion in group.completions
    }
    features = input_features(backbone, list(inputs.values()), on_progress=shown)
    return groups, dict(zip(inputs, features, strict=True))


def shown(done: int, total: int, message: str) -> None:
    """Show how far it is, on one line."""
    print(f"\r{done:,} of {total:,} {message}", end="" if done < total else "\n", flush=True)


def planted() -> tuple[list[Group], dict[str, np.ndarray]]:
    """Return pairs on which three annotators agree, and features of one layer."""
    groups, features, _ = crowd(np.zeros(12), seed=0)
    return groups, {id: vector[None] for id, vector in features.items()}


def main(
    store: Annotated[str, typer.Argument(help="store file or database URL; without it planted pairs")] = "",
    share: Annotated[
        float, typer.Option(help="share of the rankings to turn round, and of the list to look at")
    ] = 0.05,
    seeds: Annotated[int, typer.Option(help="how many times, each with other rankings")] = 5,
) -> None:
    """Print the recall for each seed and its mean."""
    groups, features = stored(store) if store else planted()
    result = []
    for seed in range(seeds):
        with_wrong, wrong = spoilt(groups, share, seed)
        rewards, right = cross_validated_rewards(with_wrong, features, seed)
        listed = rank_suspects([ranking for group in with_wrong for ranking in group.rankings], rewards)
        result.append(recall(listed, wrong, share))
        typer.echo(
            f"seed {seed}: {len(wrong):,} of {len(listed):,} turned round; cross-validated accuracy {right:.3f}; "
            f"recall {result[-1]:.3f} in the first {share:.0%}, {recall(listed, wrong, 4 * share):.3f} in 4 times that"
        )
    typer.echo(f"mean recall {np.mean(result):.3f} (chance {share:.3f})")


if __name__ == "__main__":
    typer.run(main)

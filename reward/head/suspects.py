"""Which rankings of a project are doubted: those that heads contradict which did not see their prompts."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from sklearn.model_selection import GroupKFold

from label_data.database.engine import Store
from label_data.errors import InputError
from label_data.quality.suspects import SHARE, Suspect, suspects, to_relabel
from label_data.records import Group
from label_data.settings import PACKAGED_MODEL
from label_data.store.stored_groups import groups as stored_groups
from reward.data.sides import side
from reward.head.fitting import FOLDS, fit_head, fit_weights
from reward.networks.batches import encode
from reward.networks.features import input_features, open_backbone
from reward.progress import OnProgress

FEWEST_PROMPTS = 30
"""Prompts with comparisons below which a head contradicts people by chance."""


@dataclass(frozen=True, slots=True)
class Doubts:
    """The rankings that are doubted most, and how far to believe the doubt."""

    rankings: int
    """Looked at: all that imply a comparison and are no test of their annotator."""
    comparisons: int
    accuracy: float
    """Share of their comparisons that the heads order as the annotators did: near 0.5 the doubts say nothing."""
    suspects: tuple[Suspect, ...]
    """Most suspect first."""

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return asdict(self) | {"suspects": [asdict(one) for one in self.suspects]}


def find_doubts(
    store: Store,
    project: str | None = None,
    share: float = SHARE,
    backbone: str = PACKAGED_MODEL,
    seed: int = 0,
    on_progress: OnProgress = lambda done, total, message: None,
) -> Doubts:
    """Return the most suspect `share` of the project's rankings, or of the store's.

    Features are computed where they are not kept yet. Raises InputError if there are too few prompts.
    """
    groups = list(stored_groups(store, ranked_only=True, project=project))
    found = side(groups)
    if found.prompts < FEWEST_PROMPTS:
        raise InputError(
            f"{found.prompts} ranked prompts are too few to doubt a ranking by: {FEWEST_PROMPTS} are needed. "
            "Rank or import more first."
        )
    on_progress(0, 0, "Opening the backbone; the packaged one is converted once, in about 40 seconds.")
    opened = open_backbone(backbone)
    judged = {id for one in found.comparisons for id in (one.chosen, one.rejected)}
    inputs = {
        completion.id: encode(opened.tokenizer, group.prompt.messages, completion.text)
        for group in found.groups
        for completion in group.completions
        if completion.id in judged
    }
    features = dict(zip(inputs, input_features(opened, list(inputs.values()), on_progress=on_progress), strict=True))
    on_progress(0, 0, f"Fitting {FOLDS} heads, each without the prompts that it judges.")
    rewards, accuracy = cross_validated_rewards(found.groups, features, seed)
    rankings = [one for group in found.groups for one in group.rankings if not one.tests_annotator]
    listed = suspects(rankings, rewards)
    return Doubts(len(listed), len(found.comparisons), accuracy, tuple(to_relabel(listed, share)))


def cross_validated_rewards(
    groups: Sequence[Group], features: Mapping[str, np.ndarray], seed: int
) -> tuple[dict[str, float], float]:
    """Return the reward of every compared completion from a head that saw no prompt of its fold, and the accuracy.

    Args:
        features: completion id -> features of shape (layers, width).
        seed: decides the folds.

    Layer and C are chosen once, on all comparisons: two numbers, which no ranking can learn by heart.
    """
    data = side(groups)
    differences = np.stack([features[one.chosen] - features[one.rejected] for one in data.comparisons])
    chosen = fit_head(differences, data.weights, data.clusters, seed)
    rewards: dict[str, float] = {}
    folds = GroupKFold(FOLDS, shuffle=True, random_state=seed)
    for fitted, left_out in folds.split(differences, groups=data.clusters):
        weights = fit_weights(differences[fitted, chosen.layer], data.weights[fitted], [chosen.regularisation])[0]
        for at in left_out:
            for id in (data.comparisons[at].chosen, data.comparisons[at].rejected):
                rewards[id] = float(features[id][chosen.layer] @ weights)
    right = np.mean([rewards[one.chosen] > rewards[one.rejected] for one in data.comparisons])
    return rewards, float(right)

"""Find a project's suspect rankings: cross-validated heads, fitted without their prompts, contradict them."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import GroupKFold

from label_data.database.engine import Store
from label_data.errors import InputError
from label_data.quality.suspects import SHARE, Suspect, rank_suspects, to_relabel
from label_data.records import Group
from label_data.sentences import say
from label_data.settings import PACKAGED_MODEL
from label_data.store.stored_groups import groups as stored_groups
from reward.data.sides import side
from reward.head.fitting import FOLDS, fit_head, fit_weights
from reward.networks.batches import encode
from reward.networks.features import input_features, open_backbone
from reward.progress import OnProgress, silent

FEWEST_PROMPTS = 30
"""With fewer prompts that have comparisons, a head contradicts annotators by chance."""


@dataclass(frozen=True, slots=True)
class SuspectReport:
    """The most suspect rankings, and how reliable the list is."""

    rankings: int
    """All rankings that imply a comparison and do not test their annotator."""
    comparisons: int
    accuracy: float
    """Share of the comparisons on which the heads agree with the annotators; near 0.5 the list means nothing."""
    suspects: tuple[Suspect, ...]
    """Most suspect first."""

    def as_dict(self) -> dict[str, Any]:  # Any: values of JSON
        """Return the report as JSON values."""
        return asdict(self) | {"suspects": [suspect.as_dict() for suspect in self.suspects]}


def find_suspects(
    store: Store,
    project: str | None = None,
    share: float = SHARE,
    backbone: str = PACKAGED_MODEL,
    seed: int = 0,
    on_progress: OnProgress = silent,
) -> SuspectReport:
    """Return the most suspect `share` of the rankings of the project, or of all projects.

    Features that are not in the cache are computed. Raises InputError if there are too few prompts.
    """
    data = side(list(stored_groups(store, ranked_only=True, project=project)))
    if data.prompts < FEWEST_PROMPTS:
        raise InputError("reward.head.too_few_for_suspects", count=data.prompts, least=FEWEST_PROMPTS)
    on_progress(0, 0, say("reward.networks.opening"))
    opened = open_backbone(backbone)
    compared = {id for pair in data.comparisons for id in (pair.chosen, pair.rejected)}
    inputs = {
        completion.id: encode(opened.tokenizer, group.prompt.messages, completion.text)
        for group in data.groups
        for completion in group.completions
        if completion.id in compared
    }
    features = dict(zip(inputs, input_features(opened, list(inputs.values()), on_progress=on_progress), strict=True))
    on_progress(0, 0, say("reward.head.fitting_folds", count=FOLDS))
    rewards, accuracy = cross_validated_rewards(data.groups, features, seed)
    rankings = [ranking for group in data.groups for ranking in group.rankings if not ranking.tests_annotator]
    listed = rank_suspects(rankings, rewards)
    return SuspectReport(len(listed), len(data.comparisons), accuracy, tuple(to_relabel(listed, share)))


def cross_validated_rewards(
    groups: Sequence[Group], features: Mapping[str, NDArray[np.floating]], seed: int
) -> tuple[dict[str, float], float]:
    """Return the reward of every compared completion from a head fitted without its prompt's fold, and the accuracy.

    Args:
        features: completion id -> features of shape (layers, width).
        seed: decides the folds.

    Layer and C are chosen once, on all comparisons: with only these two choices no ranking can be memorised.
    """
    data = side(groups)
    differences = np.stack([features[pair.chosen] - features[pair.rejected] for pair in data.comparisons])
    head = fit_head(differences, data.weights, data.clusters, seed)
    rewards: dict[str, float] = {}
    folds = GroupKFold(FOLDS, shuffle=True, random_state=seed)
    for fitted, left_out in folds.split(differences, groups=data.clusters):
        weights = fit_weights(differences[fitted, head.layer], data.weights[fitted], [head.regularisation])[0]
        for index in left_out:
            for id in (data.comparisons[index].chosen, data.comparisons[index].rejected):
                rewards[id] = float(features[id][head.layer] @ weights)
    accuracy = np.mean([rewards[pair.chosen] > rewards[pair.rejected] for pair in data.comparisons])
    return rewards, float(accuracy)

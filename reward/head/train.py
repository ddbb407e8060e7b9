"""Train a linear head on a store's rankings, and write the folder of the reward model with its report."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from label_data.comparisons import split_by_prompt
from label_data.database.engine import Store
from label_data.errors import InputError
from label_data.files.whole import check_free
from label_data.intervals import mean_with_interval
from label_data.records import Comparison, Group
from label_data.sentences import say
from label_data.settings import PACKAGED_MODEL
from label_data.store.stored_groups import groups as stored_groups
from reward import metrics
from reward.data.sides import FEWEST_HELD_OUT, Side, check_enough, side
from reward.data.versions import training_version
from reward.head.covariance import jackknife
from reward.head.fitting import Head, fit_head, fit_weights
from reward.model.folder import EvaluatedSide, register_with_version, write_model
from reward.model.model import RewardModel
from reward.networks.backbones import template_sha256
from reward.networks.batches import Input, encode_completions
from reward.networks.features import Backbone, input_features, open_backbone
from reward.progress import OnProgress, silent
from reward.report.ceiling import human_agreement
from reward.report.measuring import counts_of, data_hash, measures, other_prompts
from reward.report.report import CurvePoint, Report

CURVE = (0.25, 0.5, 0.75)
"""Shares of the training prompts in the learning curve, besides all of them."""


def train_reward_model(
    store: Store,
    out: Path,
    backbone: str = PACKAGED_MODEL,
    seed: int = 0,
    held_out: float = 0.2,
    on_progress: OnProgress = silent,
    project: str | None = None,
    version: str = "",
) -> Report:
    """Train a head on the store's rankings, write the model and its report to the new folder `out`, return the report.

    Args:
        out: a folder that does not exist yet (or is empty). It appears complete at the end, or not at all.
        backbone: see `backbones.model_folder`.
        seed: decides split, folds and intervals; the same store and seed give the same model.
        held_out: share of the prompts held out for the report, above 0 and below 1.
        on_progress: gets (done, total, message). It may raise to stop; then there is no folder.
        project: id of the project whose rankings to use; by default the rankings of all projects.
        version: name of a version of the data to use instead, with its split, weights and margins. The store then
            records the model with the version.

    Raises:
        InputError: if `out` is taken, `held_out` is out of range, or there are too few rankings to train on.
    """
    check_free(out)
    if not 0 < held_out < 1:
        raise InputError("reward.head.held_out_range", value=held_out)
    data = training_version(store, version) if version else None
    if data is None:
        groups = list(stored_groups(store, ranked_only=True, project=project))
        train, test = (side(part) for part in split_by_prompt(groups, held_out, seed))
    else:
        groups, (train, test), held_out = data.groups, data.sides, data.held_out
    check_enough(train, held_out)
    on_progress(0, 0, say("reward.networks.opening"))
    opened = open_backbone(backbone)
    enough = test.prompts >= FEWEST_HELD_OUT
    features, trimmed = _features(opened, train, test, other_prompts(test.groups, seed) if enough else [], on_progress)

    on_progress(0, 0, say("reward.head.fitting"))
    differences = features.differences(train.comparisons)
    head = fit_head(differences, train.weights, train.clusters, seed, train.margins)
    rewards, shuffled = _rewards(features.own, head), _rewards(features.shuffled, head)
    report = Report(
        base_model=backbone,
        base_revision=opened.revision,
        layer=opened.layers[head.layer],
        layers=opened.layers[-1],
        regularisation=head.regularisation,
        cross_validated=head.cross_validated,
        seed=seed,
        held_out_share=held_out,
        data_sha256=data_hash([*train.comparisons, *test.comparisons]),
        template_sha256=template_sha256(opened.tokenizer),
        counts=counts_of(groups, train, test, trimmed, None if data is None else data.equal_texts),
        held_out=measures(rewards, shuffled, test, seed, train) if enough else None,
        curve=_learning_curve(head, differences, features, train, test, seed) if enough else (),
        human=human_agreement(groups, seed),
        version="" if data is None else data.name,
        version_sha256="" if data is None else data.sha256,
    )
    on_progress(0, 0, say("reward.model.writing"))
    completions = [completion.id for group in train.groups for completion in group.completions]
    origin = np.mean([features.own[id][head.layer] for id in completions], axis=0)
    uncertainty = jackknife(differences[:, head.layer], train.weights, train.clusters, head, origin, train.margins)
    model = RewardModel.from_head(opened, report.layer, head.weights, uncertainty)
    checked = [pair.chosen for pair in (test if enough else train).comparisons[:4]]
    inputs, expected = [features.inputs[id] for id in checked], [rewards[id] for id in checked]
    write_model(out, model, report, train, EvaluatedSide(test, rewards, shuffled), inputs, expected, project)
    if data is not None:
        register_with_version(store, report, out)
    return report


def _rewards(features: Mapping[str, NDArray[np.float32]], head: Head) -> dict[str, float]:
    return {id: float(vectors[head.layer] @ head.weights) for id, vectors in features.items()}


# Features by completion


@dataclass(frozen=True, slots=True)
class _Features:
    """Features by completion id, each of shape (layers, width)."""

    own: dict[str, NDArray[np.float32]]
    shuffled: dict[str, NDArray[np.float32]]
    """Features under another prompt."""
    inputs: dict[str, Input]
    """The inputs of `own`."""

    def differences(self, compared: Sequence[Comparison]) -> NDArray[np.float32]:
        """Return the features of chosen less rejected, shape (comparisons, layers, width)."""
        return np.stack([self.own[pair.chosen] - self.own[pair.rejected] for pair in compared])


def _features(
    backbone: Backbone, train: Side, test: Side, others: Sequence[tuple[Group, Group]], on_progress: OnProgress
) -> tuple[_Features, int]:
    """Return the features of both sides, and the number of completions whose prompt was trimmed.

    `others` pairs each held-out group with the group whose prompt it gets for the shuffled features.
    """
    own = encode_completions(backbone.tokenizer, [(group, group) for group in (*train.groups, *test.groups)])
    shuffled = encode_completions(backbone.tokenizer, others)
    vectors = input_features(backbone, [*own.values(), *shuffled.values()], on_progress=on_progress)
    own_features = dict(zip(own, vectors, strict=False))
    shuffled_features = dict(zip(shuffled, vectors[len(own) :], strict=True))
    return _Features(own_features, shuffled_features, own), sum(item.trimmed for item in own.values())


def _learning_curve(
    head: Head, differences: NDArray[np.float32], features: _Features, train: Side, test: Side, seed: int
) -> tuple[CurvePoint, ...]:
    """Refit with the chosen layer and C on nested shares of the training prompts; the last share is all of them."""
    order = np.random.default_rng(seed).permutation(np.unique(train.clusters))
    test_differences = features.differences(test.comparisons)[:, head.layer]
    points: list[CurvePoint] = []
    for share in (*CURVE, 1.0):
        prompts = order[: round(share * len(order))]
        rows = np.isin(train.clusters, prompts)
        if rows.sum() < 2:
            continue
        weights = fit_weights(
            differences[rows, head.layer], train.weights[rows], [head.regularisation], train.margins[rows]
        )[0]
        margins = test_differences @ weights
        accuracy = mean_with_interval(metrics.correct(margins), test.weights, test.clusters, seed)
        points.append(CurvePoint(len(prompts), accuracy, metrics.log_loss(margins, test.weights)))
    return tuple(points)

"""From a store's rankings to a folder with a reward model and its report: what Train does, page or terminal."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from label_data.comparisons import split_by_prompt
from label_data.database.engine import Store
from label_data.errors import InputError
from label_data.files.whole import check_free
from label_data.intervals import mean_with_interval
from label_data.records import Comparison, Group
from label_data.settings import PACKAGED_MODEL
from label_data.store.stored_groups import groups as stored_groups
from reward import metrics
from reward.data.sides import FEWEST_HELD_OUT, Side, check_enough, side
from reward.data.versions import frozen_version
from reward.head.covariance import over_prompts
from reward.head.fitting import Head, fit_head, fit_weights
from reward.model.folder import JudgedSide, tell_version, write_model
from reward.model.model import RewardModel
from reward.networks.batches import Input, encode
from reward.networks.features import Backbone, input_features, open_backbone
from reward.progress import OnProgress
from reward.report.ceiling import human_agreement
from reward.report.measuring import counts_of, data_hash, measures, other_prompts
from reward.report.report import CurvePoint, Report

CURVE = (0.25, 0.5, 0.75)
"""Shares of the training prompts at which the learning curve is drawn, besides all of them."""


def train_reward_model(
    store: Store,
    out: Path,
    backbone: str = PACKAGED_MODEL,
    seed: int = 0,
    held_out: float = 0.2,
    on_progress: OnProgress = lambda done, total, message: None,
    project: str | None = None,
    version: str = "",
) -> Report:
    """Train on the store's rankings, write the model with its report to the new folder `out`, return the report.

    Args:
        out: a folder that does not exist yet (or is empty); it appears whole, at the end, or not at all.
        backbone: see `backbones.model_folder`.
        seed: decides split, folds and intervals; the same store and seed give the same model.
        held_out: share of the prompts kept for the report, above 0 and below 1.
        on_progress: gets (done, total, message); it may raise to stop, and no folder is made then.
        project: id of the project whose rankings are learned from; by default those of all.
        version: name of a version of the data that is learned from instead, with its split, weights and margins. The
            store then knows of the model.

    Raises:
        InputError: if `out` is taken, `held_out` is no share, or there are too few rankings to train on.
    """
    check_free(out)
    if not 0 < held_out < 1:
        raise InputError(f"The held-out share is {held_out}; give a number between 0 and 1, for example 0.2.")
    frozen = frozen_version(store, version) if version else None
    if frozen is None:
        groups = list(stored_groups(store, ranked_only=True, project=project))
        train, test = (side(some) for some in split_by_prompt(groups, held_out, seed))
    else:
        groups, (train, test), held_out = frozen.groups, frozen.sides, frozen.held_out
    check_enough(train, held_out)
    on_progress(0, 0, "Opening the backbone; the packaged one is converted once, in about 40 seconds.")
    opened = open_backbone(backbone)
    enough = test.prompts >= FEWEST_HELD_OUT
    features, trimmed = _features(opened, train, test, other_prompts(test.groups, seed) if enough else [], on_progress)

    on_progress(0, 0, "Fitting the head and choosing its layer.")
    differences = features.differences(train.comparisons)
    head = fit_head(differences, train.weights, train.clusters, seed, train.margins)
    rewards, shuffled = (
        {id: float(found[head.layer] @ head.weights) for id, found in some.items()}
        for some in (features.own, features.shuffled)
    )
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
        template_sha256=hashlib.sha256(opened.tokenizer.chat_template.encode()).hexdigest(),
        counts=counts_of(groups, train, test, trimmed, None if frozen is None else frozen.twins),
        held_out=measures(rewards, shuffled, test, seed, train) if enough else None,
        curve=_learning_curve(head, differences, features, train, test, seed) if enough else (),
        human=human_agreement(groups, seed),
        version="" if frozen is None else frozen.name,
        version_sha256="" if frozen is None else frozen.sha256,
    )
    on_progress(0, 0, "Writing the model and its report.")
    completions = [one.id for group in train.groups for one in group.completions]
    origin = np.mean([features.own[id][head.layer] for id in completions], axis=0)
    uncertainty = over_prompts(differences[:, head.layer], train.weights, train.clusters, head, origin, train.margins)
    model = RewardModel.from_head(opened, report.layer, head.weights, uncertainty)
    checked = [one.chosen for one in (test if enough else train).comparisons[:4]]
    judged = JudgedSide(test, rewards, shuffled)
    inputs = [features.inputs[id] for id in checked]
    write_model(out, model, report, train, judged, inputs, [rewards[id] for id in checked], project)
    if frozen is not None:
        tell_version(store, report, out)
    return report


# Features by completion


@dataclass(frozen=True, slots=True)
class _Features:
    """Feature vectors, shape (layers, width), by completion id; `shuffled` are those under another prompt."""

    own: dict[str, np.ndarray]
    shuffled: dict[str, np.ndarray]
    inputs: dict[str, Input]

    def differences(self, compared: Sequence[Comparison]) -> np.ndarray:
        """Return features of chosen less rejected, shape (comparisons, layers, width)."""
        return np.stack([self.own[one.chosen] - self.own[one.rejected] for one in compared])


def _features(
    backbone: Backbone, train: Side, test: Side, others: Sequence[tuple[Group, Group]], on_progress: OnProgress
) -> tuple[_Features, int]:
    own = {
        completion.id: encode(backbone.tokenizer, group.prompt.messages, completion.text)
        for group in (*train.groups, *test.groups)
        for completion in group.completions
    }
    shuffled = {
        completion.id: encode(backbone.tokenizer, other.prompt.messages, completion.text)
        for group, other in others
        for completion in group.completions
    }
    found = input_features(backbone, [*own.values(), *shuffled.values()], on_progress=on_progress)
    of_own, of_shuffled = dict(zip(own, found, strict=False)), dict(zip(shuffled, found[len(own) :], strict=True))
    return _Features(of_own, of_shuffled, own), sum(one.trimmed for one in own.values())


# The report


def _learning_curve(
    head: Head, differences: np.ndarray, features: _Features, train: Side, test: Side, seed: int
) -> tuple[CurvePoint, ...]:
    """Refit the chosen layer and C on nested shares of the training prompts, all of them last."""
    order = np.random.default_rng(seed).permutation(np.unique(train.clusters))
    of_test = features.differences(test.comparisons)[:, head.layer]
    points = []
    for share in (*CURVE, 1.0):
        prompts = order[: round(share * len(order))]
        some = np.isin(train.clusters, prompts)
        if some.sum() < 2:
            continue
        learned = differences[some, head.layer], train.weights[some], [head.regularisation], train.margins[some]
        found = fit_weights(*learned)[0]
        margins = of_test @ found
        right = mean_with_interval(metrics.correct(margins), test.weights, test.clusters, seed)
        points.append(CurvePoint(len(prompts), right, metrics.log_loss(margins, test.weights)))
    return tuple(points)


# The folder

"""From a store's rankings to a folder with a reward model and its report: what Train does, page or terminal."""

import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from math import ceil, comb
from pathlib import Path

import numpy as np

from label_data.comparisons import comparisons, split_by_prompt
from label_data.database.engine import Store
from label_data.files.whole import check_free, whole_folder
from label_data.records import Comparison, Group, InputError, canonical, content_id
from label_data.settings import PACKAGED_MODEL
from label_data.store.stored_groups import groups as stored_groups
from reward import metrics
from reward.data.sides import Side, side
from reward.data.versions import frozen_version, tell_version
from reward.head.fitting import Head, fit_head, fit_weights
from reward.model.model import RewardModel
from reward.model.uncertainty import over_prompts
from reward.networks.batches import LONGEST_INPUT, Input, encode
from reward.networks.features import Backbone, OnProgress, input_features, open_backbone
from reward.report.breakdown import best_of, mean_tau, parts
from reward.report.card import model_card
from reward.report.ceiling import human_agreement
from reward.report.comparison_rows import comparison_rows, disagreements, write_pairs
from reward.report.plots import write_plots
from reward.report.policy_baseline import policy_margins
from reward.report.report import (
    FEWEST_HELD_OUT,
    PROVENANCE_FILE,
    REPORT_FILE,
    Counts,
    CurvePoint,
    HeldOut,
    Report,
    held_out_measures,
)
from reward.settings import Settings

FEWEST_TRAIN = 10
"""Training prompts with comparisons below which there is nothing to cross-validate on."""
CURVE = (0.25, 0.5, 0.75)
"""Shares of the training prompts at which the learning curve is drawn, besides all of them."""
LEARNED_FILE = "learned_from.txt"
"""A line for every prompt that the model learned from: the hash of its first turn, as in `Side.clusters`."""
PACKAGES = ("numpy", "scikit-learn", "torch", "transformers")


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


def check_enough(train: Side, held_out: float) -> None:
    """Raise InputError, with the number missing, if there are too few training prompts with comparisons."""
    missing = FEWEST_TRAIN - train.prompts
    if missing > 0:
        raise InputError(
            f"{train.prompts} training prompts have a ranking that places one completion above another; at least "
            f"{FEWEST_TRAIN} are needed. Rank about {ceil(missing / (1 - held_out))} more prompts, and about "
            f"{ceil(FEWEST_HELD_OUT / held_out)} in all for a report that says how good the model is."
        )


def data_hash(compared: Sequence[Comparison]) -> str:
    """Return the sha256 of the comparisons, in any order: what exactly was learned from and judged on."""
    rows = sorted(
        canonical([c.prompt_id, c.chosen, c.rejected, c.annotator, c.weight, *([c.margin] if c.margin else [])])
        for c in compared
    )
    return hashlib.sha256("\n".join(rows).encode()).hexdigest()


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


# The report


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
        right = metrics.mean_with_interval(metrics.correct(margins), test.weights, test.clusters, seed)
        points.append(CurvePoint(len(prompts), right, metrics.log_loss(margins, test.weights)))
    return tuple(points)


# The folder


@dataclass(frozen=True, slots=True)
class JudgedSide:
    """The held-out side and what the model made of it."""

    side: Side
    rewards: Mapping[str, float]
    """By completion id, at least of this side's."""
    shuffled: Mapping[str, float]
    """Under another prompt; empty where there are too few prompts to say anything."""


def write_model(
    out: Path,
    model: RewardModel,
    report: Report,
    train: Side,
    judged: JudgedSide,
    inputs: Sequence[Input],
    expected: Sequence[float],
    project: str | None = None,
    settings: Settings | None = None,
    log: Path | None = None,
) -> None:
    """Write model, report, plots and card to the new folder `out`, which appears whole or not at all.

    Args:
        train: what was learned from; hashes of its prompts' first turns are kept, so that nobody takes them for new.
        judged: what it was judged on; every margin is kept, and the rankings that it contradicts most.
        inputs, expected: a few inputs and the rewards that the report is about: the folder must give the same.
        project, settings: kept in `workbench.json`.
        log: a file to keep beside the model.

    Raises:
        InputError: if something is at `out` by now.
    """
    try:
        with whole_folder(out) as folder:
            model.save(folder)
            (folder / REPORT_FILE).write_text(pretty(report.as_dict()), encoding="utf-8")
            said = provenance(report) | {"project": project} | ({"settings": asdict(settings)} if settings else {})
            (folder / PROVENANCE_FILE).write_text(pretty(said), encoding="utf-8")
            learned = {content_id(group.prompt.first_turn) for group in train.groups}
            (folder / LEARNED_FILE).write_text("".join(f"{one}\n" for one in sorted(learned)), "ascii")
            test = judged.side
            rows = comparison_rows(test.groups, test.comparisons, test.clusters, judged.rewards, judged.shuffled)
            write_pairs(folder, rows, disagreements(test.groups, judged.rewards))
            plots = write_plots(report, folder)
            (folder / "README.md").write_text(model_card(report, plots, LONGEST_INPUT), encoding="utf-8")
            if log is not None:
                shutil.copyfile(log, folder / log.name)
            found = RewardModel.load(folder).rewards(inputs)
            if not np.allclose(found, expected, rtol=1e-4, atol=1e-3):
                raise RuntimeError(f"The saved model gives rewards {found} where training had {expected}.")
    except FileExistsError:
        check_free(out)
        raise


def provenance(report: Report) -> dict[str, object]:
    """Return what it takes to make this model again: hashes of data, template and base model, seed, versions."""
    return {
        "format": 1,
        "data_sha256": report.data_sha256,
        "template_sha256": report.template_sha256,
        "base_model": report.base_model,
        "base_revision": report.base_revision,
        "seed": report.seed,
        "held_out_share": report.held_out_share,
        **({"version": report.version, "version_sha256": report.version_sha256} if report.version else {}),
        "versions": {name: version(name) for name in PACKAGES},
    }


def pretty(value: object) -> str:
    """Return the value as JSON that a person can read."""
    return json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n"

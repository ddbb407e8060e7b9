"""The report of a reward model: how accurate it is on held-out prompts, compared with baselines, with every count.

Nothing here needs the model: a report is computed from rewards, saved as JSON, and shown by `reward.report.words`.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import cattrs
import numpy as np
from cattrs.gen import make_dict_structure_fn, make_dict_unstructure_fn, override

from label_data.errors import InputError
from label_data.intervals import NO_DATA, Estimate, mean_with_interval
from reward import metrics
from reward.data.sides import FEWEST_HELD_OUT
from reward.file_names import REPORT_FILE
from reward.metrics import CalibrationBin
from reward.report.ceiling import Human
from reward.settings import OLD_METHODS


@dataclass(frozen=True, slots=True)
class Counts:
    """How much data there was and how it was used. Prompts with the same first turn count as one."""

    rankings: int
    """Current rankings, whatever their outcome."""
    without_order: int
    """Rankings without a preference: skipped, all bad, no difference, or all tied."""
    tied: int
    """Pairs that an annotator tied; they give no comparison."""
    twins: int
    """Comparisons left out because the two texts are equal, ignoring white space."""
    trimmed: int
    """Completions whose prompt lost its start because it is too long for the backbone."""
    train_prompts: int
    train_rankings: int
    train_comparisons: int
    held_out_prompts: int
    held_out_rankings: int
    held_out_comparisons: int
    tests: int = 0
    """Repeats and answers to gold prompts, which test annotators; they are not among `rankings`."""


@dataclass(frozen=True, slots=True)
class Part:
    """The accuracy on a part of the comparisons."""

    kind: str
    """strength, annotator or category."""
    name: str
    accuracy: Estimate


@dataclass(frozen=True, slots=True)
class BestOf:
    """How good annotators find the completion that the model picks from n drawn at random."""

    drawn: int
    kl_bound: float
    """log n - (n - 1) / n, in nats: the largest KL divergence by which best-of-n moves a policy from itself. It is only
    an upper bound: Beirami et al. 2024, arXiv:2401.01879, theorem 1."""
    beaten: Estimate
    """Share of the prompt's other completions that annotators placed below it; a tie is half. About 0.5 for n = 1."""
    people: float
    """The same if the annotators had picked the completion themselves: no model can do better."""


@dataclass(frozen=True, slots=True)
class HeldOut:
    """The measures on the comparisons of held-out prompts."""

    accuracy: Estimate
    log_loss: Estimate
    brier: Estimate
    ece: float
    temperature: float
    ties: int
    """Comparisons with exactly equal rewards; each counts as half right."""
    chance: Estimate
    longer_wins: Estimate
    shorter_wins: Estimate
    prompt_shuffled: Estimate
    """Accuracy of the same model on the same completions, each paired with another held-out prompt."""
    best_baseline: str
    """The baseline with the best accuracy on these comparisons; shuffled prompts are no baseline."""
    over_baseline: Estimate
    """Accuracy minus the best baseline's, comparison by comparison."""
    over_shuffled: Estimate
    """Accuracy minus accuracy with shuffled prompts: what the model gains from the prompt."""
    longer_chosen: Estimate
    """Accuracy where the annotator preferred the longer completion."""
    shorter_chosen: Estimate
    reward_length: float
    """Spearman correlation of reward and length over completions, both centred on their prompt's mean."""
    bins: tuple[CalibrationBin, ...]
    tau: Estimate = NO_DATA
    """Mean Kendall tau-b between the model's order and each ranking. Old reports lack this field and the fields
    below."""
    parts: tuple[Part, ...] = ()
    best_of: tuple[BestOf, ...] = ()
    policy_wins: Estimate = NO_DATA
    """Accuracy of the policy baseline, fitted on the training side; no data where policies are unknown."""


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """The held-out accuracy of a head fitted on a part of the training prompts."""

    train_prompts: int
    accuracy: Estimate
    log_loss: float


@dataclass(frozen=True, slots=True)
class Tuning:
    """How a network was fine-tuned, and when training stopped."""

    method: str
    """last-layers, lora or full."""
    loss: str
    learning_rate: float
    prompts_per_step: int
    steps: int
    planned_steps: int
    best_step: int
    """The step whose weights the model has: the best on the validation prompts, or the last if there are none."""
    validation_prompts: int
    """Training prompts used for early stopping instead of training; 0 if there were too few."""
    validation_log_loss: float
    trained_weights: int
    weights: int
    dropout: float
    layout: str
    fallback: str
    """Why another layout than the preferred one was used, as `Sentence.as_json` or a plain text; empty if none was."""
    precision: str = ""
    """Precision of the matrix products during training; empty in old reports."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "method", OLD_METHODS.get(self.method, self.method))


@dataclass(frozen=True, slots=True)
class Report:
    """The report of one trained reward model."""

    base_model: str
    base_revision: str
    layer: int
    layers: int
    """Layers of the whole network; the model keeps the first `layer` of them."""
    regularisation: float | None
    """C of a linear head. Like `cross_validated`, None for a fine-tuned network."""
    cross_validated: float | None
    seed: int
    held_out_share: float
    data_sha256: str
    template_sha256: str
    counts: Counts
    held_out: HeldOut | None
    """None if there are too few held-out prompts for an evaluation."""
    curve: tuple[CurvePoint, ...]
    tuning: Tuning | None = None
    """None for a head on a frozen backbone."""
    human: Human | None = None
    """None in old reports."""
    version: str = ""
    """Name of the data version used for training and evaluation; empty if the store's current rankings were used."""
    version_sha256: str = ""

    @property
    def missing_prompts(self) -> int:
        """About how many more prompts must be ranked for an evaluation; 0 if there are enough."""
        missing = max(0, FEWEST_HELD_OUT - self.counts.held_out_prompts)
        return math.ceil(missing / self.held_out_share)

    def as_dict(self) -> dict[str, Any]:  # Any: JSON values
        """Return the report as JSON values; nan becomes null."""
        return json_values(self) | {"missing_prompts": self.missing_prompts}


def held_out_measures(
    chosen: np.ndarray,
    rejected: np.ndarray,
    shuffled_margins: np.ndarray,
    chosen_lengths: np.ndarray,
    rejected_lengths: np.ndarray,
    weights: np.ndarray,
    clusters: Sequence[str] | np.ndarray,
    centred_rewards: np.ndarray,
    centred_lengths: np.ndarray,
    seed: int = 0,
    policy_margins: np.ndarray | None = None,
) -> HeldOut:
    """Return the measures of one model on held-out comparisons.

    Args:
        chosen, rejected: rewards, shape (comparisons,).
        shuffled_margins: margins of the same pairs under another held-out prompt, shape (comparisons,).
        chosen_lengths, rejected_lengths: characters, shape (comparisons,).
        weights: shape (comparisons,); the weights of one ranking sum to 1.
        clusters: the prompt of each comparison.
        centred_rewards, centred_lengths: of every held-out completion, minus the prompt's mean, shape (completions,).
        seed: seed of the intervals' bootstrap over prompts.
        policy_margins: margins of the same pairs by the policy baseline, shape (comparisons,), if known.
    """
    margins, longer = chosen - rejected, chosen_lengths - rejected_lengths
    names = np.asarray(clusters, dtype=str)

    def estimate(values: np.ndarray, where: np.ndarray | slice = slice(None)) -> Estimate:
        return mean_with_interval(values[where], weights[where], names[where], seed)

    correct = metrics.correct(margins)
    baselines = {
        "chance": np.full(len(margins), 0.5),
        "longer wins": metrics.correct(longer),
        "shorter wins": metrics.correct(-longer),
        **({} if policy_margins is None else {"better policy wins": metrics.correct(policy_margins)}),
    }
    best = max(baselines, key=lambda name: metrics.mean(baselines[name], weights))
    shuffled = metrics.correct(shuffled_margins)
    return HeldOut(
        accuracy=estimate(correct),
        log_loss=estimate(metrics.losses(margins)),
        brier=estimate(metrics.squared_errors(margins)),
        ece=metrics.ece(margins, weights),
        temperature=metrics.temperature(margins, weights),
        ties=int(np.sum(margins == 0)),
        chance=estimate(baselines["chance"]),
        longer_wins=estimate(baselines["longer wins"]),
        shorter_wins=estimate(baselines["shorter wins"]),
        prompt_shuffled=estimate(shuffled),
        best_baseline=best,
        over_baseline=estimate(correct - baselines[best]),
        over_shuffled=estimate(correct - shuffled),
        longer_chosen=estimate(correct, longer > 0),
        shorter_chosen=estimate(correct, longer < 0),
        reward_length=metrics.spearman(centred_rewards, centred_lengths),
        bins=tuple(metrics.calibration_bins(margins, weights)),
        policy_wins=NO_DATA if policy_margins is None else estimate(baselines["better policy wins"]),
    )


# JSON

Record = TypeVar("Record")


def _converter() -> cattrs.Converter:
    """Return the converter between reports and JSON: nan is null, and `Estimate.count` is called "comparisons"."""
    converter = cattrs.Converter(detailed_validation=False)
    converter.register_structure_hook(float, lambda number, _: math.nan if number is None else float(number))
    converter.register_unstructure_hook(float, lambda number: None if math.isnan(number) else number)
    count = override(rename="comparisons")
    converter.register_structure_hook(Estimate, make_dict_structure_fn(Estimate, converter, count=count))
    converter.register_unstructure_hook(Estimate, make_dict_unstructure_fn(Estimate, converter, count=count))
    return converter


_CONVERTER = _converter()


def json_values(record: object) -> dict[str, Any]:  # Any: JSON values
    """Return a dataclass of this package as JSON values; nan becomes null."""
    values: dict[str, Any] = _CONVERTER.unstructure(record)
    return values


def from_json(values: object, kind: type[Record]) -> Record:
    """Return the dataclass that `json_values` wrote; ValueError, KeyError or TypeError if the values don't fit it.

    Unknown names are ignored, and missing ones have their default, so reports of other versions can be read.
    """
    return _CONVERTER.structure(values, kind)


def read_json(path: Path, kind: type[Record]) -> Record:
    """Return the dataclass in a JSON file that training or evaluation wrote; InputError if there is none."""
    try:
        return from_json(json.loads(path.read_text(encoding="utf-8")), kind)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError("reward.report.unreadable", file=path, error=error) from None


def read_report(folder: Path) -> Report:
    """Return the report that training wrote into the folder; InputError if there is none."""
    return read_json(folder / REPORT_FILE, Report)


def report_from(values: dict[str, Any]) -> Report:  # Any: JSON values
    """Return the report that `Report.as_dict` wrote."""
    return from_json(values, Report)

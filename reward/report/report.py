"""The report of a reward model: how it does on prompts it never saw, beside baselines, with every count.

Nothing here needs the model: a report is made from rewards, kept as JSON, and shown by page, card and terminal alike.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np

from label_data.errors import InputError
from label_data.intervals import NO_DATA, Estimate, mean_with_interval
from reward import metrics
from reward.data.sides import FEWEST_HELD_OUT
from reward.file_names import REPORT_FILE
from reward.metrics import CalibrationBin
from reward.report.ceiling import Human


@dataclass(frozen=True, slots=True)
class Counts:
    """What the store held and what became of it. Prompts that share their first turn count as one."""

    rankings: int
    """Current rankings, of whatever outcome."""
    without_order: int
    """Rankings that place nothing above anything: skipped, all bad, no difference, or all tied."""
    tied: int
    """Pairs that an annotator tied; they give no comparison."""
    twins: int
    """Comparisons left out because the two texts are equal, white space aside."""
    trimmed: int
    """Completions whose prompt lost its start, for being too long for the backbone."""
    train_prompts: int
    train_rankings: int
    train_comparisons: int
    held_out_prompts: int
    held_out_rankings: int
    held_out_comparisons: int
    tests: int = 0
    """Repeats and answers to gold prompts, which test annotators: not among the rankings above."""


@dataclass(frozen=True, slots=True)
class Part:
    """Accuracy on some of the comparisons."""

    kind: str
    """strength, annotator or category."""
    name: str
    accuracy: Estimate


@dataclass(frozen=True, slots=True)
class BestOf:
    """What people think of the completion that the model takes from several drawn by chance."""

    drawn: int
    kl_bound: float
    """log n - (n - 1) / n, in nats: that taking the best of n moves a policy at most so far from itself. An upper bound
    only: Beirami et al. 2024, arXiv:2401.01879, theorem 1."""
    beaten: Estimate
    """Share of the prompt's other completions that annotators placed below it, a tie half; about 0.5 at one drawn."""
    people: float
    """The same if the annotators themselves had taken it: no model can have more."""


@dataclass(frozen=True, slots=True)
class HeldOut:
    """Measures on the comparisons of held-out prompts."""

    accuracy: Estimate
    log_loss: Estimate
    brier: Estimate
    ece: float
    temperature: float
    ties: int
    """Comparisons to which the model gives exactly equal rewards; each counts half."""
    chance: Estimate
    longer_wins: Estimate
    shorter_wins: Estimate
    prompt_shuffled: Estimate
    """The same model on the same completions, each under another held-out prompt."""
    best_baseline: str
    """Whichever of the baselines, shuffled prompts aside, has the best accuracy on these comparisons."""
    over_baseline: Estimate
    """Accuracy less that of the best baseline, comparison by comparison."""
    over_shuffled: Estimate
    """Accuracy less that under shuffled prompts: what the model gets from the prompt."""
    longer_chosen: Estimate
    """Accuracy where the annotator chose the longer completion."""
    shorter_chosen: Estimate
    reward_length: float
    """Spearman correlation of reward and length over completions, both less their prompt's mean."""
    bins: tuple[CalibrationBin, ...]
    tau: Estimate = NO_DATA
    """Mean Kendall tau-b of the model's order and each ranking's; here and below nothing in reports of old."""
    parts: tuple[Part, ...] = ()
    best_of: tuple[BestOf, ...] = ()
    policy_wins: Estimate = NO_DATA
    """Accuracy of who wrote what alone, learned on the training side; no data where policies are not known."""


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """How a head does that was fitted on some of the training prompts."""

    train_prompts: int
    accuracy: Estimate
    log_loss: float


@dataclass(frozen=True, slots=True)
class Tuning:
    """How a network was fine-tuned, and when it stopped."""

    method: str
    """top, lora or full."""
    loss: str
    learning_rate: float
    prompts_per_step: int
    steps: int
    planned_steps: int
    best_step: int
    """The step whose weights the model has: the best on the validation prompts, or the last without any."""
    validation_prompts: int
    """Training prompts that decided when to stop, and were not learned from; 0 if there were too few."""
    validation_log_loss: float
    trained_weights: int
    weights: int
    dropout: float
    layout: str
    fallback: str
    """Why groups were not read in the layout that was meant; empty if they were."""
    precision: str = ""
    """Of the matrix products while training; empty in reports of before it was told."""


@dataclass(frozen=True, slots=True)
class Report:
    """Everything said of one trained reward model."""

    base_model: str
    base_revision: str
    layer: int
    layers: int
    """Layers of the whole network; the model keeps the first `layer` of them."""
    regularisation: float | None
    """Of the head alone, as the next: None for a network that was fine-tuned."""
    cross_validated: float | None
    seed: int
    held_out_share: float
    data_sha256: str
    template_sha256: str
    counts: Counts
    held_out: HeldOut | None
    """None when there are too few held-out prompts to say anything."""
    curve: tuple[CurvePoint, ...]
    tuning: Tuning | None = None
    """None for a head on a frozen backbone."""
    human: Human | None = None
    """None in a report from before this was measured."""
    version: str = ""
    """Name of the version of the data that it was trained and judged on; empty: what the store held."""
    version_sha256: str = ""

    @property
    def missing_prompts(self) -> int:
        """About how many more prompts must be ranked before accuracy can be told; 0 when it can."""
        missing = max(0, FEWEST_HELD_OUT - self.counts.held_out_prompts)
        return math.ceil(missing / self.held_out_share)

    def as_dict(self) -> dict[str, Any]:
        """Return the report as JSON values; what is not a number is null."""
        return json_values(self) | {"missing_prompts": self.missing_prompts}


def held_out_measures(
    chosen: np.ndarray,
    rejected: np.ndarray,
    shuffled_margins: np.ndarray,
    chosen_lengths: np.ndarray,
    rejected_lengths: np.ndarray,
    weights: np.ndarray,
    clusters: Sequence[str],
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
        weights: shape (comparisons,); those of one ranking sum to 1.
        clusters: the prompt of each comparison.
        centred_rewards, centred_lengths: of every held-out completion, less the prompt's mean, shape (completions,).
        seed: decides which prompts the intervals resample.
        policy_margins: of the same pairs, by the strength of their policies alone, shape (comparisons,), if known.
    """
    margins, longer = chosen - rejected, chosen_lengths - rejected_lengths
    names = np.asarray(clusters, dtype=str)

    def estimate(values: np.ndarray, where: np.ndarray | slice = slice(None)) -> Estimate:
        return mean_with_interval(values[where], weights[where], names[where], seed)

    right = metrics.correct(margins)
    baselines = {
        "chance": np.full(len(margins), 0.5),
        "longer wins": metrics.correct(longer),
        "shorter wins": metrics.correct(-longer),
        **({} if policy_margins is None else {"better policy wins": metrics.correct(policy_margins)}),
    }
    best = max(baselines, key=lambda name: metrics.mean(baselines[name], weights))
    shuffled = metrics.correct(shuffled_margins)
    return HeldOut(
        accuracy=estimate(right),
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
        over_baseline=estimate(right - baselines[best]),
        over_shuffled=estimate(right - shuffled),
        longer_chosen=estimate(right, longer > 0),
        shorter_chosen=estimate(right, longer < 0),
        reward_length=metrics.spearman(centred_rewards, centred_lengths),
        bins=tuple(metrics.calibration_bins(margins, weights)),
        policy_wins=NO_DATA if policy_margins is None else estimate(baselines["better policy wins"]),
    )


# JSON

COUNT = "comparisons"
"""The key of `Estimate.count` in the JSON of reports."""


def read_report(folder: Path) -> Report:
    """Return the report that training wrote into the folder; InputError if there is none."""
    path = folder / REPORT_FILE
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
        return report_from(value)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: this report can't be read ({error}). Name a folder that training made.") from None


def report_from(value: dict[str, Any]) -> Report:
    """Return the report that `as_dict` wrote."""
    fields = {name: found for name, found in value.items() if name != "missing_prompts"}
    fields["counts"] = Counts(**value["counts"])
    fields["curve"] = tuple(
        CurvePoint(point["train_prompts"], _estimate(point["accuracy"]), _number(point["log_loss"]))
        for point in value["curve"]
    )
    if value.get("tuning") is not None:
        fields["tuning"] = Tuning(**{name: _number(found) for name, found in value["tuning"].items()})
    if value.get("human") is not None:
        human = value["human"]
        fields["human"] = Human(_estimate(human["agreement"]), _number(human["low"]), _number(human["high"]))
    fields["held_out"] = held_out_from(value["held_out"])
    return Report(**fields)


def held_out_from(value: dict[str, Any] | None) -> HeldOut | None:
    """Return the measures in a report's JSON, None if there were too few prompts for any."""
    if value is None:
        return None
    found = {name: _estimate(field) if isinstance(field, dict) else _number(field) for name, field in value.items()}
    found["bins"] = tuple(CalibrationBin(**one) for one in value["bins"])
    found["parts"] = tuple(Part(one["kind"], one["name"], _estimate(one["accuracy"])) for one in value.get("parts", ()))
    found["best_of"] = tuple(
        BestOf(one["drawn"], one["kl_bound"], _estimate(one["beaten"]), one["people"])
        for one in value.get("best_of", ())
    )
    return HeldOut(**found)


def _estimate(value: dict[str, Any]) -> Estimate:
    ends = [_number(value[name]) for name in ("value", "low", "high")]
    return Estimate(*ends, count=value[COUNT], prompts=value["prompts"])


def _number(value: Any) -> Any:
    return math.nan if value is None else value


def json_values(value: Any) -> Any:
    """Return a dataclass, a collection or a plain value as JSON values; nan becomes null."""
    if isinstance(value, Estimate):
        return {COUNT if name == "count" else name: number for name, number in value.as_dict().items()}
    if is_dataclass(value):
        return {field.name: json_values(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, dict):
        return {name: json_values(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [json_values(inner) for inner in value]
    return None if isinstance(value, float) and math.isnan(value) else value

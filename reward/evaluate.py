"""The report of a reward model: how it does on prompts it never saw, beside baselines, with every count.

Nothing here needs the model: a report is made from rewards, kept as JSON, and shown by page, card and terminal alike.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from label_data.records import InputError
from reward import metrics
from reward.ceiling import Human, human_verdict
from reward.metrics import CalibrationBin, Estimate

FEWEST_HELD_OUT = 20
"""Held-out prompts below which an accuracy says nothing: its interval would span some 40 points."""
REPORT_FILE, PROVENANCE_FILE = "report.json", "workbench.json"
"""In the folder of a model: this report, and what it was made from."""
MOST_PARTS = 12
"""Annotators, or categories, that a table has rows for; report.json has all."""


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


NO_DATA = Estimate(math.nan, math.nan, math.nan, 0, 0)


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
        return without_nan(asdict(self)) | {"missing_prompts": self.missing_prompts}

    def as_markdown(self) -> str:
        """Return the report as markdown, for the model card, the terminal and the page."""
        return "\n".join(_lines(self))


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
        return metrics.mean_with_interval(values[where], weights[where], names[where], seed)

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
    return Estimate(**{name: _number(number) for name, number in value.items()})


def _number(value: Any) -> Any:
    return math.nan if value is None else value


def without_nan(value: Any) -> Any:
    """Return JSON values with null for what is not a number."""
    if isinstance(value, dict):
        return {name: without_nan(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [without_nan(inner) for inner in value]
    return None if isinstance(value, float) and math.isnan(value) else value


# Words


def _lines(report: Report) -> list[str]:
    counts, held_out = report.counts, report.held_out
    if held_out is None:
        lines = [
            f"**Too few held-out prompts to judge the model: {counts.held_out_prompts} with comparisons, and "
            f"{FEWEST_HELD_OUT} are needed.** Rank about {report.missing_prompts:,} more prompts and train again. "
            "Until then nobody knows how good its rewards are."
        ]
    else:
        lines = held_out_lines(held_out, "prompts it never saw")
    if report.human is not None:
        lines += ["", human_verdict(report.human)]
    if report.curve:
        lines += ["", "| training prompts | accuracy | 95 % interval | log-loss |", "| ---: | ---: | :---: | ---: |"]
        lines += [
            f"| {point.train_prompts:,} | {_text(point.accuracy.value)} | {_interval(point.accuracy)} "
            f"| {_text(point.log_loss)} |"
            for point in report.curve
        ]
    return [*lines, "", *_count_lines(report)]


def held_out_lines(held_out: HeldOut, where: str) -> list[str]:
    """Return the verdict and the tables of the measures as lines of markdown; `where` names the prompts."""
    return [
        f"{verdict(held_out)} {prompt_verdict(held_out)}",
        "",
        f"| on {where} | value | 95 % interval | comparisons | prompts |",
        "| --- | ---: | :---: | ---: | ---: |",
        _row("**accuracy of the model**", held_out.accuracy),
        _row("accuracy: chance", held_out.chance),
        _row("accuracy: longer wins", held_out.longer_wins),
        _row("accuracy: shorter wins", held_out.shorter_wins),
        *([_row("accuracy: better policy wins", held_out.policy_wins)] if held_out.policy_wins.comparisons else []),
        _row("accuracy: the model, prompts shuffled", held_out.prompt_shuffled),
        _row(f"model less {held_out.best_baseline}", held_out.over_baseline),
        _row("model less prompts shuffled", held_out.over_shuffled),
        _row("accuracy where the longer was chosen", held_out.longer_chosen),
        _row("accuracy where the shorter was chosen", held_out.shorter_chosen),
        *(_row(f"accuracy: {part.kind} {part.name}", part.accuracy) for part in _shown(held_out.parts)),
        _row("log-loss (0.693 knows nothing)", held_out.log_loss),
        _row("Brier score (0.25 knows nothing)", held_out.brier),
        _row("calibration error (ECE, 15 bins)", _bare(held_out.ece, held_out.accuracy)),
        _row("temperature that would fit best", _bare(held_out.temperature, held_out.accuracy)),
        "",
        f"Spearman correlation of reward and length within a prompt: {_text(held_out.reward_length)}. "
        f"Exact ties of the model, counted half: {held_out.ties:,}.",
        *_tau_lines(held_out),
        *_best_of_lines(held_out),
    ]


def _shown(parts: Sequence[Part]) -> list[Part]:
    """Return the parts that a table has room for: of each kind the largest, where there is more than one."""
    found = []
    for kind in dict.fromkeys(part.kind for part in parts):
        of_kind = sorted((one for one in parts if one.kind == kind), key=lambda one: -one.accuracy.comparisons)
        if len(of_kind) > 1:
            largest = of_kind[:MOST_PARTS]
            found += [one for one in parts if one in largest]
    return found


def _tau_lines(held_out: HeldOut) -> list[str]:
    if not held_out.tau.comparisons:
        return []
    found = f"{_text(held_out.tau.value)} (95 % interval {_interval(held_out.tau)})"
    return [f"Kendall tau-b with a ranking: {found}, the mean over {held_out.tau.comparisons:,} rankings."]


def _best_of_lines(held_out: HeldOut) -> list[str]:
    told = [one for one in held_out.best_of if one.beaten.prompts >= FEWEST_HELD_OUT]
    if len(told) < 2:
        return []
    lines = [
        "",
        "| best of n by the model | KL bound, nats | beats of the others | 95 % interval | best possible | prompts |",
        "| ---: | ---: | ---: | :---: | ---: | ---: |",
    ]
    for one in told:
        beaten = f"{_text(one.beaten.value)} | {_interval(one.beaten)}"
        lines.append(f"| {one.drawn} | {one.kl_bound:.3f} | {beaten} | {_text(one.people)} | {one.beaten.prompts:,} |")
    return lines


def _count_lines(report: Report) -> list[str]:
    counts = report.counts
    return [
        "| | prompts | rankings | comparisons |",
        "| --- | ---: | ---: | ---: |",
        f"| train | {counts.train_prompts:,} | {counts.train_rankings:,} | {counts.train_comparisons:,} |",
        f"| held out | {counts.held_out_prompts:,} | {counts.held_out_rankings:,} | {counts.held_out_comparisons:,} |",
        "",
        *left_out_lines(counts),
        *(
            [
                f"All of it is version `{report.version}` of the data, sha256 `{report.version_sha256}`: its split, "
                "pairs, weights and margins."
            ]
            if report.version
            else []
        ),
        "",
        _made(report),
    ]


def left_out_lines(counts: Counts) -> list[str]:
    """Return what was left out and why, as lines of markdown."""
    return [
        f"Of {counts.rankings:,} rankings {counts.without_order:,} place nothing above anything. {counts.tied:,} pairs "
        f"were tied, {counts.twins:,} comparisons of equal texts were left out, and the prompts of {counts.trimmed:,} "
        "completions were trimmed. Prompts that share their first turn count as one and stay on one side.",
        *([f"{counts.tests:,} more rankings test annotators and were left out."] if counts.tests else []),
    ]


def _made(report: Report) -> str:
    """Return how the model was made, in a few sentences."""
    base, tuning = f"{report.base_model} (revision {report.base_revision})", report.tuning
    if tuning is None:
        return (
            f"Head on layer {report.layer} of {report.layers} of {base}, C = {report.regularisation:.2g}, chosen by "
            f"cross-validation grouped by prompt on the training side (log-loss {_text(report.cross_validated)}); "
            f"seed {report.seed}."
        )
    stopped = "its weights are those of the last"
    if tuning.validation_prompts:
        stopped = (
            f"its weights are those of step {tuning.best_step:,}, the best (log-loss "
            f"{_text(tuning.validation_log_loss)}) on {tuning.validation_prompts:,} training prompts kept for that"
        )
    return (
        f"Fine-tuned from {base} by the method {tuning.method}: {tuning.trained_weights:,} of {tuning.weights:,} "
        f"weights, loss {tuning.loss}, learning rate {tuning.learning_rate:.2g}, dropout {tuning.dropout:g}, "
        f"{tuning.prompts_per_step} prompts a step. It took {tuning.steps:,} of {tuning.planned_steps:,} steps; "
        f"{stopped}. Seed {report.seed}." + (f" {tuning.fallback}" if tuning.fallback else "")
    )


def verdict(held_out: HeldOut) -> str:
    """Return one sentence: is the model better than the best baseline, as far as these comparisons can tell?"""
    model, over = held_out.accuracy, held_out.over_baseline
    found = (
        f"The model orders {model.value:.1%} of held-out comparisons as the annotators did "
        f"(95 % interval {model.low:.1%} to {model.high:.1%})"
    )
    if over.low > 0:
        return f"{found}, better than the best baseline ({held_out.best_baseline}) by {100 * over.value:.1f} points."
    if over.high < 0:
        return f"{found}, worse than the best baseline ({held_out.best_baseline}). Don't use it."
    return f"{found}: no better than the best baseline ({held_out.best_baseline}), as far as these can tell."


def prompt_verdict(held_out: HeldOut) -> str:
    """Return one sentence: does the model use the prompt, as far as these comparisons can tell?"""
    if held_out.over_shuffled.low > 0:
        return f"Under another prompt the same completions lose it {100 * held_out.over_shuffled.value:.1f} points."
    return "Under another prompt it orders the same completions as well: what it knows is about completions alone."


def _row(name: str, estimate: Estimate) -> str:
    counts = f"{estimate.comparisons:,} | {estimate.prompts:,}"
    return f"| {name} | {_text(estimate.value)} | {_interval(estimate)} | {counts} |"


def _bare(value: float, of: Estimate) -> Estimate:
    return Estimate(value, math.nan, math.nan, of.comparisons, of.prompts)


def _interval(estimate: Estimate) -> str:
    return "" if math.isnan(estimate.low) else f"{estimate.low:.3f} to {estimate.high:.3f}"


def _text(value: float) -> str:
    return "no data" if math.isnan(value) else f"{value:.3f}"

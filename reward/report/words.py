"""The report of a reward model as sentences and tables, for the pages, the terminal, report.md and the model card.

Each sentence is rendered in the reader's language and says no more than its numbers show: a difference counts only if
its interval excludes 0.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from label_data.intervals import Estimate
from label_data.sentences import Sentence, plain, say, sentence_from
from reward.data.sides import FEWEST_HELD_OUT
from reward.report.ceiling import Human
from reward.report.paired_test import Paired
from reward.report.report import Counts, HeldOut, Part, Report, Tuning

MOST_PARTS = 12
"""Most rows of a table for annotators, and for categories; report.json has all."""
SIGNIFICANCE = 0.05
"""A difference between two models counts if its p is below this and its interval excludes 0."""
BASELINES = {
    "chance": say("reward.report.chance"),
    "longer wins": say("reward.report.longer_wins"),
    "shorter wins": say("reward.report.shorter_wins"),
    "better policy wins": say("reward.report.policy_wins"),
}
"""Baselines by their names in report.json."""
METHODS = {
    "last-layers": say("reward.report.method_last_layers"),
    "lora": say("reward.report.method_lora"),
    "full": say("reward.report.method_full"),
}
"""Methods of fine-tuning by their names in report.json."""
MODEL, SHUFFLED = say("reward.report.model"), say("reward.report.shuffled")
COMPARISONS, PROMPTS = say("reward.report.comparisons"), say("reward.report.prompts")

ESCAPED_BAR = "\\|"

Cell = Sentence | str


@dataclass(frozen=True, slots=True)
class Table:
    """A table whose first column is text and whose other columns are numbers."""

    heads: tuple[Cell, ...]
    rows: Sequence[tuple[Cell, ...]]

    def render(self, language: str) -> str:
        """Return the table as markdown in a language."""
        lines = [_line(self.heads, language), f"| --- |{' ---: |' * (len(self.heads) - 1)}"]
        return "\n".join([*lines, *(_line(row, language) for row in self.rows)])


Block = Sentence | Table


def _line(cells: tuple[Cell, ...], language: str) -> str:
    texts = [cell if isinstance(cell, str) else cell.render(language) for cell in cells]
    return f"| {' | '.join(text.replace('|', ESCAPED_BAR) for text in texts)} |"


def markdown(blocks: Sequence[Block], language: str = "en") -> str:
    """Return sentences and tables as paragraphs of markdown."""
    return "\n\n".join(block.render(language) for block in blocks)


def report_markdown(report: Report, language: str = "en") -> str:
    """Return the whole report as markdown."""
    human = [] if report.human is None else [human_verdict(report.human)]
    return markdown([summary(report), *human, *details(report)], language)


# Verdicts


def summary(report: Report) -> Sentence:
    """Return the verdict on the model, or how many prompts are missing for an evaluation."""
    if report.held_out is not None:
        return verdict(report.held_out)
    return say(
        "reward.report.too_few",
        count=report.counts.held_out_prompts,
        needed=FEWEST_HELD_OUT,
        missing=report.missing_prompts,
    )


def verdict(held_out: HeldOut, is_held_out: bool = True) -> Sentence:
    """Return the model's accuracy and whether it is measurably better than the best baseline.

    `is_held_out` is False if the comparisons may contain training data.
    """
    model, gain = held_out.accuracy, held_out.over_baseline
    found = say(
        "reward.report.found" if is_held_out else "reward.report.found_in_data",
        share=model.value,
        low=model.low,
        high=model.high,
        comparisons=model.count,
    )
    baseline = BASELINES[held_out.best_baseline]
    if gain.low > 0:
        return say("reward.report.better", found=found, baseline=baseline, points=100 * gain.value)
    if gain.high < 0:
        return say("reward.report.worse", found=found, baseline=baseline)
    return say("reward.report.no_better", found=found, baseline=baseline)


def prompt_verdict(held_out: HeldOut) -> Sentence:
    """Return whether the model measurably uses the prompt."""
    drop = held_out.over_shuffled
    if drop.low > 0:
        return say("reward.report.reads_prompt", points=100 * drop.value)
    return say("reward.report.ignores_prompt", low=100 * drop.low, high=100 * drop.high)


def human_verdict(human: Human) -> Sentence:
    """Return how often annotators agree, and the bounds that this puts on any model's accuracy."""
    agreement = human.agreement
    if math.isnan(agreement.value):
        return say("reward.report.human_none")
    interval = say("reward.report.interval", low=agreement.low, high=agreement.high)
    if math.isnan(agreement.low):
        interval = say("reward.report.no_interval")
    values = {
        "share": agreement.value,
        "cases": agreement.count,
        "prompts": agreement.prompts,
        "interval": interval,
    }
    if math.isnan(human.high):
        return say("reward.report.human_contradict", **values)
    return say("reward.report.human", **values, low=human.low, high=human.high)


def paired_verdict(paired: Paired | None, first: str, second: str) -> Sentence:
    """Return whether one of two models is measurably better on the comparisons that both were evaluated on.

    Args:
        paired: the difference of the first minus the second; None if they have no comparison in common.
        first, second: what to call the two models.
    """
    if paired is None:
        return say("reward.report.nothing_common", first=first, second=second)
    difference = paired.accuracy
    values = {
        "first": first,
        "second": second,
        "points": 100 * abs(difference.value),
        "low": 100 * difference.low,
        "high": 100 * difference.high,
        "p": paired.p,
        "comparisons": difference.count,
        "prompts": difference.prompts,
    }
    if paired.p < SIGNIFICANCE and (difference.low > 0 or difference.high < 0):
        better, worse = (first, second) if difference.value > 0 else (second, first)
        return say("reward.report.better_model", better=better, worse=worse, **values)
    return say("reward.report.no_better_model", **values)


# The measures


def details(report: Report) -> list[Block]:
    """Return everything after the verdicts: all metrics, the counts, and how the model was trained."""
    blocks: list[Block] = []
    if report.held_out is not None:
        blocks += measures(report.held_out, say("reward.report.held_out_metric"))
    if report.curve:
        blocks.append(_curve_table(report))
    blocks += [_count_table(report.counts), left_out(report.counts)]
    if report.version:
        version = code(report.version)
        blocks.append(say("reward.report.version", version=version, sha256=code(report.version_sha256)))
    return blocks + _training(report)


def measures(held_out: HeldOut, title: Sentence) -> list[Block]:
    """Return whether the model uses the prompt, and all metrics; `title` heads the column of their names."""
    blocks: list[Block] = [
        prompt_verdict(held_out),
        _measure_table(held_out, title),
        say("reward.report.length", value=number(held_out.reward_length), ties=held_out.ties),
    ]
    if held_out.tau.count:
        value, interval = number(held_out.tau.value), interval_of(held_out.tau)
        blocks.append(say("reward.report.tau", value=value, interval=interval, rankings=held_out.tau.count))
    return blocks + _best_of_table(held_out)


def _measure_table(held_out: HeldOut, title: Sentence) -> Table:
    policies = held_out.policy_wins.count > 0
    rows = [
        (_accuracy_of(MODEL), held_out.accuracy),
        (_accuracy_of(BASELINES["chance"]), held_out.chance),
        (_accuracy_of(BASELINES["longer wins"]), held_out.longer_wins),
        (_accuracy_of(BASELINES["shorter wins"]), held_out.shorter_wins),
        *([(_accuracy_of(BASELINES["better policy wins"]), held_out.policy_wins)] if policies else []),
        (_accuracy_of(SHUFFLED), held_out.prompt_shuffled),
        (_model_minus(BASELINES[held_out.best_baseline]), held_out.over_baseline),
        (_model_minus(SHUFFLED), held_out.over_shuffled),
        (say("reward.report.longer_chosen"), held_out.longer_chosen),
        (say("reward.report.shorter_chosen"), held_out.shorter_chosen),
        *((_part_name(part), part.accuracy) for part in _largest_parts(held_out.parts)),
        (say("reward.report.log_loss"), held_out.log_loss),
        (say("reward.report.brier"), held_out.brier),
        (say("reward.report.ece"), _without_interval(held_out.ece, held_out.accuracy)),
        (say("reward.report.temperature"), _without_interval(held_out.temperature, held_out.accuracy)),
    ]
    heads = (title, say("reward.report.value"), say("reward.report.ci"), COMPARISONS, PROMPTS)
    return Table(
        heads,
        [
            (name, number(estimate.value), interval_of(estimate), f"{estimate.count:,}", f"{estimate.prompts:,}")
            for name, estimate in rows
        ],
    )


def _accuracy_of(predictor: Sentence) -> Sentence:
    return say("reward.report.accuracy_of", predictor=predictor)


def _model_minus(predictor: Sentence) -> Sentence:
    return say("reward.report.model_minus", predictor=predictor)


def _part_name(part: Part) -> Sentence:
    name = code(part.name)
    if part.kind == "annotator":
        return say("reward.report.part_annotator", name=name)
    if part.kind == "category":
        return say("reward.report.part_category", name=name)
    return say("reward.report.part_strength", name=name)


def _largest_parts(parts: Sequence[Part]) -> list[Part]:
    """Return the largest parts of each kind, MOST_PARTS at most, in their order; a kind with one part has none."""
    largest: list[Part] = []
    for kind in dict.fromkeys(part.kind for part in parts):
        of_kind = sorted((part for part in parts if part.kind == kind), key=lambda part: -part.accuracy.count)
        if len(of_kind) > 1:
            largest += [part for part in parts if part in of_kind[:MOST_PARTS]]
    return largest


def _without_interval(value: float, basis: Estimate) -> Estimate:
    return Estimate(value, math.nan, math.nan, basis.count, basis.prompts)


def _best_of_table(held_out: HeldOut) -> list[Block]:
    shown = [best for best in held_out.best_of if best.beaten.prompts >= FEWEST_HELD_OUT]
    if len(shown) < 2:
        return []
    heads = (
        say("reward.report.best_of"),
        say("reward.report.kl_bound"),
        say("reward.report.beaten"),
        say("reward.report.ci"),
        say("reward.report.best_possible"),
        PROMPTS,
    )
    rows = [
        (
            str(best.drawn),
            f"{best.kl_bound:.3f}",
            number(best.beaten.value),
            interval_of(best.beaten),
            number(best.people),
            f"{best.beaten.prompts:,}",
        )
        for best in shown
    ]
    return [Table(heads, rows)]


def _curve_table(report: Report) -> Table:
    heads = (
        say("reward.report.train_prompts"),
        say("reward.report.accuracy"),
        say("reward.report.ci"),
        say("reward.report.log_loss_short"),
    )
    rows = [
        (
            f"{point.train_prompts:,}",
            number(point.accuracy.value),
            interval_of(point.accuracy),
            number(point.log_loss),
        )
        for point in report.curve
    ]
    return Table(heads, rows)


# The data and the training


def _count_table(counts: Counts) -> Table:
    train = (counts.train_prompts, counts.train_rankings, counts.train_comparisons)
    held_out = (counts.held_out_prompts, counts.held_out_rankings, counts.held_out_comparisons)
    return Table(
        ("", PROMPTS, say("reward.report.rankings"), COMPARISONS),
        [
            (say("reward.report.train_side"), *map("{:,}".format, train)),
            (say("reward.report.held_out_side"), *map("{:,}".format, held_out)),
        ],
    )


def left_out(counts: Counts) -> Sentence:
    """Return which rankings and comparisons were not used, and why."""
    return say(
        "reward.report.left_out",
        rankings=counts.rankings,
        without_order=counts.without_order,
        tied=counts.tied,
        equal_texts=counts.twins,
        trimmed=counts.trimmed,
        tests=counts.tests,
    )


def _training(report: Report) -> list[Block]:
    """Return how the model was trained."""
    base: dict[str, str | int] = {
        "model": code(report.base_model),
        "revision": code(report.base_revision),
        "seed": report.seed,
    }
    if report.tuning is not None:
        return _tuning(report.tuning, base)
    regularisation = math.nan if report.regularisation is None else report.regularisation
    return [
        say(
            "reward.report.head",
            **base,
            layer=report.layer,
            layers=report.layers,
            regularisation=regularisation,
            loss=number(report.cross_validated),
        )
    ]


def _tuning(tuning: Tuning, base: dict[str, str | int]) -> list[Block]:
    kept = say("reward.report.last_step")
    if tuning.validation_prompts:
        loss = number(tuning.validation_log_loss)
        kept = say("reward.report.best_step", step=tuning.best_step, loss=loss, prompts=tuning.validation_prompts)
    blocks: list[Block] = [
        say(
            "reward.report.tuned",
            **base,
            method=METHODS[tuning.method],
            trained=tuning.trained_weights,
            weights=tuning.weights,
            loss=code(tuning.loss),
            rate=tuning.learning_rate,
            dropout=tuning.dropout,
            prompts=tuning.prompts_per_step,
            steps=tuning.steps,
            planned=tuning.planned_steps,
            kept=kept,
        )
    ]
    if tuning.precision:
        blocks.append(say("reward.report.precision", precision=tuning.precision))
    if tuning.fallback:
        blocks.append(sentence_from(tuning.fallback))
    return blocks


# Cells


def number(value: float | None) -> Sentence:
    """Return a number with three decimals, or that there is no data."""
    return say("reward.report.no_data") if value is None or math.isnan(value) else plain(f"{value:z.3f}")


def interval_of(estimate: Estimate) -> Sentence:
    """Return the estimate's interval with three decimals; empty if there is none."""
    if math.isnan(estimate.low):
        return plain("")
    return say("reward.report.to", low=estimate.low, high=estimate.high)


def code(text: str) -> str:
    """Return the text as inline code in markdown, which shows it unchanged but for white space.

    The delimiter is longer than every run of backticks in the text (CommonMark, section 6.1).
    """
    folded = " ".join(text.split())
    delimiter = "`" * (1 + max(map(len, re.findall("`+", folded)), default=0))
    return f"{delimiter} {folded} {delimiter}" if "`" in folded else f"`{folded}`"

"""The report of a reward model in words: a verdict, and tables of markdown in which every number has its interval."""

import math
from collections.abc import Sequence

from label_data.intervals import Estimate
from reward.data.sides import FEWEST_HELD_OUT
from reward.report.ceiling import human_verdict
from reward.report.report import Counts, HeldOut, Part, Report

MOST_PARTS = 12
"""Annotators, or categories, that a table has rows for; report.json has all."""


def report_markdown(report: Report) -> str:
    """Return the report as markdown, for the model card, the terminal and the page."""
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
    return "\n".join([*lines, "", *_count_lines(report)])


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
        *([_row("accuracy: better policy wins", held_out.policy_wins)] if held_out.policy_wins.count else []),
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
        of_kind = sorted((one for one in parts if one.kind == kind), key=lambda one: -one.accuracy.count)
        if len(of_kind) > 1:
            largest = of_kind[:MOST_PARTS]
            found += [one for one in parts if one in largest]
    return found


def _tau_lines(held_out: HeldOut) -> list[str]:
    if not held_out.tau.count:
        return []
    found = f"{_text(held_out.tau.value)} (95 % interval {_interval(held_out.tau)})"
    return [f"Kendall tau-b with a ranking: {found}, the mean over {held_out.tau.count:,} rankings."]


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
    precision = f", {tuning.precision}" if tuning.precision else ""
    stopped = "its weights are those of the last"
    if tuning.validation_prompts:
        stopped = (
            f"its weights are those of step {tuning.best_step:,}, the best (log-loss "
            f"{_text(tuning.validation_log_loss)}) on {tuning.validation_prompts:,} training prompts kept for that"
        )
    return (
        f"Fine-tuned from {base} by the method {tuning.method}: {tuning.trained_weights:,} of {tuning.weights:,} "
        f"weights, loss {tuning.loss}, learning rate {tuning.learning_rate:.2g}, dropout {tuning.dropout:g}, "
        f"{tuning.prompts_per_step} prompts a step{precision}. It took {tuning.steps:,} of {tuning.planned_steps:,} "
        f"steps; {stopped}. Seed {report.seed}." + (f" {tuning.fallback}" if tuning.fallback else "")
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
    counts = f"{estimate.count:,} | {estimate.prompts:,}"
    return f"| {name} | {_text(estimate.value)} | {_interval(estimate)} | {counts} |"


def _bare(value: float, of: Estimate) -> Estimate:
    return Estimate(value, math.nan, math.nan, of.count, of.prompts)


def _interval(estimate: Estimate) -> str:
    return "" if math.isnan(estimate.low) else f"{estimate.low:z.3f} to {estimate.high:z.3f}"


def _text(value: float) -> str:
    return "no data" if math.isnan(value) else f"{value:z.3f}"

"""A report as a person looks at it: the verdict, the shapes, and the numbers behind them."""

import math
from dataclasses import asdict
from typing import Any

import altair as alt
import pandas as pd
import streamlit as st

from label_data.intervals import Estimate
from reward.data.sides import FEWEST_HELD_OUT
from reward.report.ceiling import Human
from reward.report.report import Counts, HeldOut, Report, Tuning
from workbench.jobs.runs import Run
from workbench.rendering import literal
from workbench.web.session import words
from workbench.wording import filled

ACCURACY = alt.Scale(domain=[0, 1])
TALL = 240
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8a8a00", "#767676")
"""Told apart by the colour-blind too: after Okabe and Ito 2008, Color Universal Design."""


def run_label(run: Run) -> str:
    """Return how a list names a trained model: when it was trained, and how good it is as far as that is known."""
    says, held_out, version = words("report"), run.report.held_out, run.report.version
    method = words("train")["methods"][run.method]
    method = filled(says["method_on"], method=method, version=version) if version else method
    trained = {"when": run.when, "method": method, "prompts": f"{run.report.counts.train_prompts:,}"}
    if held_out is None:
        return filled(says["run_unknown"], **trained)
    model = held_out.accuracy
    found = {"accuracy": f"{model.value:.3f}", "low": f"{model.low:.3f}", "high": f"{model.high:.3f}"}
    return filled(says["run"], **trained, **found)


def show_report(report: Report) -> None:
    """Show the whole report; where too few prompts are held out, how many are missing and no accuracy."""
    says, held_out = words("report"), report.held_out
    if held_out is None:
        too_few = {"count": report.counts.held_out_prompts, "needed": FEWEST_HELD_OUT}
        st.warning(filled(says["too_few"], **too_few, missing=f"{report.missing_prompts:,}"))
    else:
        (st.success if held_out.over_baseline.low > 0 else st.warning)(verdict(held_out, says))
        beside, calibration, *rest = st.columns([5, 4, 4] if report.curve else [5, 4])
        with beside:
            st.markdown(says["accuracy_title"])
            st.altair_chart(accuracy_chart(held_out, says), width="stretch")
        with calibration:
            st.markdown(says["calibration_title"])
            st.altair_chart(calibration_chart(held_out, says), width="stretch")
        for curve in rest:
            with curve:
                st.markdown(says["curve_title"])
                st.altair_chart(curve_chart(report, says), width="stretch")
    if report.human is not None:
        st.markdown(human_verdict(report.human, says))
    with st.expander(says["every_number"], expanded=held_out is None):
        if held_out is not None:
            st.markdown(prompt_verdict(held_out, says))
            st.markdown(measures(held_out, says))
            length = {"value": _text(held_out.reward_length, says), "ties": f"{held_out.ties:,}"}
            st.markdown(filled(says["length"], **length))
        if report.curve:
            st.markdown(curve_table(report, says))
        st.markdown(count_table(report.counts, says))
        st.markdown(origin(report, says))


def verdict(held_out: HeldOut, says: dict[str, Any]) -> str:
    """Return one sentence: is the model better than the best baseline, as far as these comparisons can tell?"""
    model, over = held_out.accuracy, held_out.over_baseline
    found = filled(says["found"], share=f"{model.value:.1%}", low=f"{model.low:.1%}", high=f"{model.high:.1%}")
    kind = "better" if over.low > 0 else "worse" if over.high < 0 else "no_better"
    baseline = says["baselines"][held_out.best_baseline]
    return filled(says[kind], found=found, baseline=baseline, points=f"{100 * over.value:.1f}")


def prompt_verdict(held_out: HeldOut, says: dict[str, Any]) -> str:
    """Return one sentence: does the model use the prompt, as far as these comparisons can tell?"""
    over = held_out.over_shuffled
    return filled(says["reads_prompt"], points=f"{100 * over.value:.1f}") if over.low > 0 else says["ignores_prompt"]


def human_verdict(human: Human, says: dict[str, Any]) -> str:
    """Return how far people agree, and so between what the accuracy of the best possible model lies."""
    found = human.agreement
    if math.isnan(found.value):
        return says["human_none"]
    counted = {"cases": f"{found.count:,}", "prompts": f"{found.prompts:,}", "share": f"{found.value:.1%}"}
    ends = "" if math.isnan(found.low) else f" ({filled(says['to'], low=f'{found.low:.1%}', high=f'{found.high:.1%}')})"
    if math.isnan(human.high):
        return filled(says["human_contradict"], ends=ends, **counted)
    return filled(says["human"], ends=ends, low=f"{human.low:.1%}", high=f"{human.high:.1%}", **counted)


def measures(held_out: HeldOut, says: dict[str, Any]) -> str:
    """Return the measures as a markdown table: each with its interval and what it is counted on."""
    baselines = says["baselines"]
    rows = [
        (filled(says["accuracy_of"], what=f"**{says['model']}**"), held_out.accuracy),
        (filled(says["accuracy_of"], what=baselines["chance"]), held_out.chance),
        (filled(says["accuracy_of"], what=baselines["longer wins"]), held_out.longer_wins),
        (filled(says["accuracy_of"], what=baselines["shorter wins"]), held_out.shorter_wins),
        *_of_policies(filled(says["accuracy_of"], what=baselines["better policy wins"]), held_out),
        (filled(says["accuracy_of"], what=says["shuffled"]), held_out.prompt_shuffled),
        (filled(says["model_less"], what=baselines[held_out.best_baseline]), held_out.over_baseline),
        (filled(says["model_less"], what=says["shuffled"]), held_out.over_shuffled),
        (says["longer_chosen"], held_out.longer_chosen),
        (says["shorter_chosen"], held_out.shorter_chosen),
        (says["log_loss"], held_out.log_loss),
        (says["brier"], held_out.brier),
        (says["ece"], _bare(held_out.ece, held_out.accuracy)),
        (says["temperature"], _bare(held_out.temperature, held_out.accuracy)),
    ]
    heads = (says["measure"], says["value"], says["interval"], says["comparisons"], says["prompts"])
    body = [
        (name, _text(one.value, says), _interval(one, says), f"{one.count:,}", f"{one.prompts:,}") for name, one in rows
    ]
    return _table(heads, body)


def _of_policies(name: str, held_out: HeldOut) -> list[tuple[str, Estimate]]:
    """Return the baseline that knows of policies alone, where they are known."""
    return [(name, held_out.policy_wins)] if held_out.policy_wins.count else []


def curve_table(report: Report, says: dict[str, Any]) -> str:
    """Return the learning curve as a markdown table."""
    heads = (says["train_prompts"], says["accuracy"], says["interval"], says["log_loss_short"])
    body = [
        (
            f"{point.train_prompts:,}",
            _text(point.accuracy.value, says),
            _interval(point.accuracy, says),
            _text(point.log_loss, says),
        )
        for point in report.curve
    ]
    return _table(heads, body)


def count_table(counts: Counts, says: dict[str, Any]) -> str:
    """Return what the model was fitted on and what it was judged on, as a markdown table."""
    train = (counts.train_prompts, counts.train_rankings, counts.train_comparisons)
    held_out = (counts.held_out_prompts, counts.held_out_rankings, counts.held_out_comparisons)
    body = [(says["train_side"], *map("{:,}".format, train)), (says["held_out_side"], *map("{:,}".format, held_out))]
    return _table(("", says["prompts"], says["rankings"], says["comparisons"]), body)


def origin(report: Report, says: dict[str, Any]) -> str:
    """Return what was left out, and how the model was made."""
    names = ("rankings", "without_order", "tied", "twins", "trimmed", "tests")
    left_out = {name: f"{getattr(report.counts, name):,}" for name in names}
    version = filled(says["version"], name=literal(report.version), sha256=report.version_sha256)
    made = head_of(report, says) if report.tuning is None else tuning_of(report, report.tuning, says)
    parts = [filled(says["left_out"], **left_out), *([version] if report.version else []), made]
    return "\n\n".join(parts)


def head_of(report: Report, says: dict[str, Any]) -> str:
    """Return how a head was chosen."""
    return filled(
        says["head"],
        layer=report.layer,
        layers=report.layers,
        model=literal(report.base_model),
        revision=literal(report.base_revision),
        c=f"{report.regularisation:.2g}",
        loss=_text(report.cross_validated, says),
        seed=report.seed,
    )


def tuning_of(report: Report, tuning: Tuning, says: dict[str, Any]) -> str:
    """Return how a network was fine-tuned, and where it stopped."""
    made = filled(
        says["tuned"],
        model=literal(report.base_model),
        revision=literal(report.base_revision),
        method=words("train")["methods"][tuning.method],
        trained=f"{tuning.trained_weights:,}",
        weights=f"{tuning.weights:,}",
        loss=literal(tuning.loss),
        rate=f"{tuning.learning_rate:.2g}",
        steps=f"{tuning.steps:,}",
        planned=f"{tuning.planned_steps:,}",
        seed=report.seed,
    )
    if not tuning.validation_prompts:
        return f"{made} {says['last_step']}"
    found = {"step": f"{tuning.best_step:,}", "prompts": f"{tuning.validation_prompts:,}"}
    return f"{made} {filled(says['best_step'], **found, loss=_text(tuning.validation_log_loss, says))}"


def _table(heads: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    aligned = (":---", *("---:" for _ in heads[1:]))
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (heads, aligned, *rows))


def _bare(value: float, of: Estimate) -> Estimate:
    return Estimate(value, math.nan, math.nan, of.count, of.prompts)


def _interval(estimate: Estimate, says: dict[str, Any]) -> str:
    low, high = f"{estimate.low:z.3f}", f"{estimate.high:z.3f}"
    return "" if math.isnan(estimate.low) else filled(says["to"], low=low, high=high)


def _text(value: float, says: dict[str, Any]) -> str:
    return says["no_data"] if math.isnan(value) else f"{value:z.3f}"


def accuracy_chart(held_out: HeldOut, says: dict[str, Any]) -> alt.LayerChart:
    """Return the model beside its baselines: points with intervals."""
    estimates = {
        says["model"]: held_out.accuracy,
        says["shuffled"]: held_out.prompt_shuffled,
        says["baselines"]["longer wins"]: held_out.longer_wins,
        says["baselines"]["shorter wins"]: held_out.shorter_wins,
        **dict(_of_policies(says["baselines"]["better policy wins"], held_out)),
        says["baselines"]["chance"]: held_out.chance,
    }
    rows = pd.DataFrame([{"what": name} | asdict(estimate) for name, estimate in estimates.items()])
    base = alt.Chart(rows, height=TALL).encode(
        y=alt.Y("what:N", sort=list(estimates), title=None, axis=alt.Axis(labelLimit=200))
    )
    tooltip = ["what", alt.Tooltip("value", title=says["accuracy"], format=".3f"), *_counted(says)]
    span = base.mark_rule(size=3, opacity=0.4).encode(
        x=alt.X("low:Q", scale=ACCURACY, title=says["accuracy"]), x2="high:Q"
    )
    dots = base.mark_point(filled=True, size=90, opacity=1).encode(x="value:Q", tooltip=tooltip)
    half = alt.Chart(pd.DataFrame({"x": [0.5]})).mark_rule(strokeDash=[4, 4], opacity=0.5).encode(x="x:Q")
    return half + span + dots


def calibration_chart(held_out: HeldOut, says: dict[str, Any]) -> alt.LayerChart:
    """Return how often the model was right against how sure it was; a larger point holds more comparisons."""
    rows = pd.DataFrame([asdict(one) for one in held_out.bins])
    line = alt.Chart(pd.DataFrame({"x": [0.5, 1.0], "y": [0.5, 1.0]})).mark_line(strokeDash=[4, 4], opacity=0.5)
    dots = alt.Chart(rows, height=TALL).mark_point(filled=True, opacity=0.8)
    return line.encode(x="x:Q", y="y:Q") + dots.encode(
        x=alt.X("confidence:Q", scale=alt.Scale(domain=[0.5, 1]), title=says["confidence"]),
        y=alt.Y("accuracy:Q", scale=ACCURACY, title=says["share_right"]),
        size=alt.Size("comparisons:Q", legend=None),
        tooltip=[
            alt.Tooltip("confidence", title=says["confidence"], format=".2f"),
            alt.Tooltip("accuracy", title=says["share_right"], format=".2f"),
            alt.Tooltip("comparisons", title=says["comparisons"]),
        ],
    )


def curve_chart(report: Report, says: dict[str, Any]) -> alt.LayerChart:
    """Return held-out accuracy against the number of training prompts, with its interval."""
    rows = pd.DataFrame([{"train_prompts": point.train_prompts} | asdict(point.accuracy) for point in report.curve])
    base = alt.Chart(rows, height=TALL).encode(x=alt.X("train_prompts:Q", title=says["train_prompts"]))
    band = base.mark_area(opacity=0.25).encode(y=alt.Y("low:Q", scale=ACCURACY, title=says["accuracy"]), y2="high:Q")
    tooltip = [
        alt.Tooltip("train_prompts", title=says["train_prompts"]),
        alt.Tooltip("value", title=says["accuracy"], format=".3f"),
        alt.Tooltip("count", title=says["comparisons"]),
    ]
    line = base.mark_line(point=True).encode(y="value:Q", tooltip=tooltip)
    return band + line


def _counted(says: dict[str, Any]) -> list[alt.Tooltip]:
    return [alt.Tooltip("count", title=says["comparisons"]), alt.Tooltip("prompts", title=says["prompts"])]

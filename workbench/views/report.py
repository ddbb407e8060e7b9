"""A run's report on the page: the verdict, three plots, and the sentences and tables of `reward.report.words`."""

from collections.abc import Sequence
from dataclasses import asdict

import altair as alt
import pandas as pd
import streamlit as st

from label_data.sentences import Sentence, say
from reward.report.report import HeldOut, Report
from reward.report.words import BASELINES, COMPARISONS, MODEL, PROMPTS, SHUFFLED, details, human_verdict, summary
from workbench.jobs.runs import Run
from workbench.rendering import with_literal_code
from workbench.web.session import language, words
from workbench.wording import filled

ACCURACY = alt.Scale(domain=[0, 1])
TALL = 240
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8a8a00", "#767676")
"""Distinguishable by colour-blind readers too: after Okabe and Ito 2008, Color Universal Design."""


def run_label(run: Run) -> str:
    """Return a run's name in lists: when and how it was trained, and its accuracy if it was evaluated."""
    texts, held_out, version = words("report"), run.report.held_out, run.report.version
    method: str = words("train")["methods"][run.method]
    if version:
        method = filled(texts["method_on"], method=method, version=version)
    trained = {"when": run.when, "method": method, "prompts": f"{run.report.counts.train_prompts:,}"}
    if held_out is None:
        return filled(texts["run_unknown"], **trained)
    accuracy = held_out.accuracy
    numbers = {"accuracy": f"{accuracy.value:.3f}", "low": f"{accuracy.low:.3f}", "high": f"{accuracy.high:.3f}"}
    return filled(texts["run"], **trained, **numbers)


def show_report(report: Report) -> None:
    """Show the whole report; without an evaluation, how many prompts are missing for one."""
    texts, held_out, reader = words("report"), report.held_out, language()
    is_better = held_out is not None and held_out.over_baseline.low > 0
    (st.success if is_better else st.warning)(summary(report).render(reader))
    if held_out is not None:
        _show_plots(report, held_out)
    if report.human is not None:
        st.markdown(human_verdict(report.human).render(reader))
    with st.expander(texts["every_number"], expanded=held_out is None):
        for block in details(report):
            st.markdown(with_literal_code(block.render(reader)))


def _show_plots(report: Report, held_out: HeldOut) -> None:
    texts = words("report")
    accuracy, calibration, *curve = st.columns([5, 4, 4] if report.curve else [5, 4])
    with accuracy:
        st.markdown(texts["accuracy_title"])
        st.altair_chart(accuracy_chart(held_out), width="stretch")
    with calibration:
        st.markdown(texts["calibration_title"])
        st.altair_chart(calibration_chart(held_out), width="stretch")
    for column in curve:
        with column:
            st.markdown(texts["curve_title"])
            st.altair_chart(curve_chart(report), width="stretch")


def axis_title(sentence: Sentence) -> str:
    """Return the title of an axis or of a tooltip in the reader's language."""
    return sentence.render(language())


def accuracy_chart(held_out: HeldOut) -> alt.LayerChart | alt.FacetChart:
    """Return the accuracy of the model and of its baselines: points with intervals."""
    named = [
        (MODEL, held_out.accuracy),
        (SHUFFLED, held_out.prompt_shuffled),
        (BASELINES["longer wins"], held_out.longer_wins),
        (BASELINES["shorter wins"], held_out.shorter_wins),
        (BASELINES["better policy wins"], held_out.policy_wins),
        (BASELINES["chance"], held_out.chance),
    ]
    rows = [{"name": axis_title(name)} | asdict(estimate) for name, estimate in named if estimate.count]
    title = axis_title(say("reward.report.accuracy"))
    names = [row["name"] for row in rows]
    base = alt.Chart(pd.DataFrame(rows), height=TALL).encode(
        y=alt.Y("name:N", sort=names, title=None, axis=alt.Axis(labelLimit=200))
    )
    tooltip = ["name", alt.Tooltip("value", title=title, format=".3f"), *_count_tooltips()]
    interval = base.mark_rule(size=3, opacity=0.4).encode(x=alt.X("low:Q", scale=ACCURACY, title=title), x2="high:Q")
    points = base.mark_point(filled=True, size=90, opacity=1).encode(x="value:Q", tooltip=tooltip)
    chance = alt.Chart(pd.DataFrame({"x": [0.5]})).mark_rule(strokeDash=[4, 4], opacity=0.5).encode(x="x:Q")
    return alt.layer(chance, interval, points)


def calibration_chart(held_out: HeldOut) -> alt.LayerChart | alt.FacetChart:
    """Return the observed accuracy against the predicted probability; larger points hold more comparisons."""
    bins = pd.DataFrame([asdict(each) for each in held_out.bins])
    confidence = axis_title(say("reward.report.confidence"))
    accuracy = axis_title(say("reward.report.observed_accuracy"))
    ideal = alt.Chart(pd.DataFrame({"x": [0.5, 1.0], "y": [0.5, 1.0]})).mark_line(strokeDash=[4, 4], opacity=0.5)
    points = alt.Chart(bins, height=TALL).mark_point(filled=True, opacity=0.8)
    return alt.layer(
        ideal.encode(x="x:Q", y="y:Q"),
        points.encode(
            x=alt.X("confidence:Q", scale=alt.Scale(domain=[0.5, 1]), title=confidence),
            y=alt.Y("accuracy:Q", scale=ACCURACY, title=accuracy),
            size=alt.Size("comparisons:Q", legend=None),
            tooltip=[
                alt.Tooltip("confidence", title=confidence, format=".2f"),
                alt.Tooltip("accuracy", title=accuracy, format=".2f"),
                alt.Tooltip("comparisons", title=axis_title(COMPARISONS)),
            ],
        ),
    )


def curve_chart(report: Report) -> alt.LayerChart | alt.FacetChart:
    """Return held-out accuracy against the number of training prompts, with its interval."""
    rows = pd.DataFrame([{"train_prompts": point.train_prompts} | asdict(point.accuracy) for point in report.curve])
    prompts, accuracy = axis_title(say("reward.report.train_prompts")), axis_title(say("reward.report.accuracy"))
    base = alt.Chart(rows, height=TALL).encode(x=alt.X("train_prompts:Q", title=prompts))
    interval = base.mark_area(opacity=0.25).encode(y=alt.Y("low:Q", scale=ACCURACY, title=accuracy), y2="high:Q")
    tooltip = [
        alt.Tooltip("train_prompts", title=prompts),
        alt.Tooltip("value", title=accuracy, format=".3f"),
        alt.Tooltip("count", title=axis_title(COMPARISONS)),
    ]
    line = base.mark_line(point=True).encode(y="value:Q", tooltip=tooltip)
    return alt.layer(interval, line)


def _count_tooltips() -> Sequence[alt.Tooltip]:
    return [
        alt.Tooltip("count", title=axis_title(COMPARISONS)),
        alt.Tooltip("prompts", title=axis_title(PROMPTS)),
    ]

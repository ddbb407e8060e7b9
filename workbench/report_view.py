"""A report as a person looks at it: the verdict, the shapes, the numbers behind them."""

from dataclasses import asdict

import altair as alt
import pandas as pd
import streamlit as st

from reward.evaluate import HeldOut, Report, verdict

ACCURACY = alt.Scale(domain=[0, 1])
TALL = 240


def show_report(report: Report) -> None:
    """Show the whole report; where too few prompts are held out, how many are missing and no number."""
    held_out = report.held_out
    if held_out is None:
        st.warning(
            f"Trained, but too few held-out prompts to judge it: {report.counts.held_out_prompts} with comparisons. "
            f"Rank about {report.missing_prompts:,} more prompts and train again; until then nobody knows how good "
            "its rewards are."
        )
    else:
        (st.success if held_out.over_baseline.low > 0 else st.warning)(verdict(held_out))
        beside, calibration, curve = st.columns([5, 4, 4])
        with beside:
            st.markdown("**Accuracy on prompts it never saw**, with 95 % intervals")
            st.altair_chart(accuracy_chart(held_out), width="stretch")
        with calibration:
            st.markdown("**Is it as sure as it should be?** On the line it is.")
            st.altair_chart(calibration_chart(held_out), width="stretch")
        with curve:
            st.markdown("**Would more rankings help?** Accuracy by training prompts")
            st.altair_chart(curve_chart(report), width="stretch")
    with st.expander("Every number", expanded=held_out is None):
        st.markdown(report.as_markdown())


def accuracy_chart(held_out: HeldOut) -> alt.LayerChart:
    """Return the model beside its baselines: points with intervals."""
    estimates = {
        "model": held_out.accuracy,
        "model, prompts shuffled": held_out.prompt_shuffled,
        "longer wins": held_out.longer_wins,
        "shorter wins": held_out.shorter_wins,
        "chance": held_out.chance,
    }
    rows = pd.DataFrame([{"what": name} | asdict(estimate) for name, estimate in estimates.items()])
    base = alt.Chart(rows, height=TALL).encode(
        y=alt.Y("what:N", sort=list(estimates), title=None, axis=alt.Axis(labelLimit=200))
    )
    tooltip = ["what", alt.Tooltip("value", format=".3f"), "comparisons", "prompts"]
    span = base.mark_rule(size=3, opacity=0.4).encode(x=alt.X("low:Q", scale=ACCURACY, title="accuracy"), x2="high:Q")
    dots = base.mark_point(filled=True, size=90, opacity=1).encode(x="value:Q", tooltip=tooltip)
    half = alt.Chart(pd.DataFrame({"x": [0.5]})).mark_rule(strokeDash=[4, 4], opacity=0.5).encode(x="x:Q")
    return half + span + dots


def calibration_chart(held_out: HeldOut) -> alt.LayerChart:
    """Return how often the model was right against how sure it was; a larger point holds more comparisons."""
    rows = pd.DataFrame([asdict(one) for one in held_out.bins])
    line = alt.Chart(pd.DataFrame({"x": [0.5, 1.0], "y": [0.5, 1.0]})).mark_line(strokeDash=[4, 4], opacity=0.5)
    dots = alt.Chart(rows, height=TALL).mark_point(filled=True, opacity=0.8)
    return line.encode(x="x:Q", y="y:Q") + dots.encode(
        x=alt.X("confidence:Q", scale=alt.Scale(domain=[0.5, 1]), title="probability it gave"),
        y=alt.Y("accuracy:Q", scale=ACCURACY, title="share it got right"),
        size=alt.Size("comparisons:Q", legend=None),
        tooltip=[alt.Tooltip("confidence", format=".2f"), alt.Tooltip("accuracy", format=".2f"), "comparisons"],
    )


def curve_chart(report: Report) -> alt.LayerChart:
    """Return held-out accuracy against the number of training prompts, with its interval."""
    rows = pd.DataFrame([{"train_prompts": point.train_prompts} | asdict(point.accuracy) for point in report.curve])
    base = alt.Chart(rows, height=TALL).encode(x=alt.X("train_prompts:Q", title="training prompts"))
    band = base.mark_area(opacity=0.25).encode(y=alt.Y("low:Q", scale=ACCURACY, title="accuracy"), y2="high:Q")
    line = base.mark_line(point=True).encode(
        y="value:Q", tooltip=["train_prompts", alt.Tooltip("value", format=".3f"), "comparisons"]
    )
    return band + line

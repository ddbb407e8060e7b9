"""Several trained models side by side: accuracy and log-loss with intervals, learning curves, and paired tests."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from string import ascii_uppercase
from typing import Any

import altair as alt
import pandas as pd
import streamlit as st

from label_data.intervals import Estimate
from reward.report.comparison_rows import paired_folders
from reward.report.paired_test import Paired
from workbench.jobs.runs import Run
from workbench.views.report import COLOURS, TALL, run_label
from workbench.web.session import words
from workbench.wording import filled

MOST = len(COLOURS)
"""Runs compared at once: more colours can't be told apart."""
ROW = 36
"""Height of one run in a plot of intervals."""
SURE = 0.05


def show_comparison(made: Sequence[Run], current: Run) -> None:
    """Let who is here choose runs, the current one and the newest other at first, and hold them against one another."""
    says = words("compare")
    other = next((run for run in made if run.folder != current.folder), None)
    if other is None:
        st.info(says["one_run"])
        return
    names = [run.folder.name for run in made]
    by_name = dict(zip(names, made, strict=True))
    proposed = [current.folder.name, other.folder.name]
    picked = st.multiselect(
        says["choose"], names, proposed, lambda name: run_label(by_name[name]), max_selections=MOST, key="compared"
    )
    if len(picked) < 2:
        st.info(says["choose_two"])
        return
    chosen = {letter: by_name[name] for letter, name in zip(ascii_uppercase, picked, strict=False)}
    first, *others = chosen
    st.dataframe(table(chosen, says), hide_index=True, width="stretch")
    for letter in others:
        st.markdown(sentence(paired_folders(chosen[first].folder, chosen[letter].folder), (first, letter), says))
    judged = {letter: run for letter, run in chosen.items() if run.report.held_out is not None}
    if judged:
        accuracy, log_loss = st.columns(2)
        accuracy.markdown(says["accuracy_title"])
        accuracies = {letter: run.report.held_out.accuracy for letter, run in judged.items()}
        accuracy.altair_chart(interval_chart(accuracies, words("report")["accuracy"], 0.5, says), width="stretch")
        log_loss.markdown(says["log_loss_title"])
        losses = {letter: run.report.held_out.log_loss for letter, run in judged.items()}
        log_loss.altair_chart(interval_chart(losses, words("report")["log_loss_short"], 0.693, says), width="stretch")
    curves = {letter: run for letter, run in chosen.items() if run.report.curve}
    if curves:
        st.markdown(says["curves_title"])
        st.altair_chart(curves_chart(curves, says), width="stretch")
    st.caption(says["own_prompts"])


def sentence(found: Paired | None, names: tuple[str, str], says: dict[str, Any]) -> str:
    """Return in one sentence whether the first of the two is better, as far as what both were judged by can tell."""
    first, second = names
    if found is None:
        return filled(says["nothing_common"], first=first, second=second)
    over = found.accuracy
    numbers = {
        "points": f"{100 * abs(over.value):.1f}",
        "low": f"{100 * over.low:+.1f}",
        "high": f"{100 * over.high:+.1f}",
        "p": f"{found.p:.2g}",
        "comparisons": f"{over.count:,}",
        "prompts": f"{over.prompts:,}",
    }
    if found.p < SURE and (over.low > 0 or over.high < 0):
        better, worse = (first, second) if over.value > 0 else (second, first)
        return filled(says["better"], better=better, worse=worse, first=first, second=second, **numbers)
    return filled(says["alike"], first=first, second=second, **numbers)


def colour(letters: Iterable[str], title: str | None = None) -> alt.Color:
    """Return a colour for each run, the same in every plot that shows it; with a legend if it has a title."""
    every = alt.Scale(domain=list(ascii_uppercase[:MOST]), range=list(COLOURS))
    legend = alt.Legend(title=title, symbolOpacity=1, values=list(letters)) if title else None
    return alt.Color("run:N", scale=every, legend=legend)


def interval_chart(estimates: dict[str, Estimate], title: str, mark: float, says: dict[str, Any]) -> alt.LayerChart:
    """Return a point with its 95 % interval for each run; a dashed line at what knows nothing."""
    rows = pd.DataFrame([{"run": letter} | asdict(one) for letter, one in estimates.items()])
    base = alt.Chart(rows, height=60 + ROW * len(rows)).encode(
        y=alt.Y("run:N", title=None, sort=list(estimates)), color=colour(estimates)
    )
    x = alt.X("low:Q", scale=alt.Scale(zero=False), title=title)
    tooltip = [
        alt.Tooltip("run", title=says["run"]),
        alt.Tooltip("value", title=title, format=".3f"),
        alt.Tooltip("low", title=says["low"], format=".3f"),
        alt.Tooltip("high", title=says["high"], format=".3f"),
    ]
    nothing = alt.Chart(pd.DataFrame({"x": [mark]})).mark_rule(strokeDash=[4, 4], opacity=0.5).encode(x="x:Q")
    span = base.mark_rule(size=3, opacity=0.4).encode(x=x, x2="high:Q")
    return nothing + span + base.mark_point(filled=True, size=90, opacity=1).encode(x="value:Q", tooltip=tooltip)


def table(chosen: dict[str, Run], says: dict[str, Any]) -> list[dict[str, Any]]:
    """Return a row a run: what it is, and its numbers with their intervals and counts."""
    columns, methods, to = says["columns"], words("train")["methods"], words("report")["to"]
    rows = []
    for letter, run in chosen.items():
        held_out, counts = run.report.held_out, run.report.counts
        row = {
            columns["run"]: letter,
            columns["when"]: run.when,
            columns["method"]: methods[run.method],
            columns["train_prompts"]: counts.train_prompts,
            columns["held_out"]: counts.held_out_comparisons,
        }
        for name in ("accuracy", "log_loss"):
            one = getattr(held_out, name) if held_out else None
            text = f"{one.value:z.3f} ({filled(to, low=f'{one.low:z.3f}', high=f'{one.high:z.3f}')})" if one else ""
            row[columns[name]] = text
        rows.append(row)
    return rows


def curves_chart(chosen: dict[str, Run], says: dict[str, Any]) -> alt.LayerChart:
    """Return held-out accuracy against the number of training prompts, a line a run, with intervals."""
    report = words("report")
    rows = pd.DataFrame(
        [
            {"run": letter, "train_prompts": point.train_prompts} | asdict(point.accuracy)
            for letter, run in chosen.items()
            for point in run.report.curve
        ]
    )
    base = alt.Chart(rows, height=TALL).encode(
        x=alt.X("train_prompts:Q", title=report["train_prompts"]), color=colour(chosen, says["run"])
    )
    y = alt.Y("low:Q", scale=alt.Scale(zero=False), title=report["accuracy"])
    tooltip = [
        alt.Tooltip("run", title=says["run"]),
        alt.Tooltip("train_prompts", title=report["train_prompts"]),
        alt.Tooltip("value", title=report["accuracy"], format=".3f"),
    ]
    band = base.mark_area(opacity=0.12).encode(y=y, y2="high:Q")
    return band + base.mark_line(point=True).encode(y="value:Q", tooltip=tooltip)

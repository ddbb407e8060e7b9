"""Several runs side by side: accuracy and log loss with intervals, learning curves, and paired tests."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from string import ascii_uppercase

import altair as alt
import pandas as pd
import streamlit as st

from label_data.intervals import Estimate
from label_data.sentences import say
from reward.report.comparison_rows import paired_folders
from reward.report.words import interval_of, paired_verdict
from workbench.jobs.runs import Run
from workbench.views.report import COLOURS, TALL, axis_title, run_label
from workbench.web.session import language, words

MOST = len(COLOURS)
"""Most runs to compare at once: more colours can't be distinguished."""
ROW = 36
"""Height of one run in a plot of intervals."""
CHANCE_LOG_LOSS = 0.693


def show_comparison(runs: Sequence[Run], current: Run) -> None:
    """Let the reader choose runs, by default the current run and the newest other, and compare them."""
    texts = words("compare")
    other = next((run for run in runs if run.folder != current.folder), None)
    if other is None:
        st.info(texts["one_run"])
        return
    by_name = {run.folder.name: run for run in runs}
    default = [current.folder.name, other.folder.name]
    names = st.multiselect(
        texts["choose"],
        list(by_name),
        default,
        lambda name: run_label(by_name[name]),
        max_selections=MOST,
        key="compared",
    )
    if len(names) < 2:
        st.info(texts["choose_two"])
        return
    chosen = {letter: by_name[name] for letter, name in zip(ascii_uppercase, names, strict=False)}
    first, *others = chosen
    st.dataframe(table(chosen), hide_index=True, width="stretch")
    for letter in others:
        paired = paired_folders(chosen[first].folder, chosen[letter].folder)
        st.markdown(paired_verdict(paired, first, letter).render(language()))
    _show_plots(chosen)
    st.caption(texts["own_prompts"])


def _show_plots(chosen: dict[str, Run]) -> None:
    texts = words("compare")
    evaluated = {letter: run.report.held_out for letter, run in chosen.items() if run.report.held_out is not None}
    if evaluated:
        accuracy, log_loss = st.columns(2)
        accuracy.markdown(texts["accuracy_title"])
        title = axis_title(say("reward.report.accuracy"))
        accuracies = {letter: held_out.accuracy for letter, held_out in evaluated.items()}
        accuracy.altair_chart(interval_chart(accuracies, title, 0.5), width="stretch")
        log_loss.markdown(texts["log_loss_title"])
        title = axis_title(say("reward.report.log_loss_short"))
        losses = {letter: held_out.log_loss for letter, held_out in evaluated.items()}
        log_loss.altair_chart(interval_chart(losses, title, CHANCE_LOG_LOSS), width="stretch")
    curves = {letter: run for letter, run in chosen.items() if run.report.curve}
    if curves:
        st.markdown(texts["curves_title"])
        st.altair_chart(curves_chart(curves), width="stretch")


def colour(letters: Iterable[str], title: str | None = None) -> alt.Color:
    """Return the colour of each run, the same in every plot; with a legend if there is a title."""
    scale = alt.Scale(domain=list(ascii_uppercase[:MOST]), range=list(COLOURS))
    legend = alt.Legend(title=title, symbolOpacity=1, values=list(letters)) if title else None
    return alt.Color("run:N", scale=scale, legend=legend)


def interval_chart(estimates: dict[str, Estimate], title: str, chance: float) -> alt.LayerChart | alt.FacetChart:
    """Return a point with its 95% interval for each run, and a dashed line at the value of chance."""
    texts = words("compare")
    rows = pd.DataFrame([{"run": letter} | asdict(estimate) for letter, estimate in estimates.items()])
    base = alt.Chart(rows, height=60 + ROW * len(rows)).encode(
        y=alt.Y("run:N", title=None, sort=list(estimates)), color=colour(estimates)
    )
    x = alt.X("low:Q", scale=alt.Scale(zero=False), title=title)
    tooltip = [
        alt.Tooltip("run", title=texts["run"]),
        alt.Tooltip("value", title=title, format=".3f"),
        alt.Tooltip("low", title=texts["low"], format=".3f"),
        alt.Tooltip("high", title=texts["high"], format=".3f"),
    ]
    line = alt.Chart(pd.DataFrame({"x": [chance]})).mark_rule(strokeDash=[4, 4], opacity=0.5).encode(x="x:Q")
    interval = base.mark_rule(size=3, opacity=0.4).encode(x=x, x2="high:Q")
    points = base.mark_point(filled=True, size=90, opacity=1).encode(x="value:Q", tooltip=tooltip)
    return alt.layer(line, interval, points)


def table(chosen: dict[str, Run]) -> list[dict[str, str | int]]:
    """Return a row per run: how it was trained, and its measures with intervals and counts."""
    columns, methods = words("compare")["columns"], words("train")["methods"]
    rows = []
    for letter, run in chosen.items():
        held_out, counts = run.report.held_out, run.report.counts
        rows.append(
            {
                columns["run"]: letter,
                columns["when"]: run.when,
                columns["method"]: methods[run.method],
                columns["train_prompts"]: counts.train_prompts,
                columns["held_out"]: counts.held_out_comparisons,
                columns["accuracy"]: _with_interval(held_out.accuracy) if held_out else "",
                columns["log_loss"]: _with_interval(held_out.log_loss) if held_out else "",
            }
        )
    return rows


def _with_interval(estimate: Estimate) -> str:
    return f"{estimate.value:z.3f} ({interval_of(estimate).render(language())})"


def curves_chart(chosen: dict[str, Run]) -> alt.LayerChart | alt.FacetChart:
    """Return held-out accuracy against the number of training prompts, one line with intervals per run."""
    texts = words("compare")
    rows = pd.DataFrame(
        [
            {"run": letter, "train_prompts": point.train_prompts} | asdict(point.accuracy)
            for letter, run in chosen.items()
            for point in run.report.curve
        ]
    )
    prompts, accuracy = axis_title(say("reward.report.train_prompts")), axis_title(say("reward.report.accuracy"))
    base = alt.Chart(rows, height=TALL).encode(
        x=alt.X("train_prompts:Q", title=prompts), color=colour(chosen, texts["run"])
    )
    y = alt.Y("low:Q", scale=alt.Scale(zero=False), title=accuracy)
    tooltip = [
        alt.Tooltip("run", title=texts["run"]),
        alt.Tooltip("train_prompts", title=prompts),
        alt.Tooltip("value", title=accuracy, format=".3f"),
    ]
    interval = base.mark_area(opacity=0.12).encode(y=y, y2="high:Q")
    return alt.layer(interval, base.mark_line(point=True).encode(y="value:Q", tooltip=tooltip))

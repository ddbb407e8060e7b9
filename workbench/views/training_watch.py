"""Show fine-tuning from its log: the training loss and the validation results. Offer to resume or delete runs."""

import shutil
from typing import Any

import altair as alt
import pandas as pd
import streamlit as st

from label_data.store.jobs import FAILED, STOPPED, Job
from workbench.jobs.runs import Run, log_of, unfinished_run, unfinished_runs
from workbench.jobs.scheduling import request_job
from workbench.views.report import COLOURS, TALL
from workbench.web.session import store, words
from workbench.wording import filled

EVERY_3_SECONDS = 3.0


@st.fragment(run_every=EVERY_3_SECONDS)
def watch_curves(job: str) -> None:
    """Show the curves of this job's training so far. Refreshes itself."""
    folder = unfinished_run(job)
    if folder is not None:
        show_curves(log_of(folder))


def show_curves(log: list[dict[str, Any]]) -> None:
    """Plot the lines of a log; nothing before the first step."""
    says = words("tuning")
    if not log:
        return
    st.markdown(says["curves"])
    st.altair_chart(curves_chart(log, says), width="stretch")
    validated = [line for line in log if "validation_log_loss" in line]
    if validated:
        last = {name: f"{validated[-1][f'validation_{name}']:.3f}" for name in ("log_loss", "accuracy")}
        st.caption(filled(says["validated"], step=f"{validated[-1]['step']:,}", **last))


def curves_chart(log: list[dict[str, Any]], says: dict[str, Any]) -> alt.LayerChart:
    """Return the training loss of each step as a line, and the validation log loss as points."""
    titles = {"loss": says["loss"], "validation_log_loss": says["validation"]}
    titles = {name: title for name, title in titles.items() if any(name in line for line in log)}
    rows = [
        {"step": line["step"], "value": line[name], "curve": title}
        for line in log
        for name, title in titles.items()
        if name in line
    ]
    base = alt.Chart(pd.DataFrame(rows), height=TALL).encode(
        x=alt.X("step:Q", title=says["step"], axis=alt.Axis(tickMinStep=1)),
        y=alt.Y("value:Q", scale=alt.Scale(zero=False), title=says["nats"]),
        color=alt.Color(
            "curve:N",
            scale=alt.Scale(domain=list(titles.values()), range=list(COLOURS[: len(titles)])),
            legend=alt.Legend(title=None, orient="top", labelLimit=0),
        ),
        tooltip=[
            alt.Tooltip("curve", title=says["curve"]),
            alt.Tooltip("step", title=says["step"]),
            alt.Tooltip("value", title=says["nats"], format=".3f"),
        ],
    )
    validation = base.transform_filter(alt.datum.curve == says["validation"])
    return alt.LayerChart(layer=[base.mark_line(opacity=0.8), validation.mark_point(filled=True, size=80, opacity=1)])


def show_training_curves(run: Run) -> None:
    """Plot the training of a fine-tuned run; nothing for a linear head."""
    show_curves(log_of(run.folder))


def offer_to_resume(job: Job) -> None:
    """Offer to resume fine-tuning that was stopped or failed, if it left a checkpoint."""
    first_job = job.arguments.get("continues", job.id)
    if job.state not in (STOPPED, FAILED) or unfinished_run(first_job) is None:
        return
    says = words("tuning")
    st.caption(says["kept"])
    if st.button(says["resume"], icon=":material/play_arrow:"):
        request_job(store(), "train", job.project, method=job.arguments["method"], continues=first_job)
        st.rerun()


def offer_to_delete(project: str) -> None:
    """Offer to delete unfinished runs, each of which takes three times the size of its network."""
    folders = unfinished_runs(project)
    if not folders:
        return
    says = words("tuning")
    size = sum(file.stat().st_size for folder in folders for file in folder.rglob("*") if file.is_file())
    with st.popover(filled(says["unfinished"], count=f"{len(folders):,}"), type="tertiary"):
        st.write(filled(says["unfinished_size"], size=f"{size / 1e6:,.0f}"))
        if st.button(says["delete"], icon=":material/delete:"):
            for folder in folders:
                shutil.rmtree(folder)
            st.rerun()

"""Fine-tuning as it goes: its loss, and how it does on the validation prompts, from the log that it writes."""

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

EVERY_SECONDS = 3.0


@st.fragment(run_every=EVERY_SECONDS)
def watch_curves(job: str) -> None:
    """Show the curves of the training of this job as far as it is; this part renews itself."""
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
    looked = [line for line in log if "validation_log_loss" in line]
    if looked:
        last = {name: f"{looked[-1][f'validation_{name}']:.3f}" for name in ("log_loss", "accuracy")}
        st.caption(filled(says["looked"], step=f"{looked[-1]['step']:,}", **last))


def curves_chart(log: list[dict[str, Any]], says: dict[str, Any]) -> alt.LayerChart:
    """Return the loss of each step as a line, and the log-loss on the validation prompts as points."""
    titles = {"loss": says["loss"], "validation_log_loss": says["validation"]}
    titles = {name: title for name, title in titles.items() if any(name in line for line in log)}
    rows = [
        {"step": line["step"], "value": line[name], "what": title}
        for line in log
        for name, title in titles.items()
        if name in line
    ]
    base = alt.Chart(pd.DataFrame(rows), height=TALL).encode(
        x=alt.X("step:Q", title=says["step"], axis=alt.Axis(tickMinStep=1)),
        y=alt.Y("value:Q", scale=alt.Scale(zero=False), title=says["nats"]),
        color=alt.Color(
            "what:N",
            scale=alt.Scale(domain=list(titles.values()), range=list(COLOURS[: len(titles)])),
            legend=alt.Legend(title=None, orient="top", labelLimit=0),
        ),
        tooltip=[
            alt.Tooltip("what", title=says["curve"]),
            alt.Tooltip("step", title=says["step"]),
            alt.Tooltip("value", title=says["nats"], format=".3f"),
        ],
    )
    looked = base.transform_filter(alt.datum.what == says["validation"])
    return base.mark_line(opacity=0.8) + looked.mark_point(filled=True, size=80, opacity=1)


def show_training_curves(run: Run) -> None:
    """Plot how a run that was fine-tuned got where it is."""
    show_curves(log_of(run.folder))


def offer_to_go_on(job: Job) -> None:
    """Offer to go on with fine-tuning that was stopped or failed, where it left something to go on from."""
    of_job = job.arguments.get("continues", job.id)
    if job.state not in (STOPPED, FAILED) or unfinished_run(of_job) is None:
        return
    says = words("tuning")
    st.caption(says["kept"])
    if st.button(says["go_on"], icon=":material/play_arrow:"):
        request_job(store(), "train", job.project, method=job.arguments["method"], continues=of_job)
        st.rerun()


def offer_to_remove(project: str) -> None:
    """Offer to remove what runs left that did not finish; they take three times their network's size each."""
    left = unfinished_runs(project)
    if not left:
        return
    says = words("tuning")
    size = sum(file.stat().st_size for folder in left for file in folder.rglob("*") if file.is_file())
    with st.popover(filled(says["remove"], count=f"{len(left):,}"), type="tertiary"):
        st.write(filled(says["remove_all"], size=f"{size / 1e6:,.0f}"))
        if st.button(says["remove_now"], icon=":material/delete:"):
            for folder in left:
                shutil.rmtree(folder)
            st.rerun()

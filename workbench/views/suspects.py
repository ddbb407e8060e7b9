"""Rankings that are doubted, their prompts' whole history, and a button that asks somebody else, blind."""

from math import exp

import streamlit as st

from label_data.assignment.relabelling import relabelling_progress, request_relabelling
from label_data.database.engine import reading
from label_data.errors import InputError
from label_data.oversight.browsing import annotator_names, history
from label_data.quality.suspects import Suspect
from label_data.store.jobs import DONE
from label_data.store.stored_groups import groups_in
from workbench.jobs.scheduling import request_job
from workbench.rendering import visible
from workbench.views.job_panel import job_panel
from workbench.views.record import show_history
from workbench.web.session import show_problem, store, words
from workbench.wording import filled

LISTED = 100
"""Suspects in the table; all of them are asked about again."""
TITLE = 120
"""Characters of a prompt in the table."""


def show_doubts(project: str) -> None:
    """Look for doubted rankings when asked, list those found last, and offer to ask one more annotator for each."""
    says = words("doubts")
    st.subheader(says["title"])
    st.caption(says["intro"])
    asked, there = relabelling_progress(store(), project)
    if asked:
        st.info(filled(says["so_far"], asked=f"{asked:,}", there=f"{there:,}"))
    start = st.empty()
    job = job_panel("doubts", project)
    if start.button(says["look"], disabled=job is not None and not job.ended):
        request_job(store(), "doubts", project)
        st.rerun()
    if job is None or job.state != DONE:
        return
    found = [Suspect(**one) for one in job.result["suspects"]]
    accuracy = f"{job.result['accuracy']:.1%}"
    counts = {name: f"{job.result[name]:,}" for name in ("rankings", "comparisons")}
    st.write(filled(says["found"], suspects=f"{len(found):,}", accuracy=accuracy, **counts))
    if not found:
        return
    _offer_to_ask(found, project)
    shown = found[:LISTED]
    picked = st.dataframe(
        _rows(shown),
        hide_index=True,
        width="stretch",
        on_select="rerun",
        selection_mode="single-row",
        key=f"doubts-{job.id}",
    ).selection.rows
    if len(found) > LISTED:
        st.caption(filled(says["more"], count=f"{len(found) - LISTED:,}"))
    if picked:
        try:
            show_history(history(store(), project, shown[picked[0]].prompt_id))
        except InputError as error:
            show_problem(error)


def _offer_to_ask(found: list[Suspect], project: str) -> None:
    says = words("doubts")
    prompts = len({one.prompt_id for one in found})
    if st.button(filled(says["ask"], prompts=f"{prompts:,}"), type="primary", icon=":material/person_search:"):
        done = request_relabelling(store(), [one.submission for one in found], project)
        counts = {
            "prompts": done.requested,
            "asked_before": done.already_requested,
            "with_others": done.still_open,
            "gone": done.unavailable,
        }
        texts = {name: f"{count:,}" for name, count in counts.items()}
        st.toast(filled(says["asked"], **texts), duration="long")
        st.rerun()


def _rows(found: list[Suspect]) -> list[dict[str, str]]:
    """Return a row of the table for each."""
    columns, names = words("doubts")["columns"], annotator_names(store())
    ids = list(dict.fromkeys(one.prompt_id for one in found))
    with reading(store()) as connection:
        prompts = dict(zip(ids, (group.prompt for group in groups_in(connection, ids)), strict=True))
    return [
        {
            columns["prompt"]: visible(" ".join(prompts[one.prompt_id].messages[-1].content.split())[:TITLE]),
            columns["annotator"]: visible(names.get(one.annotator, one.annotator)),
            columns["contradicted"]: f"{one.contradicted} / {one.comparisons}",
            columns["probability"]: f"{exp(-one.disagreement):.0%}",
        }
        for one in found
    ]

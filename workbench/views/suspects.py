"""Suspect rankings: find them, show their prompts' history, and send them for blind relabelling."""

from math import exp

import streamlit as st

from label_data.assignment.relabelling import relabelling_progress, request_relabelling
from label_data.database.engine import reading
from label_data.errors import InputError
from label_data.oversight.browsing import annotator_names, history
from label_data.quality.suspects import Suspect, suspect_from
from label_data.store.jobs import DONE
from label_data.store.stored_groups import groups_in
from workbench.jobs.scheduling import request_job
from workbench.rendering import visible
from workbench.views.job_panel import job_panel
from workbench.views.record import show_history
from workbench.web.session import show_problem, store, words
from workbench.wording import filled

MOST_ROWS = 100
"""Suspect rankings in the table; all of them are sent for relabelling."""
EXCERPT = 120
"""Characters of a prompt in the table."""


def show_suspects(project: str) -> None:
    """Offer to find suspect rankings, list the latest result, and offer to send the rankings for relabelling."""
    says = words("suspects")
    st.subheader(says["title"])
    st.caption(says["intro"])
    requested, relabelled = relabelling_progress(store(), project)
    if requested:
        st.info(filled(says["so_far"], requested=f"{requested:,}", relabelled=f"{relabelled:,}"))
    find = st.empty()
    job = job_panel("doubts", project)
    if find.button(says["find"], disabled=job is not None and not job.ended):
        request_job(store(), "doubts", project)
        st.rerun()
    if job is None or job.state != DONE:
        return
    suspects = [suspect_from(row) for row in job.result["suspects"]]
    accuracy = f"{job.result['accuracy']:.1%}"
    counts = {name: f"{job.result[name]:,}" for name in ("rankings", "comparisons")}
    st.write(filled(says["found"], suspects=f"{len(suspects):,}", accuracy=accuracy, **counts))
    if not suspects:
        return
    _offer_relabelling(suspects, project)
    listed = suspects[:MOST_ROWS]
    selected_rows = st.dataframe(
        _rows(listed),
        hide_index=True,
        width="stretch",
        on_select="rerun",
        selection_mode="single-row",
        key=f"suspects-{job.id}",
    ).selection.rows
    if len(suspects) > MOST_ROWS:
        st.caption(filled(says["more"], count=f"{len(suspects) - MOST_ROWS:,}"))
    if selected_rows:
        try:
            show_history(history(store(), project, listed[selected_rows[0]].prompt_id))
        except InputError as error:
            show_problem(error)


def _offer_relabelling(suspects: list[Suspect], project: str) -> None:
    says = words("suspects")
    prompts = len({suspect.prompt_id for suspect in suspects})
    if st.button(filled(says["send"], prompts=f"{prompts:,}"), type="primary", icon=":material/person_search:"):
        request = request_relabelling(store(), [suspect.submission for suspect in suspects], project)
        names = ("requested", "already_requested", "still_open", "unavailable")
        counts = {name: f"{getattr(request, name):,}" for name in names}
        st.toast(filled(says["sent"], **counts), duration="long")
        st.rerun()


def _rows(suspects: list[Suspect]) -> list[dict[str, str]]:
    """Return a table row per suspect ranking."""
    columns, names = words("suspects")["columns"], annotator_names(store())
    ids = list(dict.fromkeys(suspect.prompt_id for suspect in suspects))
    with reading(store()) as connection:
        prompts = dict(zip(ids, (group.prompt for group in groups_in(connection, ids)), strict=True))
    rows = []
    for suspect in suspects:
        text = " ".join(prompts[suspect.prompt_id].messages[-1].content.split())
        rows.append(
            {
                columns["prompt"]: visible(text[:EXCERPT]),
                columns["annotator"]: visible(names.get(suspect.annotator, suspect.annotator)),
                columns["contradicted"]: f"{suspect.opposed} / {suspect.comparisons}",
                columns["probability"]: f"{exp(-suspect.log_loss):.0%}",
            }
        )
    return rows

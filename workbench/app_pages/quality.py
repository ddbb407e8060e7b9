"""Quality: how reliable the rankings are, which policy they prefer, and which rankings are suspect."""

import streamlit as st

from label_data.data_folder import default_store
from label_data.oversight.browsing import annotator_names, rankings_fingerprint
from label_data.quality.report import Quality
from label_data.quality.report import quality as quality_of
from label_data.store.stored_groups import groups
from workbench.jobs.runs import current_run, runs
from workbench.views.quality import show_quality
from workbench.views.suspects import show_suspects
from workbench.web.session import project, store, words
from workbench.wording import filled

says = words("quality")
Fingerprint = tuple[int, int, int, int]


@st.cache_data(max_entries=8, show_spinner=False)
def report(address: str, project_id: str, fingerprint: Fingerprint) -> Quality:
    """Return the report on the rankings that have this fingerprint. Cached: it takes minutes for a large store."""
    return quality_of(groups(store(), ranked_only=True, project=project_id))


st.title(words("pages")["quality"])
project_id = project().id
now = rankings_fingerprint(store(), project_id)
rankings_now = now[1]
st.caption(says["intro"])
shown = st.session_state.get("quality")  # project and fingerprint of the report on the page

if not rankings_now:
    st.info(says["no_ranking"])
    st.stop()
is_outdated = shown != (project_id, now)
if st.button(says["compute"], type="primary" if is_outdated else "secondary", disabled=not is_outdated):
    st.session_state["quality"] = (project_id, now)
    with st.spinner(filled(says["computing"], count=f"{rankings_now:,}")):
        report(str(default_store()), project_id, now)
    st.rerun()
if shown is not None and shown[0] == project_id:
    fingerprint = shown[1]
    if is_outdated:
        st.info(filled(says["out_of_date"], count=f"{rankings_now - fingerprint[1]:,}"))
    run = current_run(project_id, runs(project_id))
    accuracy = None if run is None or run.report.held_out is None else run.report.held_out.accuracy
    show_quality(report(str(default_store()), project_id, fingerprint), annotator_names(store()), accuracy)
show_suspects(project_id)

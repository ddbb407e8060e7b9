"""How much to believe the rankings, and which policy they prefer."""

import streamlit as st

from label_data.data_folder import default_store
from label_data.oversight.browsing import annotator_names, rankings_fingerprint
from label_data.quality.report import Quality
from label_data.quality.report import quality as quality_of
from label_data.store.stored_groups import groups
from workbench.jobs.runs import current_run, runs
from workbench.views.quality import show_quality
from workbench.views.suspects import show_doubts
from workbench.web.session import project, store, words
from workbench.wording import filled

says = words("quality")
Mark = tuple[int, int, int, int]


@st.cache_data(max_entries=8, show_spinner=False)
def report(address: str, of_project: str, mark: Mark) -> Quality:
    """Return the report on the project's rankings as they are at this mark; kept, for a large store takes minutes."""
    return quality_of(groups(store(), ranked_only=True, project=of_project))


st.title(words("pages")["quality"])
chosen = project().id
now = rankings_fingerprint(store(), chosen)
st.caption(says["intro"])
asked = st.session_state.get("quality")
if not now[1]:
    st.info(says["no_ranking"])
    st.stop()
is_old = asked is None or asked != (chosen, now)
if st.button(says["compute"], type="primary" if is_old else "secondary", disabled=not is_old):
    st.session_state["quality"] = asked = (chosen, now)
    with st.spinner(filled(says["computing"], count=f"{now[1]:,}")):
        report(str(default_store()), chosen, now)
    st.rerun()
if asked is not None and asked[0] == chosen:
    if is_old:
        st.info(filled(says["since"], count=f"{now[1] - asked[1][1]:,}"))
    used = current_run(chosen, runs(chosen))
    accuracy = None if used is None or used.report.held_out is None else used.report.held_out.accuracy
    show_quality(report(str(default_store()), chosen, asked[1]), annotator_names(store()), accuracy)
show_doubts(chosen)

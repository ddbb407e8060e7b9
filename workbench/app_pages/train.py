"""Train a reward model, and see how good it is."""

import streamlit as st

from label_data.progress import item_counts
from workbench.job_panel import job_panel
from workbench.jobs import ask
from workbench.languages import filled
from workbench.rendering import literal
from workbench.report_view import run_label, show_report
from workbench.runs import runs
from workbench.session import project, store, words

says = words("train")

st.title(words("pages")["train"])
chosen = project().id
ranked = item_counts(store(), chosen)["ranked"]
st.write(filled(says["intro"], count=f"{ranked:,}"))
start = st.empty()
job = job_panel("train", chosen)
under_way = job is not None and not job.ended
if start.button(says["train"], type="primary", disabled=under_way or not ranked):
    ask(store(), "train", chosen)
    st.rerun()

made = runs()
if not made:
    st.info(says["no_model"] if ranked else says["nothing_ranked"])
    if not ranked:
        st.page_link("app_pages/rank.py", label=says["rank_some"])
    st.stop()

run = st.selectbox(says["trained"], made, format_func=run_label)
show_report(run.report)
st.caption(filled(says["folder"], folder=literal(str(run.folder))))

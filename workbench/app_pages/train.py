"""Train a reward model, and see how good it is."""

import streamlit as st

from label_data.progress import item_counts
from workbench.job_panel import job_panel
from workbench.jobs import ask
from workbench.report_view import show_report
from workbench.runs import runs
from workbench.session import store

st.title("Reward model")
ranked = item_counts(store())["ranked"]
st.write(
    f"{ranked:,} prompts are ranked. Training fits a linear head on a frozen language model, on most of them; the "
    "report is made on the others."
)
start = st.empty()
job = job_panel("train")
under_way = job is not None and not job.ended
if start.button("Train", type="primary", disabled=under_way or not ranked):
    ask(store(), "train")
    st.rerun()

made = runs()
if not made:
    st.info("No model yet." if ranked else "Nothing is ranked yet.")
    if not ranked:
        st.page_link("app_pages/rank.py", label="Rank some prompts")
    st.stop()

run = st.selectbox("Trained models", made, format_func=lambda run: run.label)
show_report(run.report)
st.caption(f"The model is in {run.folder}; its README.md says how to load it.")

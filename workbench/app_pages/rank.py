"""Rank the completions of one prompt."""

import streamlit as st

from label_data.assignment import next_tasks, submit
from label_data.records import InputError
from label_data.store import item_counts, project_settings, rankings_today
from workbench.job_panel import job_panel
from workbench.jobs import keep_up
from workbench.ranker import Problem, answer_from, ranker
from workbench.session import annotator, forget_annotator, store
from workbench.starter import offer_starter_prompts

me = annotator()
settings, _ = project_settings(store())


def take_answer() -> None:
    """Store what the browser sent; what became of it goes back with the next run."""
    value = st.session_state.ranker.answer
    try:
        answer = answer_from(value)
        submit(store(), answer, me.id)
        st.session_state.saved, st.session_state.problem = answer.submission, None
    except InputError as error:
        st.session_state.problem = Problem(str(value.get("submission")), str(error))
    keep_up(store())


tasks = next_tasks(store(), me.id)
today = rankings_today(store(), me.id)
ranker(  # without tasks it shows nothing, but still sends an answer that could not be sent
    tasks,
    settings,
    saved=st.session_state.get("saved"),
    problem=st.session_state.get("problem"),
    today=today,
    on_answer=take_answer,
)
if not tasks:
    counts = item_counts(store())
    if not sum(counts.values()):
        offer_starter_prompts()
    elif counts["waiting"]:
        st.info(f"No prompt is ready yet; {counts['waiting']} wait for completions. The first takes about a minute.")
        job_panel("sample")
    else:
        st.success(f"You have ranked every prompt there is for you: {today} today. Thank you.")
        st.page_link("app_pages/prompts.py", label="Add more prompts")
        st.page_link("app_pages/train.py", label="Train a reward model")

with st.sidebar:
    st.caption(f"Ranking as {me.name}")
    st.button("Not you?", on_click=forget_annotator, type="tertiary")

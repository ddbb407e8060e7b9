"""Rank the completions of one prompt."""

import streamlit as st

from label_data.assignment import next_tasks, submit
from label_data.progress import item_counts, rankings_today
from label_data.projects import project_settings
from label_data.records import InputError
from label_data.work import policies_of
from workbench.job_panel import job_panel
from workbench.jobs import keep_up
from workbench.languages import filled
from workbench.ranker import Problem, Revealed, answer_from, ranker
from workbench.session import annotator, forget_annotator, language, offer_languages, store, words
from workbench.starter import offer_starter_prompts

offer_languages()
me = annotator()
settings, _ = project_settings(store())


def take_answer() -> None:
    """Store what the browser sent; what became of it goes back with the next run."""
    value = st.session_state.ranker.answer
    try:
        answer = answer_from(value)
        submit(store(), answer, me.id)
        st.session_state.saved, st.session_state.problem = answer.submission, None
        if settings.reveal_policies:
            names = policies_of(store(), answer.token, me.id)
            st.session_state.revealed = Revealed(answer.submission, names)
    except InputError as error:
        st.session_state.problem = Problem(str(value.get("submission")), str(error))
    keep_up(store())


tasks = next_tasks(store(), me.id)
today = rankings_today(store(), me.id)
ranker(  # without tasks it shows nothing, but still sends an answer that could not be sent
    tasks,
    settings,
    annotator=me.id,
    saved=st.session_state.get("saved"),
    problem=st.session_state.get("problem"),
    today=today,
    language=language(),
    revealed=st.session_state.get("revealed") if settings.reveal_policies else None,
    on_answer=take_answer,
)
if not tasks:
    says = words("rank")
    counts = item_counts(store())
    if not sum(counts.values()):
        offer_starter_prompts()
    elif counts["waiting"]:
        st.info(filled(says["not_ready"], count=counts["waiting"]))
        job_panel("sample")
    else:
        st.success(filled(says["all_done"], count=today))
        st.page_link("app_pages/prompts.py", label=says["add_prompts"])
        st.page_link("app_pages/train.py", label=says["train"])

with st.sidebar:
    st.caption(filled(words("frame")["ranking_as"], name=me.name))
    st.button(words("frame")["not_you"], on_click=forget_annotator, type="tertiary")

"""A page with only the ranking screen, on the store named in the query; the tests of the screen drive it."""

import streamlit as st

from label_data.assignment.answers import submit
from label_data.assignment.tasks import next_tasks
from label_data.database.engine import Store, open_store
from label_data.errors import InputError
from label_data.store.annotators import find_or_add_annotator
from label_data.store.projects import PROJECT, project_settings
from workbench.ranker.component import Problem, answer_from, ranker

st.set_page_config("Ranking", layout="wide")


@st.cache_resource
def opened(address: str) -> Store:
    """Return the store, opened once for all sessions."""
    return open_store(address)


store = opened(st.query_params["store"])
me = find_or_add_annotator(store, "Ann")
settings, _ = project_settings(store)


def take_answer() -> None:
    """Store the answer, or remember the reason for a refusal."""
    value = st.session_state.ranker.answer
    try:
        answer = answer_from(value)
        submit(store, answer, me.id)
        st.session_state.saved, st.session_state.problem = answer.submission, None
    except InputError as error:
        st.session_state.problem = Problem(str(value.get("submission")), str(error))


tasks = next_tasks(store, me.id)
ranker(
    tasks,
    settings,
    annotator=me.id,
    project=PROJECT,
    saved=st.session_state.get("saved"),
    problem=st.session_state.get("problem"),
    today=3,
    language=st.query_params.get("language", "en"),
    on_answer=take_answer,
)
if not tasks:
    st.success("Every prompt is ranked.")

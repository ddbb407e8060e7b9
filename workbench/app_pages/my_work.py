"""What I ranked: find it, open it, change it. The earlier ranking is kept."""

import streamlit as st

from label_data.assignment import submit
from label_data.progress import rankings_today
from label_data.projects import project_settings
from label_data.records import InputError
from label_data.work import reopened, work_of
from workbench.languages import filled
from workbench.ranker import Problem, answer_from, ranker
from workbench.session import annotator, language, offer_languages, store, words

PAGE = 20
PREVIEW = 160
"""Characters of a prompt that the list shows."""

offer_languages()
me = annotator()
settings, _ = project_settings(store())
says = words("my_work")


def take_answer() -> None:
    """Store the revision that the browser sent; what became of it goes back with the next run."""
    value = st.session_state.change.answer
    try:
        answer = answer_from(value)
        submit(store(), answer, me.id)
        st.session_state.saved, st.session_state.problem = answer.submission, None
    except InputError as error:
        st.session_state.problem = Problem(str(value.get("submission")), str(error))


def open_work(token: str | None) -> None:
    """Show this task instead of the list, or with None the list."""
    st.session_state.opened_work = token


st.title(says["title"])
opened = st.session_state.get("opened_work")
if opened:
    st.button(says["back"], on_click=open_work, args=(None,), icon=":material/arrow_back:")
    ranker(
        [reopened(store(), opened, me.id)],
        settings,
        annotator=me.id,
        saved=st.session_state.get("saved"),
        problem=st.session_state.get("problem"),
        today=rankings_today(store(), me.id),
        language=language(),
        on_answer=take_answer,
        key="change",
    )
    st.stop()

search = st.text_input(says["search"], st.session_state.get("work_search", ""), icon=":material/search:", key="search")
st.session_state.work_search = search
limit = st.session_state.setdefault("work_shown", PAGE)
found = work_of(store(), me.id, search, limit + 1)
for work in found[:limit]:
    messages = [message.content for message in work.task.prompt.messages if message.role == "user"]
    row = st.container(border=True, horizontal=True, vertical_alignment="center", key=f"row-{work.task.token}")
    row.text(" ".join(messages[-1].split())[:PREVIEW], width="stretch")
    kind = says["outcomes"][work.ranking.outcome]
    row.text(filled(says["changed"], what=kind) if work.ranking.revises else kind, width="content")
    row.button(says["open"], key=f"open-{work.task.token}", on_click=open_work, args=(work.task.token,))
if len(found) > limit and st.button(says["more"]):
    st.session_state.work_shown = limit + PAGE
    st.rerun()
if not found:
    st.info(filled(says["none_found"], text=search) if search else says["none"])

"""What I ranked: find it, open it, change it. The earlier ranking is kept."""

from functools import partial

import streamlit as st

from label_data.assignment.gold import mark_gold
from label_data.assignment.own_rankings import own_rankings, reopen, retract
from label_data.errors import InputError
from label_data.oversight.progress import rankings_today
from label_data.store.projects import project_settings
from workbench.ranker.component import ranker
from workbench.rendering import visible
from workbench.web.answers import take_answer
from workbench.web.session import ROWS_STEP, annotator, language, project, show_problem, sitting, store, words
from workbench.wording import filled

PREVIEW = 160  # characters of a prompt that the list shows

me = annotator()
chosen = project().id
settings, _ = project_settings(store(), chosen)
says = words("my_work")
here = sitting()


def open_work(token: str | None) -> None:
    """Show this task instead of the list, or with None the list."""
    here.opened = token


st.title(words("pages")["my_work"])
if here.opened:
    st.button(says["back"], on_click=open_work, args=(None,), icon=":material/arrow_back:")
    work = reopen(store(), here.opened, me.id)
    ranker(
        [work],
        settings,
        annotator=me.id,
        project=chosen,
        saved=here.saved,
        problem=here.problem,
        today=rankings_today(store(), me.id),
        language=language(),
        on_answer=partial(take_answer, "change", me, chosen),
        key="change",
    )
    withdraw, gold = st.columns(2)
    if withdraw.button(says["withdraw"], help=says["withdraw_help"], type="tertiary"):
        retract(store(), work.ranking.submission, me.id)
        open_work(None)
        st.rerun()
    if settings.gold_share and gold.button(says["gold"], help=says["gold_help"], type="tertiary"):
        try:
            mark_gold(store(), work.ranking.submission)
        except InputError as error:
            show_problem(error)
        else:
            st.toast(says["is_gold"])
    st.stop()

here.search = st.text_input(says["search"], here.search, icon=":material/search:", key="search")
st.html("<style>@media (width > 640px) { [class*=st-key-row-] { flex-wrap: nowrap } }</style>")  # Open beside long text
found = own_rankings(store(), me.id, here.search, here.rows + 1, chosen)
for work in found[: here.rows]:
    messages = [message.content for message in work.task.prompt.messages if message.role == "user"]
    row = st.container(border=True, horizontal=True, vertical_alignment="center", key=f"row-{work.task.token}")
    row.text(visible(" ".join(messages[-1].split())[:PREVIEW]), width="stretch")
    kind = says["outcomes"][work.ranking.outcome]
    row.text(filled(says["changed"], what=kind) if work.ranking.revises else kind, width="content")
    row.button(says["open"], key=f"open-{work.task.token}", on_click=open_work, args=(work.task.token,))
if len(found) > here.rows and st.button(says["more"]):
    here.rows += ROWS_STEP
    st.rerun()
if not found:
    st.info(says["none_found"] if here.search else says["none"])

"""My work: find, open and edit your own rankings. The earlier ranking is kept."""

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

EXCERPT = 160  # characters of a prompt in the list

me = annotator()
project_id = project().id
settings, _ = project_settings(store(), project_id)
says = words("my_work")
here = sitting()


def open_task(token: str | None) -> None:
    """Show this ranked task instead of the list; with None, show the list."""
    here.opened = token


st.title(words("pages")["my_work"])
if here.opened:
    st.button(says["back"], on_click=open_task, args=(None,), icon=":material/arrow_back:")
    own = reopen(store(), here.opened, me.id)
    ranker(
        [own],
        settings,
        annotator=me.id,
        project=project_id,
        saved=here.saved,
        problem=here.problem,
        today=rankings_today(store(), me.id),
        language=language(),
        on_answer=partial(take_answer, "change", me, project_id),
        key="change",
    )
    withdraw, gold = st.columns(2)
    if withdraw.button(says["withdraw"], help=says["withdraw_help"], type="tertiary"):
        retract(store(), own.ranking.submission, me.id)
        open_task(None)
        st.rerun()
    if settings.gold_share and gold.button(says["gold"], help=says["gold_help"], type="tertiary"):
        try:
            mark_gold(store(), own.ranking.submission)
        except InputError as error:
            show_problem(error)
        else:
            st.toast(says["is_gold"])
    st.stop()

here.search = st.text_input(says["search"], here.search, icon=":material/search:", key="search")
# Keep the Open button beside a long prompt.
st.html("<style>@media (width > 640px) { [class*=st-key-row-] { flex-wrap: nowrap } }</style>")
rankings = own_rankings(store(), me.id, here.search, here.rows + 1, project_id)
for own in rankings[: here.rows]:
    token = own.task.token
    prompts = [message.content for message in own.task.prompt.messages if message.role == "user"]
    row = st.container(border=True, horizontal=True, vertical_alignment="center", key=f"row-{token}")
    row.text(visible(" ".join(prompts[-1].split())[:EXCERPT]), width="stretch")
    outcome = says["outcomes"][own.ranking.outcome]
    row.text(filled(says["edited"], outcome=outcome) if own.ranking.revises else outcome, width="content")
    row.button(says["open"], key=f"open-{token}", on_click=open_task, args=(token,))
if len(rankings) > here.rows and st.button(says["more"]):
    here.rows += ROWS_STEP
    st.rerun()
if not rankings:
    st.info(says["none_found"] if here.search else says["none"])

"""What pages share: the store, the annotator, the project and the language. Only this file reads and writes cookies."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import streamlit as st

from label_data.assignment.leases import shorten_leases
from label_data.assignment.tasks import Task
from label_data.data_folder import default_store
from label_data.database.engine import Store, open_store
from label_data.dates import format_time
from label_data.errors import InputError
from label_data.oversight.browsing import Choices, choices
from label_data.sentences import LANGUAGES, Sentence
from label_data.store.annotators import Annotator, annotator_with_id, find_or_add_annotator
from label_data.store.projects import Project, projects
from workbench.ranker.component import Problem, Revealed
from workbench.rendering import literal
from workbench.wording import nearest_language, page_texts, rendered_message

COOKIE = "annotator"
LANGUAGE = "language"
PROJECT = "project"
"""Names of the cookies, and of the keys of `st.session_state` that override them until the browser has stored them."""
COOKIE_DAYS = 400
"""The longest time for which browsers keep a cookie."""

ROWS_STEP = 20
"""How many rankings My work lists at first, and adds with each press of its button."""


@dataclass(frozen=True, slots=True)
class Upcoming:
    """The next tasks, leased in the transaction that stored an answer."""

    submission: str
    """Submission of that answer."""
    project: str
    tasks: list[Task]


@dataclass(slots=True)
class Sitting:
    """What a browser tab remembers until it is closed or reloaded."""

    saved: str | None = None
    """Submission of the ranking that was stored last."""
    problem: Problem | None = None
    """Why the last ranking was refused."""
    revealed: Revealed | None = None
    """Policies of the ranking that was stored last."""
    upcoming: Upcoming | None = None
    """The tasks that were leased with the last answer."""
    opened: str | None = None
    """Token of the ranked task that My work shows instead of its list."""
    search: str = ""
    rows: int = ROWS_STEP


KEEP_COOKIE = """
export default function ({ data }) {
  document.cookie = `${data.name}=${data.value}; path=/; max-age=${data.seconds}; SameSite=Strict`
}
"""
SET_LANGUAGE = """
export default function ({ data }) {
  document.documentElement.lang = data.language
}
"""
_keep_cookie = st.components.v2.component("keep_cookie", js=KEEP_COOKIE)
_set_language = st.components.v2.component("set_language", js=SET_LANGUAGE)


@st.cache_resource(show_spinner=False)
def store() -> Store:
    """Return the process's only engine."""
    return open_store(default_store())


def sitting() -> Sitting:
    """Return what this tab remembers."""
    remembered: Sitting = st.session_state.setdefault("sitting", Sitting())
    return remembered


def sent(component: str) -> Any:  # a JSON value from the browser, checked by `answer_from`
    """Return what the ranking screen with this key sent for this run; None if nothing."""
    return getattr(st.session_state.get(component), "answer", None)


def upcoming(component: str, project: str) -> list[Task]:
    """Return the project's tasks that were leased with the answer of this run; an empty list in any other run.

    A later run has to lease tasks again: the leases may have expired, or the project may be another.
    """
    here = sitting()
    leased, here.upcoming = here.upcoming, None
    answer = sent(component)
    if leased is None or leased.project != project or not isinstance(answer, Mapping):
        return []
    return leased.tasks if answer.get("submission") == leased.submission else []


def known_annotator() -> Annotator | None:
    """Return the annotator, if this browser has entered a name before."""
    id = str(st.session_state.get(COOKIE, st.context.cookies.get(COOKIE, "")))
    return annotator_with_id(store(), id) if id else None


def annotator() -> Annotator:
    """Return the annotator; ask for a name, once per browser, if it is unknown."""
    cookie = st.context.cookies.get(COOKIE, "")  # as it was when the page was loaded
    me = known_annotator()
    if (me.id if me else "") != cookie:
        _remember(COOKIE, me.id if me else "")
    return me or _ask_for_name()


def forget_annotator() -> None:
    """Release the annotator's tasks and forget who this browser is; the next page that needs a name asks for it."""
    shorten_leases(store(), str(st.session_state.get(COOKIE, st.context.cookies.get(COOKIE, ""))))
    st.session_state[COOKIE] = ""


def project() -> Project:
    """Return the project that this browser works on; if there are several, offer them in the sidebar."""
    all_projects = projects(store())
    by_id = {each.id: each for each in all_projects}
    remembered = st.session_state.get(PROJECT) or st.context.cookies.get(PROJECT)
    current = by_id.get(str(remembered), all_projects[0])
    if len(all_projects) > 1:
        index = list(by_id).index(current.id)
        chosen = st.sidebar.selectbox(words("projects")["choose"], by_id, index, lambda id: by_id[id].name)
        if chosen != current.id:
            choose_project(chosen)
            st.rerun()
    if st.session_state.get(PROJECT) == current.id != st.context.cookies.get(PROJECT):
        _remember(PROJECT, current.id)
    return current


def choose_project(project: str) -> None:
    """Work on this project from now on. Closes the ranking that is open on My work, which is of another project."""
    st.session_state[PROJECT] = project
    sitting().opened = None


def _ask_for_name() -> Annotator:
    says = words("frame")
    st.subheader(says["ask_name"])
    with st.form("name", width=480):
        name = st.text_input(says["your_name"])
        st.caption(says["your_name_help"])
        submitted = st.form_submit_button(says["start"], type="primary")
    if submitted:
        try:
            me = find_or_add_annotator(store(), name)
        except InputError as error:
            show_problem(error)
        else:
            st.session_state[COOKIE] = me.id
            st.rerun()
    st.stop()


def language() -> str:
    """Return the language that was chosen, else the browser's."""
    chosen = st.session_state.get(LANGUAGE) or st.context.cookies.get(LANGUAGE)
    return str(chosen) if chosen in LANGUAGES else nearest_language(st.context.locale)


def words(section: str) -> dict[str, Any]:
    """Return one section of the pages' texts in the language of the page."""
    texts: dict[str, Any] = page_texts(language())[section]
    return texts


def localised(message: Sentence | InputError | str, replacements: Mapping[str, str] | None = None) -> str:
    """Return a message in the language of the page, as markdown that shows it literally.

    `replacements`: texts to replace in the message, such as the path of a temporary copy.
    """
    text = rendered_message(message, language())
    for old, new in (replacements or {}).items():
        text = text.replace(old, new)
    return literal(text)


@st.cache_data(ttl=60, show_spinner=False)
def filter_choices(address: str, project_id: str) -> Choices:
    """Return the values that filters offer for a project of the store at this address. Slow, so cached for a minute."""
    return choices(store(), project_id)


def when(microseconds: int | None) -> str:
    """Return a time as tables show it: in UTC, because the reader's time zone is unknown. Empty for None."""
    return format_time(microseconds) if microseconds else ""


def show_problem(error: Sentence | InputError | str, replacements: Mapping[str, str] | None = None) -> None:
    """Show a problem that the reader can fix; see `localised`."""
    st.error(localised(error, replacements))


def offer_languages() -> None:
    """Offer the languages in the sidebar; the browser remembers the choice."""
    codes = list(LANGUAGES)
    index = codes.index(language())
    chosen = st.sidebar.selectbox(words("frame")["language"], codes, index, lambda code: LANGUAGES[code])
    if chosen != language():
        st.session_state[LANGUAGE] = chosen
        st.rerun()
    with st.sidebar:  # screen readers choose the pronunciation, and browsers the fonts, by the page's lang attribute
        _set_language(data={"language": chosen}, key="set_language")
    if LANGUAGE in st.session_state and chosen != st.context.cookies.get(LANGUAGE):
        _remember(LANGUAGE, chosen)


def _remember(name: str, value: str) -> None:
    """Set a cookie; delete it if the value is empty."""
    seconds = COOKIE_DAYS * 86_400 if value else 0
    _keep_cookie(data={"name": name, "value": value, "seconds": seconds}, key=f"keep_{name}")

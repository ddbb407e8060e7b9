"""What pages share: the store, who is here, and the one place that knows session state and cookies."""

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
CHOSEN = "project"
COOKIE_DAYS = 400
"""As long as browsers keep one."""

MORE_WORK = 20
"""Rankings that My work lists at first, and adds when asked for more."""


@dataclass(frozen=True, slots=True)
class Upcoming:
    """The next tasks, leased in one transaction with an answer."""

    submission: str
    """Of that answer."""
    project: str
    tasks: list[Task]


@dataclass(slots=True)
class Sitting:
    """What one tab remembers until it is closed or reloaded."""

    saved: str | None = None
    """Submission of the ranking that was stored last."""
    problem: Problem | None = None
    """Why the last one was refused."""
    revealed: Revealed | None = None
    """Who wrote what in the last one."""
    upcoming: Upcoming | None = None
    """What was leased with the last one."""
    opened: str | None = None
    """Token of the ranked task that My work shows instead of its list."""
    search: str = ""
    listed: int = MORE_WORK


KEEP_COOKIE = """
export default function ({ data }) {
  document.cookie = `${data.name}=${data.value}; path=/; max-age=${data.seconds}; SameSite=Strict`
}
"""
TELL_LANGUAGE = """
export default function ({ data }) {
  document.documentElement.lang = data.language
}
"""
_keep_cookie = st.components.v2.component("keep_cookie", js=KEEP_COOKIE)
_tell_language = st.components.v2.component("tell_language", js=TELL_LANGUAGE)


@st.cache_resource(show_spinner=False)
def store() -> Store:
    """Return the process's one engine."""
    return open_store(default_store())


def sitting() -> Sitting:
    """Return what this tab remembers."""
    return st.session_state.setdefault("sitting", Sitting())


def sent(component: str) -> Any:
    """Return what the ranking screen of this key sent for this run; None if it sent nothing."""
    return getattr(st.session_state.get(component), "answer", None)


def upcoming(component: str, project: str) -> list[Task]:
    """Return the tasks of the project that were leased with the answer to this run; none in any other run.

    A later run asks anew: by then the leases may be over, or the project another.
    """
    here = sitting()
    kept, here.upcoming = here.upcoming, None
    answer = sent(component)
    if kept is None or kept.project != project or not isinstance(answer, Mapping):
        return []
    return kept.tasks if answer.get("submission") == kept.submission else []


def known_annotator() -> Annotator | None:
    """Return who is here, if this browser has given a name."""
    known = str(st.session_state.get(COOKIE, st.context.cookies.get(COOKIE, "")))
    return annotator_with_id(store(), known) if known else None


def annotator() -> Annotator:
    """Return who is here; ask for a name, once for each browser, if that is not known."""
    cookie = st.context.cookies.get(COOKIE, "")  # as it was when the page was loaded
    me = known_annotator()
    if (me.id if me else "") != cookie:
        _remember(COOKIE, me.id if me else "")
    return me or _ask_for_name()


def forget_annotator() -> None:
    """Let this browser be somebody else's: the next page that needs a name asks for one, and tasks are let go."""
    shorten_leases(store(), str(st.session_state.get(COOKIE, st.context.cookies.get(COOKIE, ""))))
    st.session_state[COOKIE] = ""


def project() -> Project:
    """Return the project that this browser works on; where there are several, offer them in the sidebar."""
    found = projects(store())
    by_id = {one.id: one for one in found}
    wanted = st.session_state.get(CHOSEN) or st.context.cookies.get(CHOSEN)
    current = by_id.get(str(wanted), found[0])
    if len(found) > 1:
        place = list(by_id).index(current.id)
        chosen = st.sidebar.selectbox(words("projects")["choose"], by_id, place, lambda id: by_id[id].name)
        if chosen != current.id:
            choose_project(chosen)
            st.rerun()
    if st.session_state.get(CHOSEN) == current.id != st.context.cookies.get(CHOSEN):
        _remember(CHOSEN, current.id)
    return current


def choose_project(project: str) -> None:
    """Let this browser work on the project from now on; what was open on My work is of another one."""
    st.session_state[CHOSEN] = project
    sitting().opened = None


def _ask_for_name() -> Annotator:
    says = words("frame")
    st.subheader(says["who"])
    with st.form("name", width=480):
        name = st.text_input(says["your_name"])
        st.caption(says["your_name_help"])
        asked = st.form_submit_button(says["start"], type="primary")
    if asked:
        try:
            me = find_or_add_annotator(store(), name)
        except InputError as error:
            show_problem(error)
        else:
            st.session_state[COOKIE] = me.id
            st.rerun()
    st.stop()


def language() -> str:
    """Return the language for who is here: the one chosen, else the one that the browser asks for."""
    chosen = st.session_state.get(LANGUAGE) or st.context.cookies.get(LANGUAGE)
    return chosen if chosen in LANGUAGES else nearest_language(st.context.locale)


def words(section: str) -> dict[str, Any]:
    """Return the sentences of one part of the interface, in the language of who is here."""
    return page_texts(language())[section]


def localised(message: Sentence | InputError | str) -> str:
    """Return a message in the language of the page, as markdown that shows it as it is."""
    return literal(rendered_message(message, language()))


@st.cache_data(ttl=60, show_spinner=False)
def offered(address: str, of_project: str) -> Choices:
    """Return what filters offer on a project of the store at this address; looked up once a minute, for it is slow."""
    return choices(store(), of_project)


def when(microseconds: int | None) -> str:
    """Return the moment as tables show it, in UTC: where its reader sits is not known."""
    return format_time(microseconds) if microseconds else ""


def show_problem(error: Sentence | InputError | str) -> None:
    """Show a problem that the reader can fix."""
    st.error(localised(error))


def offer_languages() -> None:
    """Let who is here choose a language in the sidebar; the browser remembers it."""
    codes = list(LANGUAGES)
    found = codes.index(language())
    chosen = st.sidebar.selectbox(words("frame")["language"], codes, found, LANGUAGES.get)
    if chosen != language():
        st.session_state[LANGUAGE] = chosen
        st.rerun()
    with st.sidebar:  # screen readers pronounce, and fonts draw, by the language that the page says it is in
        _tell_language(data={"language": chosen}, key="tell_language")
    if LANGUAGE in st.session_state and chosen != st.context.cookies.get(LANGUAGE):
        _remember(LANGUAGE, chosen)


def _remember(name: str, value: str) -> None:
    seconds = COOKIE_DAYS * 86_400 if value else 0
    _keep_cookie(data={"name": name, "value": value, "seconds": seconds}, key=f"keep_{name}")

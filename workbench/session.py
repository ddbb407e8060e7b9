"""What pages share: the store, who is here, and the one place that knows session state and cookies."""

import streamlit as st

from label_data.data_folder import default_store
from label_data.database import Store, open_store
from label_data.records import InputError
from label_data.store import Annotator, annotator_named, annotator_with_id

COOKIE = "annotator"
COOKIE_DAYS = 400
"""As long as browsers keep one."""

KEEP_COOKIE = """
export default function ({ data }) {
  document.cookie = `${data.name}=${data.value}; path=/; max-age=${data.seconds}; SameSite=Strict`
}
"""
_keep_cookie = st.components.v2.component("keep_cookie", js=KEEP_COOKIE)


@st.cache_resource(show_spinner=False)
def store() -> Store:
    """Return the process's one engine."""
    return open_store(default_store())


def annotator() -> Annotator:
    """Return who is here; ask for a name, once for each browser, if that is not known."""
    cookie = st.context.cookies.get(COOKIE, "")  # as it was when the page was loaded
    known = str(st.session_state.get(COOKIE, cookie))
    me = annotator_with_id(store(), known) if known else None
    if (me.id if me else "") != cookie:
        _keep_cookie(
            data={"name": COOKIE, "value": me.id if me else "", "seconds": COOKIE_DAYS * 86_400 if me else 0},
            key="keep_cookie",
        )
    return me or _ask_for_name()


def forget_annotator() -> None:
    """Let this browser be somebody else's: the next page that needs a name asks for one."""
    st.session_state[COOKIE] = ""


def _ask_for_name() -> Annotator:
    st.subheader("Who is ranking?")
    with st.form("name", width=480):
        name = st.text_input("Your name")
        st.caption("Rankings are kept under a random pseudonym. This browser remembers you.")
        asked = st.form_submit_button("Start ranking", type="primary")
    if asked:
        try:
            me = annotator_named(store(), name)
        except InputError as error:
            st.error(str(error))
        else:
            st.session_state[COOKIE] = me.id
            st.rerun()
    st.stop()

"""What a tab remembers from one run to the next."""

import pytest
from streamlit.testing.v1 import AppTest


def keep_and_take(sent, project):
    """A page's run: tasks were leased with the answer "s" for the project "default", and `sent` is this run's."""
    from types import SimpleNamespace

    import streamlit as st

    from workbench.web.session import Upcoming, sitting, upcoming

    sitting().upcoming = Upcoming("s", "default", ["task"])
    st.session_state.ranker = SimpleNamespace(answer=sent)
    st.session_state.found = [upcoming("ranker", project), upcoming("ranker", project)]


@pytest.mark.parametrize(
    ("sent", "project", "result"),
    [
        ({"submission": "s"}, "default", ["task"]),
        ({"submission": "another"}, "default", []),
        ({"submission": "s"}, "other", []),
        (None, "default", []),
    ],
)
def test_tasks_leased_with_an_answer_are_used_once_in_its_own_run_and_project(sent, project, result):
    page = AppTest.from_function(keep_and_take, kwargs={"sent": sent, "project": project}).run()
    assert not page.exception
    assert page.session_state.found == [result, []]

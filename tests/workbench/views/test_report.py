"""A report on the page, in every language."""

import json

import pytest
from streamlit.testing.v1 import AppTest

from label_data.sentences import LANGUAGES
from page_fixtures import REPORT
from reward.report.words import details, human_verdict, summary


def page(report):
    from reward.report.report import report_from
    from workbench.views.report import show_report

    show_report(report_from(report))


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_page_shows_the_report_of_the_terminal_in_the_reader_s_language(language):
    app = AppTest.from_function(page, kwargs={"report": json.loads(json.dumps(REPORT.as_dict()))})
    app.session_state["language"] = language
    app.run()
    assert not app.exception
    assert [box.value for box in (*app.success, *app.warning)] == [summary(REPORT).render(language)]
    texts = [text.value for text in app.markdown]
    human = [] if REPORT.human is None else [human_verdict(REPORT.human)]
    assert {block.render(language) for block in [*human, *details(REPORT)]} <= set(texts)

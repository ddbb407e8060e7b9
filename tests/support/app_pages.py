"""Open a page of the app in a test and find elements on it."""

import pytest
from streamlit.testing.v1 import AppTest

from tests.support.paths import ROOT
from workbench.web.session import store as shared_store

APP = ROOT / "workbench" / "app.py"


@pytest.fixture
def app(tmp_path, monkeypatch):
    """Return the app at its first page, with its own empty store."""
    monkeypatch.setenv("WORKBENCH_DATA", str(tmp_path))
    shared_store.clear()
    yield AppTest.from_file(str(APP), default_timeout=120)
    shared_store.clear()


def open_page(app, name):
    app.run()
    app.switch_page(f"app_pages/{name}.py").run()
    assert not app.exception
    return app


def button(app, label):
    return next(candidate for candidate in app.button if candidate.label == label)


def shown(element):
    """Return the text that Markdown shows for an element whose characters are all escaped."""
    return element.value.replace("\\", "")

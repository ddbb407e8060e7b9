"""Fixtures of the browser tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page

from browser import PATIENCE, app_server, chromium, free_port, ranking_server


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Return the address of a ranking page that all tests share; each names its own store in the address."""
    with ranking_server(free_port(), tmp_path_factory.mktemp("server") / "log") as address:
        yield address


@pytest.fixture
def app_address(tmp_path: Path) -> Iterator[str]:
    """Return the address of the whole app, without its worker, over the store at tmp_path / "workbench.db"."""
    with app_server(free_port(), tmp_path) as address:
        yield address


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Return the Chromium of a file's tests: while it runs, Playwright's event loop keeps others from starting."""
    with chromium() as started:
        yield started


@pytest.fixture(scope="module")
def window(browser: Browser) -> Iterator[BrowserContext]:
    """Return a window whose tabs share one cache, so that only the first loads Streamlit's files."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    context.set_default_timeout(PATIENCE * 1000)
    yield context
    context.close()


@pytest.fixture
def page(window: BrowserContext) -> Iterator[Page]:
    """Return a fresh tab; an error in a script on it fails the test."""
    tab = window.new_page()
    errors: list[str] = []
    tab.on("pageerror", lambda error: errors.append(str(error)))
    yield tab
    tab.close()
    assert not errors, errors

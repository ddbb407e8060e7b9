"""Fixtures of the browser tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page

from browser import PATIENCE, app_server, chromium, free_port, ranking_server


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Return the address of a ranking page that all tests share; each test names its store in the query."""
    with ranking_server(free_port(), tmp_path_factory.mktemp("server") / "log") as address:
        yield address


@pytest.fixture
def app_address(tmp_path: Path) -> Iterator[str]:
    """Return the address of the whole app, without its worker, on the store at tmp_path / "workbench.db"."""
    with app_server(free_port(), tmp_path) as address:
        yield address


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Return one Chromium per test file: Playwright's event loop allows no second one while it runs."""
    with chromium() as started:
        yield started


@pytest.fixture(scope="module")
def window(browser: Browser) -> Iterator[BrowserContext]:
    """Return a window whose tabs share a cache, so that only the first tab loads Streamlit's files."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    context.set_default_timeout(PATIENCE * 1000)
    yield context
    context.close()


@pytest.fixture
def page(window: BrowserContext) -> Iterator[Page]:
    """Return a new tab; a script error on it fails the test."""
    tab = window.new_page()
    errors: list[str] = []
    tab.on("pageerror", lambda error: errors.append(str(error)))
    yield tab
    tab.close()
    assert not errors, errors

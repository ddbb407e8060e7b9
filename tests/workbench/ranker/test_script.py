"""The ranking screen's script: loaded once from an address that is a hash of its content, and replaced by updates."""

import hashlib
import re
import shutil
import sys
from pathlib import Path

import pytest
from playwright.sync_api import expect
from starlette.applications import Starlette
from starlette.testclient import TestClient

from browser import ROOT, app_server, free_port, open_app, open_ranking, served
from label_data.database.engine import open_store
from label_data.store.stored_groups import groups
from ranking_steps import fill, press, submit_and_wait, tray
from store_fixtures import add_ready_prompt
from workbench.ranker.script import MOUNT, NAME
from workbench.web.server import ROUTES


def get(name):
    with TestClient(Starlette(routes=ROUTES)) as client:
        return client.get(f"/ranker/{name}")


def test_the_script_is_named_by_its_hash_and_cached_for_a_year():
    answer = get(NAME)
    assert answer.status_code == 200
    assert f"{hashlib.sha256(answer.content).hexdigest()[:20]}.js" == NAME
    assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert answer.headers["content-type"].startswith("text/javascript")


@pytest.mark.parametrize("name", ["0" * 20 + ".js", "screen.js", "ranker.css", "__init__.py"])
def test_any_other_name_is_not_found_and_not_cached(name):
    answer = get(name)
    assert (answer.status_code, answer.headers["cache-control"]) == (404, "no-store")


def test_streamlit_sends_only_a_few_lines_that_name_the_script():
    assert f"/ranker/{NAME}" in MOUNT
    assert len(MOUNT) < 1_000


def test_the_script_is_loaded_once_for_all_reloads(page, server, tmp_path):
    fill(tmp_path / "store.db")
    request = []
    page.on("response", lambda answer: request.append(answer) if "/ranker/" in answer.url else None)
    open_ranking(page, server, tmp_path / "store.db")
    page.reload()
    expect(page.locator(".ranker .prompt")).to_be_visible()
    assert [answer.url.rpartition("/")[2] for answer in request] == [NAME, NAME]
    assert request[1].request.sizes()["responseBodySize"] < 1_000  # from the browser's own store


def test_loading_the_script_is_retried(page, server, tmp_path):
    fill(tmp_path / "store.db")
    failed = []

    def fail_twice(route):
        if len(failed) == 2:
            return route.continue_()
        failed.append(route.request.url)
        return route.abort()

    page.route("**/ranker/*", fail_twice)
    open_ranking(page, server, tmp_path / "store.db")
    press(page, "2", "1")
    assert len(failed) == 2
    assert tray(page).startswith("2›1")


def test_an_open_page_gets_the_new_screen_with_its_next_ranking_after_an_update(page, tmp_path):
    """The new version's style is another. Nothing is lost, and each ranking is sent under one name."""
    store = open_store(tmp_path / "workbench.db")
    for question in ("First?", "Second?"):
        add_ready_prompt(store, question, "one", "two", "three")
    newer, port = tmp_path / "newer", free_port()
    shutil.copytree(ROOT / "workbench", newer / "workbench")
    with Path(newer, "workbench", "ranker", "browser", "ranker.css").open("a") as style:
        style.write("\n.ranker .prompt { outline: 3px solid rgb(1, 2, 3); }\n")
    sockets, sent = [], []
    page.on("websocket", lambda socket: sockets.append(socket))
    page.on("websocket", lambda socket: socket.on("framesent", lambda frame: sent.append(bytes(frame))))
    with app_server(port, tmp_path) as address:
        open_app(page, address)
        press(page, "3", "1")
    start = f"import sys; sys.path.insert(0, {str(newer)!r}); from workbench.web.server import serve; serve({port})"
    with served([sys.executable, "-c", start], {"WORKBENCH_DATA": str(tmp_path)}, port, tmp_path / "log"):
        if len(sockets) < 2:
            page.wait_for_event("websocket", timeout=60_000)
        expect(page.get_by_test_id("stConnectionStatus").or_(page.get_by_role("dialog"))).to_have_count(0)
        submit_and_wait(page)
        expect(page.locator(".prompt")).to_have_css("outline-color", "rgb(1, 2, 3)")
        expect(page.locator(".ranker")).to_have_count(1)
        expect(page.locator(".prompt .text")).to_have_text("Second?")
        press(page, "2", "1")
        assert tray(page) == "2›1›3"
        submit_and_wait(page)
    assert [len(group.rankings) for group in groups(store)] == [1, 1]
    store.dispose()
    assert len(set(re.findall(rb'"submission":"(\w+)"', b"".join(sent)))) == 2

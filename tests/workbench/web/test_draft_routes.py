"""POST /api/draft and /api/leave: drafts continue in other browsers, and only the workbench's pages may send them."""

import json
import sqlite3
import time
from contextlib import closing

import pytest
from playwright.sync_api import expect
from starlette.applications import Starlette
from starlette.testclient import TestClient

from browser import PATIENCE, app_server, free_port, open_app
from label_data.assignment.tasks import next_tasks
from label_data.data_folder import default_store
from label_data.database.engine import open_store
from label_data.store.annotators import find_or_add_annotator
from ranking_steps import press
from store_fixtures import add_ready_prompt
from workbench.web.draft_routes import LONGEST_BODY
from workbench.web.server import ROUTES
from workbench.web.session import store as shared_store

SAME = {"sec-fetch-site": "same-origin"}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("WORKBENCH_DATA", str(tmp_path))
    shared_store.clear()
    yield tmp_path
    shared_store.clear()


@pytest.fixture
def stored(folder):
    store = open_store(default_store())
    add_ready_prompt(store, "Which?", "one", "two", "three")
    yield store
    store.dispose()


@pytest.fixture
def ann(stored):
    return find_or_add_annotator(stored, "Ann").id


def send(ann, body, headers=SAME):
    with TestClient(Starlette(routes=ROUTES), cookies={"annotator": ann}) as client:
        return client.post("/api/draft", content=body, headers=headers)


def test_a_draft_is_saved_for_the_annotator_of_the_cookie(stored, ann):
    (task,) = next_tasks(stored, ann)
    draft = {"at": 5, "revises": None, "ranking": {"groups": [[1]]}}
    assert send(ann, json.dumps({"token": task.token, "draft": draft})).json() == {"kept": True}
    assert json.loads(next_tasks(stored, ann)[0].draft) == draft
    assert send("somebody else", json.dumps({"token": task.token, "draft": draft})).status_code == 422


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "same-site"}, 403),
        ({"sec-fetch-site": "none"}, 403),
        ({"origin": "http://elsewhere.example"}, 403),
        ({}, 403),
        ({"origin": "http://testserver"}, 400),
    ],
)
def test_other_sites_may_not_send_drafts(stored, ann, headers, status):
    assert send(ann, "{}", headers).status_code == status


@pytest.mark.parametrize("body", ["", "[]", "{", '{"token": 1, "draft": {}}', '{"token": "t"}', "[" * 100_000, b"\xff"])
def test_an_invalid_draft_is_refused(stored, ann, body):
    answer = send(ann, body)
    assert (answer.status_code, "The body is not" in answer.json()["error"]) == (400, True)


def test_an_oversized_body_is_not_read_to_its_end(stored, ann):
    assert send(ann, b"x" * (LONGEST_BODY + 1)).status_code == 413


def test_leaving_shortens_leases_and_only_the_workbenchs_pages_may_report_it(stored, ann):
    next_tasks(stored, ann)
    with TestClient(Starlette(routes=ROUTES), cookies={"annotator": ann}) as client:
        assert client.post("/api/leave", headers={"sec-fetch-site": "cross-site"}).status_code == 403
        assert client.post("/api/leave", headers=SAME).json() == {"tasks": 1}
        assert client.post("/api/leave", headers=SAME).json() == {"tasks": 0}
        assert client.get("/api/leave", headers=SAME).status_code == 405


def seconds_left(file):
    """Return how long the one lease of the store still is."""
    with closing(sqlite3.connect(file)) as connection:
        (until,) = connection.execute("SELECT expires_us FROM tasks").fetchone()
    return until / 1e6 - time.time()


def test_leaving_a_page_shortens_the_lease_and_a_reload_renews_it(page, app_address, tmp_path):
    file = tmp_path / "workbench.db"
    store = open_store(file)
    add_ready_prompt(store, "Which?", "one", "two", "three")
    open_app(page, app_address)
    shown = page.locator(".card .text").all_inner_texts()
    assert seconds_left(file) > 1_000
    page.goto("about:blank")
    until = time.monotonic() + PATIENCE
    while seconds_left(file) > 60:
        assert time.monotonic() < until, "The page let go of nothing."
        page.wait_for_timeout(50)
    open_app(page, app_address)
    expect(page.locator(".card")).to_have_count(3)
    assert page.locator(".card .text").all_inner_texts() == shown
    assert seconds_left(file) > 1_000
    store.dispose()


def test_a_draft_continues_in_another_browser_after_the_server_was_killed(browser, stored, folder):
    """The second browser has nothing stored: what it shows came from the server, which was killed in between."""
    port = free_port()
    here, elsewhere = browser.new_context(), browser.new_context()
    with app_server(port, folder) as address:
        page = here.new_page()
        open_app(page, address)
        with page.expect_response("**/api/draft", timeout=PATIENCE * 1000) as answer:
            press(page, "3", "1", "w")
            page.keyboard.type("half done")
        assert answer.value.json() == {"kept": True}
        shown = page.locator(".card .text").all_inner_texts()
    with app_server(port, folder) as address:
        other = elsewhere.new_page()
        open_app(other, address)
        expect(other.locator(".chip")).to_have_count(3)
        assert other.locator(".tray").inner_text().replace("\n", "") == "3›1›2"
        expect(other.locator(".reason textarea")).to_have_value("half done")
        assert other.locator(".card .text").all_inner_texts() == shown
        with other.expect_response("**/api/draft", timeout=PATIENCE * 1000):
            press(other, "ArrowRight", "x")
        page.reload()  # here the draft in the browser is the older one: the newer comes from the server
        expect(page.locator(".card .flagged:visible")).to_have_count(1)
        press(page, "Enter")
        expect(page.locator(".saving")).to_have_text("Saved")
    here.close()
    elsewhere.close()


def test_typing_sends_one_draft_when_it_pauses_and_no_message_to_the_script(page, app_address, tmp_path):
    store = open_store(tmp_path / "workbench.db")
    add_ready_prompt(store, "Which?", "one", "two", "three")
    store.dispose()
    sent, drafts = [], []
    page.on("websocket", lambda socket: socket.on("framesent", lambda frame: sent.append(frame)))
    page.on("request", lambda request: drafts.append(request.url) if "/api/draft" in request.url else None)
    open_app(page, app_address)
    before = len(sent)
    press(page, "2", "w")
    with page.expect_response("**/api/draft", timeout=PATIENCE * 1000):
        page.keyboard.type("forty letters, typed without a pause ....")
    assert len(sent) == before
    assert len(drafts) <= 2

"""Hostile text on every page, in a real Chromium: no script runs, nothing calls out, and all text can be read.

Two layers are tested separately: how the pages render the text, and the policy under which they are served.
"""

import json
import re
import threading
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import expect

from browser import PATIENCE, app_server, chromium, free_port
from hostile_texts import HOSTILE, PAYLOADS
from label_data.database.engine import open_store
from label_data.settings import PolicySettings, ProjectSettings
from label_data.store.annotators import find_or_add_annotator
from label_data.store.projects import add_project
from page_fixtures import REPORT, conversation, fill_pages
from ranking_steps import press
from tests.support.wording import wording
from workbench.rendering import visible
from workbench.web.session import ROWS_STEP

HOST = "beacon.example"
"""A name that only the test's browser resolves, to this machine."""
SHORT = ("<img src=x onerror=window.hacked=1>", ":red[x]:smile:$x^2$", "a\u202eb\u200bc", "![](//beacon.example/flag)")
"""For fields of at most 40 characters."""
CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029]")


class Beacon:
    """A local server, the paths requested from it, and its addresses by number and by name."""

    def __init__(self):
        self.requested = []
        requested = self.requested

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                requested.append(self.path)
                self.send_response(204)
                self.send_header("Access-Control-Allow-Origin", "*")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.addresses = [f"http://{name}:{self.server.server_port}" for name in ("127.0.0.1", HOST)]

    def filled(self, payload, place):
        """Return the payload with one of the addresses, in turns."""
        return payload.replace("BEACON", self.addresses[place % 2])


@pytest.fixture(scope="module")
def beacon():
    listening = Beacon()
    with listening.server:
        thread = threading.Thread(target=listening.server.serve_forever)
        thread.start()
        yield listening
        listening.server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def hostile_browser():
    with chromium(f"--host-resolver-rules=MAP {HOST} 127.0.0.1") as started:
        yield started


@pytest.fixture(scope="module")
def texts(beacon):
    return [beacon.filled(payload, place) for place, payload in enumerate(HOSTILE)]


@pytest.fixture(scope="module")
def hostile_app(texts, tmp_path_factory):
    """Serve a data folder in which every text is hostile; return the address and the annotator's id."""
    data = tmp_path_factory.mktemp("hostile")
    everything = "\n\n".join(texts)
    settings = ProjectSettings(
        name="![](//beacon.example/project) :smile: $x$ <b>",
        guidelines=everything,
        completions_per_prompt=9,
        policies=tuple(PolicySettings(f"{place} {name}") for place, name in enumerate(SHORT)),
        flags=SHORT,
        criteria=SHORT,
        gold_share=0.1,
        ask_strength=True,
        ask_ratings=True,
        mark_spans=True,
        reveal_policies=True,
    )
    report = replace(REPORT, base_model=everything, base_revision=everything)
    fill_pages(data, [*texts, everything], settings, report, name=f"{SHORT[1]} {SHORT[3]} {texts[0]}"[:200])
    store = open_store(data / "workbench.db")
    add_project(store, f"{SHORT[0]} {SHORT[1]} {SHORT[3]}")
    me = find_or_add_annotator(store, f"{SHORT[1]} {SHORT[3]} {texts[0]}"[:200]).id
    store.dispose()
    with app_server(free_port(), data) as address:
        yield address, me


@contextmanager
def watched(browser, address, me, **options):
    """Yield a new page and a list of incidents on it: dialogs, windows, requests, policy reports, errors."""
    context = browser.new_context(viewport={"width": 1280, "height": 900}, locale="en-US", **options)
    context.set_default_timeout(PATIENCE * 1000)
    context.add_cookies([{"name": "annotator", "value": me, "url": address}])
    page, incidents = context.new_page(), []
    own = urlsplit(address).netloc

    def look_at(request):
        if urlsplit(request.url).scheme not in ("data", "blob") and urlsplit(request.url).netloc != own:
            incidents.append(f"request {request.url}")

    def listen_to(message):
        if "Content Security Policy" in message.text:
            incidents.append(f"report {message.text}")

    def refuse(dialog):
        incidents.append(f"dialog {dialog.message}")
        dialog.dismiss()

    page.on("request", look_at)
    page.on("console", listen_to)
    page.on("dialog", refuse)
    page.on("pageerror", lambda error: incidents.append(f"error {error}"))
    context.on("page", lambda other: incidents.append(f"window {other.url}"))
    yield page, incidents
    context.close()


ACTING = """(hosts) => {
  const found = [], roots = [document]
  for (const root of roots)
    for (const element of root.querySelectorAll('*')) {
      if (element.shadowRoot) roots.push(element.shadowRoot)
      for (const { name, value } of element.attributes) {
        const isLink = element.localName === 'a' && name === 'href'
        const isRead = ['value', 'title', 'aria-label', 'id'].includes(name) || name.startsWith('data-')
        const leads = !isLink && !isRead && hosts.some((host) => value.includes(host))
        const acts = name.startsWith('on') || (isLink && !/^(https?:|mailto:|#|\\/|[a-z_]*$)/.test(value))
        if (leads || acts) found.push(`${element.localName} ${name}=${value.slice(0, 80)}`)
      }
      if (/^(base|iframe|object|embed|portal)$/.test(element.localName)) found.push(element.outerHTML.slice(0, 80))
    }
  if (window.hacked !== undefined) found.push('window.hacked')
  return found
}"""
"""Find elements that act or load: with a beacon's address outside a link, an event handler, or a script as a link."""


def folded(text):
    """Return the text as a page may show it: without extra white space and invisible characters."""
    return " ".join(CONTROL.sub(" ", visible(text).replace("\u2060", "")).split())


def unread(page, texts, selector):
    """Return the texts that the elements do not show."""
    shown = folded(" ".join(page.locator(selector).all_text_contents()))
    return [text for text in texts if folded(text) not in shown]


def hostile_file(texts):
    """Return an upload of one row with hostile name, texts, annotator and policies."""
    row = {
        "prompt": "\n\n".join(texts),
        "chosen": texts[0],
        "rejected": texts[1],
        "annotator": texts[2][:100],
        "category": texts[3][:100],
        "policy_chosen": texts[4][:100],
        "policy_rejected": SHORT[1],
    }
    return {"name": f"{SHORT[1]} {SHORT[0]}.jsonl", "mimeType": "text/html", "buffer": json.dumps(row).encode()}


def test_nothing_runs_and_nothing_calls_out_on_any_page_and_all_that_was_written_is_read(
    hostile_browser, hostile_app, beacon, texts
):
    address, me = hostile_app
    everything = "\n\n".join(texts)
    seen, acting, incidents_in = {}, {}, {}

    def look(page, incidents, state, texts, selector):
        acting[state] = page.evaluate(ACTING, [f":{beacon.server.server_port}", HOST])
        seen[state] = unread(page, texts, selector)
        incidents_in[state] = list(incidents)
        incidents.clear()

    with watched(hostile_browser, address, me) as (page, incidents):
        page.goto(address)
        expect(page.locator(".ranker .card")).to_have_count(3)
        look(page, incidents, "rank, name", [f"{SHORT[1]} {SHORT[3]}"], "[data-testid=stSidebar]")
        press(page, "h", "f")
        look(page, incidents, "rank, formatted", SHORT, ".ranker")
        press(page, "Escape", "p")
        look(page, incidents, "rank, plain", texts, ".ranker .prompt, .ranker .card")
        press(page, "d", "1", "2", "3", "Enter")
        expect(page.locator(".revealed")).to_be_visible()
        look(page, incidents, "rank, policies told", [f"0 {SHORT[0]}"], ".revealed")

        page.goto(f"{address}/my_work")
        rows = page.locator("[class*=st-key-row-]")
        ranked = len(texts) + 1  # and the one of all, just now
        for listed in range(ROWS_STEP, ranked, ROWS_STEP):
            expect(rows).to_have_count(listed)
            page.get_by_role("button", name=wording("my_work.more")).click()
        expect(rows).to_have_count(ranked)
        starts = [" ".join(text.split())[:100] for text in texts]
        look(page, incidents, "my work", starts, "[class*=st-key-row-]")
        page.get_by_role("textbox", name=wording("my_work.search")).fill(texts[1])
        page.keyboard.press("Enter")
        expect(rows).to_have_count(2)  # this one, and the one of all
        rows.first.get_by_role("button", name=wording("my_work.open")).click()
        expect(page.locator(".ranker .card")).to_have_count(3)
        press(page, "e")
        look(page, incidents, "my work, opened", [], ".ranker")

        for name in ("prompts", "train"):
            page.goto(f"{address}/{name}")
            expect(page.get_by_role("alert").first).to_be_visible()
            look(page, incidents, f"{name}, message", [texts[0]], "[role=alert]")
        page.get_by_text(wording("report.every_number")).click()
        origin = page.get_by_test_id("stExpander")
        expect(origin.get_by_text("on layer")).to_be_visible()
        look(page, incidents, "train, report", texts, "[data-testid=stExpander]")
        page.get_by_role("tab", name=wording("train.disagreements")).click()
        expect(page.get_by_role("button", name=wording("disagreements.open"))).to_be_visible()
        look(page, incidents, "train, disagreements", texts[:2], "[data-testid=stCode]")

        page.goto(f"{address}/score")
        expect(page.get_by_test_id("stCode").first).to_be_visible()
        look(page, incidents, "score", texts, "[data-testid=stCode]")
        page.get_by_role("tab", name=wording("score.best_of_n")).click()
        page.get_by_role("combobox", name=wording("score.policy")).click()
        expect(page.get_by_role("option").first).to_be_visible()
        look(page, incidents, "score, policies", [f"0 {SHORT[0]}"], "[role=option]")

        page.goto(f"{address}/overview")
        failed = page.get_by_test_id("stExpander").filter(has_text="failed").first
        failed.click()
        expect(failed.get_by_role("button", name=wording("overview.retry"))).to_be_visible()
        look(page, incidents, "overview", [texts[0]], "[data-testid=stExpander]")

        page.goto(f"{address}/project")
        field = page.get_by_role("textbox", name=wording("project.guidelines"))
        expect(field).to_be_visible()
        page.get_by_role("combobox", name="Project").click()
        expect(page.get_by_role("option").nth(1)).to_be_visible()
        look(page, incidents, "project", [f"{SHORT[0]} {SHORT[1]}"], "[role=option]")
        page.keyboard.press("Escape")
        assert folded(field.input_value()) == folded(everything)
        page.get_by_role("textbox", name="Name", exact=True).fill("<img src=x onerror=window.hacked=1>" * 3)
        page.get_by_role("button", name=wording("project.save")).click()
        expect(page.get_by_role("alert")).to_be_visible()
        look(page, incidents, "project, refused", [], "[data-testid=stMain]")

        page.goto(f"{address}/data?prompt={conversation(everything).id}")
        expect(page.get_by_text(wording("data.record"))).to_be_visible()
        expect(page.get_by_test_id("stExpander").filter(has_text="Settings of")).to_be_visible()
        expect(page.get_by_test_id("stCode").first).to_be_visible()
        look(page, incidents, "data, history", texts, "[data-testid=stCode]")
        page.get_by_role("tab", name=wording("data.import")).click()
        page.locator("input[type=file]").set_input_files(hostile_file(texts))
        expect(page.get_by_text("Nothing is stored yet")).to_be_visible()
        look(page, incidents, "data, preview", texts, "[data-testid=stCode]")
        page.get_by_role("tab", name=wording("data.export")).click()
        page.get_by_role("button", name=wording("export.prepare")).click()
        with page.expect_download() as download, page.expect_response(lambda reply: "/media/" in reply.url) as response:
            page.get_by_role("button", name="Download groups.jsonl").click()
        look(page, incidents, "data", [], "[data-testid=stMain]")
        assert download.value.suggested_filename == "groups.jsonl"
        headers = response.value.headers
        assert "html" not in headers["content-type"]
        assert headers["content-disposition"].startswith("attachment")
        assert headers["x-content-type-options"] == "nosniff"

    assert {state: problems for state, problems in acting.items() if problems} == {}
    assert {state: problems for state, problems in incidents_in.items() if problems} == {}
    assert {state: problems for state, problems in seen.items() if problems} == {}
    assert beacon.requested == []


INSERT = """(texts) => {
  for (const text of texts) {
    const place = document.body.appendChild(document.createElement('div'))
    place.innerHTML = text
  }
}"""
NAVIGATES = {"a refresh"}
"""Payloads that no policy stops, because they navigate away: only the rendering of the pages disarms them."""
LEADS_ELSEWHERE = {"a base", "a policy of its own"}
"""Payloads that would redirect the test's own requests."""


def test_the_policy_alone_holds_what_would_get_into_a_page_and_without_it_the_beacon_hears(
    hostile_browser, hostile_app, beacon
):
    """Insert the same HTML into the Project page. Without the policy it runs and calls out, so the test can fail."""
    address, me = hostile_app
    left_out = NAVIGATES | LEADS_ELSEWHERE
    raw = [beacon.filled(text, place) for place, (name, text) in enumerate(PAYLOADS.items()) if name not in left_out]
    for has_policy in (True, False):
        with watched(hostile_browser, address, me, bypass_csp=not has_policy) as (page, incidents):
            page.goto(f"{address}/project")
            expect(page.get_by_role("textbox", name=wording("project.guidelines"))).to_be_visible()
            if has_policy:
                page.evaluate(INSERT, raw)
                page.wait_for_function("() => document.readyState === 'complete'")
                expect(page.locator("img").first).to_be_attached()
                page.evaluate("() => new Promise((done) => requestAnimationFrame(() => setTimeout(done, 300)))")
                assert not page.evaluate("typeof hacked === 'number'")
                assert beacon.requested == []
                assert any("report" in incident for incident in incidents)
            else:
                with page.expect_response("**/handler*"), page.expect_response("**/html.png*"):
                    page.evaluate(INSERT, raw)
                page.wait_for_function("() => window.hacked === 1")
                with page.expect_response(lambda reply: HOST in reply.url):
                    page.evaluate("address => fetch(address)", f"{beacon.addresses[1]}/the-test-itself")
                heard = {path.partition("?")[0] for path in beacon.requested}
                assert {"/the-test-itself", "/handler", "/image.png", "/html.png"} - heard == {"/image.png"}
                assert len(heard) > 10
    beacon.requested.clear()

"""No serious violation of the accessibility rules that axe-core checks: on every page, and in each state of ranking."""

from dataclasses import replace
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from browser import PATIENCE, app_server, free_port, open_app
from label_data.database.engine import open_store
from label_data.store.annotators import find_or_add_annotator
from page_fixtures import EVERYDAY, EVERYTHING_ASKED, fill_pages
from ranking_steps import press

pytest_plugins = ["browser_fixtures"]
CHECK = """async (context) => {
  await Promise.all(document.getAnimations().map((animation) => animation.finished.catch(() => {})))
  const { violations } = await axe.run(context, { resultTypes: ['violations'] })
  return violations
    .filter(({ impact }) => impact === 'serious' || impact === 'critical')
    .map(({ id, nodes }) => [id, nodes.map(({ html, target }) => `${target.flat().join(' ')}: ${html.slice(0, 120)}`)])
}"""
MAIN = {"exclude": [["[data-testid=stSidebar]"], ["header"]]}
"""All but the frame, which is the same in every state of a page."""


def violations(page, context=None):
    """Return what axe finds serious, each with the elements it is about; by default on the whole page."""
    if not page.evaluate("'axe' in window"):
        page.evaluate(Axe().axe_script)
    return page.evaluate(CHECK, context or {"include": [["html"]]})


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """Serve an empty data folder, and one in which every page has something to show; return their addresses."""
    filled, empty = tmp_path_factory.mktemp("filled"), tmp_path_factory.mktemp("empty")
    fill_pages(filled, EVERYDAY, EVERYTHING_ASKED)
    with app_server(free_port(), filled) as first, app_server(free_port(), empty) as second:
        yield {"filled": (first, filled), "empty": (second, empty)}


def ann(folder):
    """Return the id of the annotator Ann in the store of this data folder."""
    store = open_store(Path(folder, "workbench.db"))
    found = find_or_add_annotator(store, "Ann").id
    store.dispose()
    return found


def opened(browser, address, me, scheme):
    context = browser.new_context(color_scheme=scheme, viewport={"width": 1280, "height": 900}, locale="en-US")
    context.set_default_timeout(PATIENCE * 1000)
    context.add_cookies([{"name": "annotator", "value": me, "url": address}] if me else [])
    return context.new_page()


SHOWN = {
    "filled": {
        "Prompts": "Newest first",
        "My work": "Open",
        "Reward models": "training prompts",
        "Score": "Rewards are log-odds",
        "Data": "newest first",
        "Versions": "There is no version yet",
        "Quality": "Compute report",
        "Overview": "Prompts with annotators",
        "Project": "Policies",
    },
    "empty": {
        "Prompts": "Add the starter prompts",
        "Rank": "Add the starter prompts",
        "My work": "You have ranked nothing yet",
        "Reward models": "Rank prompts",
        "Score": "Train a reward model",
        "Data": "There is no prompt in this project yet",
        "Versions": "There is no version yet",
        "Quality": "There is no ranking yet",
        "Overview": "Nothing was asked of the workers yet",
    },
}
"""Link of a page -> words that are there once it is whole."""


@pytest.mark.parametrize(("state", "scheme"), [("filled", "light"), ("filled", "dark"), ("empty", "light")])
def test_no_page_has_a_serious_violation(browser, served, state, scheme):
    address, folder = served[state]
    page = opened(browser, address, ann(folder), scheme)
    page.goto(f"{address}/project")
    found = {}
    for link, words in SHOWN[state].items():
        page.get_by_role("link", name=link, exact=True).click()
        expect(page.get_by_test_id("stMain").get_by_text(words).first).to_be_visible()
        expect(page.locator("[data-stale=true]")).to_have_count(0)
        found[link] = violations(page)
        for tab in page.get_by_role("tab", selected=False).all():
            tab.click()
            found[f"{link}, other tab"] = violations(page, MAIN)
        if link == "My work" and state == "filled":
            page.get_by_test_id("stMain").get_by_role("button", name="Open").first.click()
            expect(page.locator(".ranker .changing")).to_be_visible()
            found[f"{link}, opened"] = violations(page, MAIN)
        if link == "Quality" and state == "filled":
            page.get_by_role("button", name="Compute report").click()
            expect(page.get_by_text("Tables")).to_be_visible()
            found[f"{link}, report"] = violations(page, MAIN)
        if link == "Reward models" and state == "filled":
            page.get_by_role("tab", name="Report").click()
            page.get_by_text("Every number").click()
            expect(page.get_by_text("Head on layer")).to_be_visible()
            found[f"{link}, every number"] = violations(page, MAIN)
    page.context.close()
    assert {place: some for place, some in found.items() if some} == {}


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_question_who_is_here_has_no_serious_violation(browser, served, scheme):
    address, _ = served["filled"]
    page = opened(browser, address, None, scheme)
    page.goto(address)
    page.get_by_role("button", name="Start ranking").click()
    expect(page.get_by_role("alert")).to_be_visible()
    found = violations(page)
    page.context.close()
    assert found == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_ranking_has_no_serious_violation_in_any_of_its_states(browser, app_address, tmp_path, scheme):
    fill_pages(tmp_path, EVERYDAY, replace(EVERYTHING_ASKED, annotators_per_prompt=2), name="Bo")
    page = opened(browser, app_address, None, scheme)
    open_app(page, app_address)
    found = {"untouched": violations(page)}
    states = {
        "placed": ("1", "g", "2", "t"),
        "flags": ("f",),
        "flagged": ("h", "v", "6"),
        "marking": ("m", "Shift+ArrowRight"),
        "marked": ("u",),
        "skip": ("s",),
        "set aside": ("Escape", "b"),
        "writing": ("b", "e", "Escape"),
        "compared": ("d",),
        "alone": ("d", "z"),
        "plain": ("z", "p", "l"),
        "guidelines": ("p", "l", "h"),
        "keys": ("?",),
    }
    for state, keys in states.items():
        press(page, *keys)
        found[state] = violations(page, MAIN)
    press(page, "Escape", "Enter")
    expect(page.locator(".revealed")).to_be_visible()
    found["revealed"] = violations(page, MAIN)
    press(page, "Backspace")
    found["changing"] = violations(page, MAIN)
    page.context.close()
    assert {state: some for state, some in found.items() if some} == {}

"""Accessibility: axe-core finds no serious violation on any page or in any state of the ranking screen."""

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
from tests.support.wording import wording

CHECK = """async (context) => {
  await Promise.all(document.getAnimations().map((animation) => animation.finished.catch(() => {})))
  const { violations } = await axe.run(context, { resultTypes: ['violations'] })
  return violations
    .filter(({ impact }) => impact === 'serious' || impact === 'critical')
    .map(({ id, nodes }) => [id, nodes.map(({ html, target }) => `${target.flat().join(' ')}: ${html.slice(0, 120)}`)])
}"""
MAIN = {"exclude": [["[data-testid=stSidebar]"], ["header"]]}
"""Everything but the frame, which is the same in every state of a page."""


def violations(page, context=None):
    """Return serious violations with the elements concerned, by default of the whole page."""
    if not page.evaluate("'axe' in window"):
        page.evaluate(Axe().axe_script)
    return page.evaluate(CHECK, context or {"include": [["html"]]})


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """Serve an empty data folder and one with content for every page; return {state: (address, folder)}."""
    filled, empty = tmp_path_factory.mktemp("filled"), tmp_path_factory.mktemp("empty")
    fill_pages(filled, EVERYDAY, EVERYTHING_ASKED)
    with app_server(free_port(), filled) as first, app_server(free_port(), empty) as second:
        yield {"filled": (first, filled), "empty": (second, empty)}


def ann(folder):
    """Return the id of the annotator Ann in the store of this data folder."""
    store = open_store(Path(folder, "workbench.db"))
    annotator = find_or_add_annotator(store, "Ann").id
    store.dispose()
    return annotator


def opened(browser, address, me, scheme):
    context = browser.new_context(color_scheme=scheme, viewport={"width": 1280, "height": 900}, locale="en-US")
    context.set_default_timeout(PATIENCE * 1000)
    context.add_cookies([{"name": "annotator", "value": me, "url": address}] if me else [])
    return context.new_page()


SHOWN = {
    "filled": {
        "prompts": "prompts.newest",
        "my_work": "my_work.open",
        "train": "train.runs",
        "score": "score.comparable",
        "data": "data.pick",
        "versions": "versions.none",
        "quality": "quality.compute",
        "overview": "overview.tasks",
        "project": "project.guidelines",
    },
    "empty": {
        "prompts": "rank.add_starter",
        "rank": "rank.add_starter",
        "my_work": "my_work.none",
        "train": "train.nothing_ranked",
        "score": "score.no_model",
        "data": "data.empty",
        "versions": "versions.none",
        "quality": "quality.no_ranking",
        "overview": "overview.no_jobs",
    },
}
"""Page -> key of the words that are there once the page is whole."""


@pytest.mark.parametrize(("state", "scheme"), [("filled", "light"), ("filled", "dark"), ("empty", "light")])
def test_no_page_has_a_serious_violation(browser, served, state, scheme):
    address, folder = served[state]
    page = opened(browser, address, ann(folder), scheme)
    page.goto(f"{address}/project")
    violations_found = {}
    for name, key in SHOWN[state].items():
        page.get_by_role("link", name=wording(f"pages.{name}"), exact=True).click()
        expect(page.get_by_test_id("stMain").get_by_text(wording(key)).first).to_be_visible()
        expect(page.locator("[data-stale=true]")).to_have_count(0)
        violations_found[name] = violations(page)
        for tab in page.get_by_role("tab", selected=False).all():
            tab.click()
            violations_found[f"{name}, other tab"] = violations(page, MAIN)
        if name == "my_work" and state == "filled":
            page.get_by_test_id("stMain").get_by_role("button", name=wording("my_work.open")).first.click()
            expect(page.locator(".ranker .changing")).to_be_visible()
            violations_found[f"{name}, opened"] = violations(page, MAIN)
        if name == "quality" and state == "filled":
            page.get_by_role("button", name=wording("quality.compute")).click()
            expect(page.get_by_text(wording("quality.tables"))).to_be_visible()
            violations_found[f"{name}, report"] = violations(page, MAIN)
        if name == "train" and state == "filled":
            page.get_by_role("tab", name=wording("train.report")).click()
            page.get_by_text(wording("report.every_number")).click()
            expect(page.get_by_text("on layer")).to_be_visible()
            violations_found[f"{name}, every number"] = violations(page, MAIN)
    page.context.close()
    assert {place: rules for place, rules in violations_found.items() if rules} == {}


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_question_who_is_here_has_no_serious_violation(browser, served, scheme):
    address, _ = served["filled"]
    page = opened(browser, address, None, scheme)
    page.goto(address)
    page.get_by_role("button", name=wording("frame.start")).click()
    expect(page.get_by_role("alert")).to_be_visible()
    violations_found = violations(page)
    page.context.close()
    assert violations_found == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_ranking_has_no_serious_violation_in_any_of_its_states(browser, app_address, tmp_path, scheme):
    fill_pages(tmp_path, EVERYDAY, replace(EVERYTHING_ASKED, annotators_per_prompt=2), name="Bo")
    page = opened(browser, app_address, None, scheme)
    open_app(page, app_address)
    violations_found = {"untouched": violations(page)}
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
        violations_found[state] = violations(page, MAIN)
    press(page, "Escape", "Enter")
    expect(page.locator(".revealed")).to_be_visible()
    violations_found["revealed"] = violations(page, MAIN)
    press(page, "Backspace")
    violations_found["changing"] = violations(page, MAIN)
    page.context.close()
    assert {state: rules for state, rules in violations_found.items() if rules} == {}

"""No serious violation of the accessibility rules that axe-core checks, in the main states of the screen."""

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from browser import PATIENCE, open_app
from label_data.database import open_store
from label_data.projects import save_settings
from label_data.records import Completion, Message, Prompt
from label_data.samples import save_samples
from label_data.settings import ProjectSettings
from label_data.store import add_prompts
from ranking_steps import press

pytest_plugins = ["browser_fixtures"]
SERIOUS = {"serious", "critical"}
TEXTS = [
    "# Heading\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n```python\nprint('sky', 1)  # because\n```\n\n[link](https://example.org)",
    "Some **text** with $x^2$ maths and `code`.\n\n> quoted\n\n"
    + "\n\n".join(f"Line {number}" for number in range(80)),
    "天空是蓝色的。\n\n1. one\n2. two",
]


@pytest.fixture
def stored(tmp_path):
    store = open_store(tmp_path / "workbench.db")
    save_settings(store, ProjectSettings(ask_strength=True, ask_ratings=True, mark_spans=True, reveal_policies=True))
    for question in ("First?", "Second?"):
        prompt = Prompt(
            (
                Message("system", "Be brief."),
                Message("user", "Hello"),
                Message("assistant", "Hi!"),
                Message("user", question),
            )
        )
        add_prompts(store, [prompt])
        save_samples(store, prompt, [Completion(prompt.id, text, "tiny") for text in TEXTS])
    yield store
    store.dispose()


def violations(page):
    """Return what axe finds serious, each with the elements it is about."""
    page.evaluate("() => Promise.all(document.getAnimations().map((animation) => animation.finished.catch(() => {})))")
    found = Axe().run(page, options={"resultTypes": ["violations"]}).response["violations"]
    return [(one["id"], [node["html"][:120] for node in one["nodes"]]) for one in found if one["impact"] in SERIOUS]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_rank_page_has_no_serious_violation_in_any_of_its_states(browser, app, stored, scheme):
    context = browser.new_context(color_scheme=scheme, viewport={"width": 1280, "height": 900})
    context.set_default_timeout(PATIENCE * 1000)
    page = context.new_page()
    open_app(page, app)
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
        found[state] = violations(page)
    press(page, "Escape", "Enter")
    expect(page.locator(".revealed")).to_be_visible()
    found["revealed"] = violations(page)
    press(page, "Backspace")
    found["changing"] = violations(page)
    page.get_by_role("link", name="My work").click()
    expect(page.get_by_test_id("stMain").get_by_role("button", name="Open")).to_be_visible()
    found["my work"] = violations(page)
    context.close()
    assert {state: some for state, some in found.items() if some} == {}

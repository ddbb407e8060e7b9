"""Ideal answers, written from scratch or edited from a completion: demonstrations in the store."""

import pytest
from playwright.sync_api import expect

from browser import open_ranking
from label_data.store.stored_groups import groups
from ranking_steps import fill, press, store_at, submit_and_wait


@pytest.fixture
def path(tmp_path):
    return tmp_path / "store.db"


def demonstrations(path):
    """Return (text, text of the completion it was edited from) of each that is stored."""
    with store_at(path) as store:
        (group,) = groups(store)
    text = {completion.id: completion.text for completion in group.completions} | {None: None}
    return [(demonstration.text, text[demonstration.edited_from]) for demonstration in group.demonstrations]


def test_an_ideal_answer_is_written_from_scratch(page, server, path):
    fill(path, count=2)
    open_ranking(page, server, path)
    press(page, "e")
    page.keyboard.type("Light of short waves, 1 and 2, is scattered most.")  # digits here place nothing
    press(page, "Escape", "1")
    page.reload()
    expect(page.locator(".writing textarea")).to_have_value("Light of short waves, 1 and 2, is scattered most.")
    submit_and_wait(page)
    assert demonstrations(path) == [("Light of short waves, 1 and 2, is scattered most.", None)]


def test_an_edited_completion_is_stored_with_its_original(page, server, path):
    fill(path, texts=["Scattering.", "**Sea** mirrors."])
    open_ranking(page, server, path)
    place = page.locator(".card .text").all_inner_texts().index("Sea mirrors.")
    press(page, *["ArrowRight"] * (place + 1), "e")
    expect(page.locator(".writing textarea")).to_have_value("**Sea** mirrors.")
    expect(page.locator(".edited")).to_have_text(f"Your edit of completion {place + 1}")
    press(page, "Control+End")
    page.keyboard.type(" No.")
    press(page, "Escape", "b")
    submit_and_wait(page)
    assert demonstrations(path) == [("**Sea** mirrors. No.", "**Sea** mirrors.")]


def test_an_unchanged_completion_is_no_demonstration(page, server, path):
    fill(path, count=2)
    open_ranking(page, server, path)
    press(page, "ArrowRight", "e", "Enter", "Escape", "1", "2")
    submit_and_wait(page)
    assert demonstrations(path) == []


def test_an_answer_can_be_cleared_and_closed(page, server, path):
    fill(path, count=2)
    open_ranking(page, server, path)
    page.get_by_role("button", name="Write an answer").click()
    page.keyboard.type("Hm.")
    page.get_by_role("button", name="Start over").click()
    expect(page.locator(".writing textarea")).to_have_value("")
    in_focus_at_once = "button => { button.click(); return button.getRootNode().activeElement.className; }"
    assert page.get_by_role("button", name="Start over").evaluate(in_focus_at_once) == "ranker"
    expect(page.locator(".writing")).to_be_hidden()
    press(page, "1", "2")
    submit_and_wait(page)
    assert demonstrations(path) == []

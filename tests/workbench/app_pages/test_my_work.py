"""Editing rankings in a real Chromium: the last ranking with Backspace, any earlier ranking in My work."""

import re

import pytest
from playwright.sync_api import expect

from browser import open_app
from label_data.assignment.answers import Answer, submit
from label_data.assignment.tasks import next_tasks
from label_data.database.engine import open_store
from label_data.oversight.check import problems
from label_data.oversight.progress import store_counts
from label_data.settings import ProjectSettings
from label_data.store.annotators import find_or_add_annotator
from label_data.store.projects import save_settings
from label_data.store.stored_groups import groups
from ranking_steps import press, tray
from store_fixtures import add_ready_prompt


@pytest.fixture
def stored(tmp_path):
    """The app's own store, with two prompts of three completions."""
    store = open_store(tmp_path / "workbench.db")
    save_settings(store, ProjectSettings(ask_strength=True))
    for question in ("First?", "Second?"):
        add_ready_prompt(store, question, "one", "two", "three")
    yield store
    store.dispose()


def chains(store):
    """Return for each prompt its rankings, each as places of what was shown, the earlier ones first."""
    result = []
    for group in groups(store, revised=True):
        rankings = []
        for ranking in group.rankings:
            place = {completion: number for number, completion in enumerate(ranking.shown, start=1)}
            rankings.append([[place[id] for id in tied] for tied in ranking.order])
        result.append(rankings)
    return result


def test_backspace_opens_the_last_ranking_and_submitting_stores_a_revision(page, app_address, stored):
    open_app(page, app_address)
    press(page, "2", "1", "g", "w")
    page.keyboard.type("since")
    press(page, "Escape", "Enter")
    expect(page.locator(".prompt .text")).to_have_text("Second?")
    press(page, "3", "Backspace")  # before or after the first is stored, all the same
    expect(page.locator(".prompt .text")).to_have_text("First?")
    expect(page.locator(".changing")).to_be_visible()
    assert tray(page) == "2slightly ›1›3"
    expect(page.locator(".reason textarea")).to_have_value("since")
    press(page, "1", "3", "Enter")  # take 1 back, place 3 next; the last place fills itself
    expect(page.locator(".prompt .text")).to_have_text("Second?")
    assert tray(page).rstrip("›") == "3"  # what was under way there stayed
    expect(page.locator(".saving")).to_have_text("Saved")
    assert chains(stored) == [[[[2], [1], [3]], [[2], [3], [1]]], []]
    first, second = next(groups(stored, revised=True)).rankings
    assert second.revises == first.submission
    assert list(problems(stored)) == []
    press(page, "1", "Enter", "Backspace")
    expect(page.locator(".prompt .text")).to_have_text("Second?")
    page.get_by_role("button", name="Cancel edit").click()
    expect(page.get_by_text("You’re all caught up")).to_be_visible()
    page.get_by_role("button", name="Edit last ranking").click()  # there is no prompt left, but the last can change
    press(page, "b", "Enter")
    expect(page.locator(".saving")).to_have_text("Saved")
    assert store_counts(stored).rankings == 4
    assert list(problems(stored)) == []


def test_my_work_lists_own_rankings_and_an_edit_there_is_a_revision(page, app_address, stored):
    ann = find_or_add_annotator(stored, "Ann").id
    for submission in ("s-1", "s-2"):
        task = next_tasks(stored, ann)[0]
        answer = Answer(task.token, submission, "ranked", [[2], [0, 1]], [3], {2: ["untrue"]}, "so it is", 4.5)
        submit(stored, answer, ann)
    add_ready_prompt(stored, "Third?")
    open_app(page, app_address)
    page.get_by_role("link", name="My work").click()
    prompts = page.locator("[class*='st-key-row-']")
    expect(prompts).to_have_text([re.compile("Second"), re.compile("First")])
    page.get_by_role("textbox", name="Search prompts").fill("FIRST")
    page.keyboard.press("Enter")
    expect(prompts).to_have_text([re.compile("First")])
    page.get_by_test_id("stMain").get_by_role("button", name="Open").click()
    expect(page.locator(".ranker .prompt .text")).to_have_text("First?")
    assert tray(page) == "3much ›1=2"
    expect(page.locator(".card").nth(2).locator(".flagged")).to_have_text("untrue")
    expect(page.locator(".reason textarea")).to_have_value("so it is")
    press(page, "3", "3", "Enter")
    expect(page.locator(".saving")).to_have_text("Saved")
    expect(page.locator(".ranker .prompt .text")).to_have_text("First?")
    assert tray(page) == "1=2›3"
    press(page, "x", "Enter")  # and again, on top of that
    expect(page.locator(".saving")).to_have_text("Saved")
    assert chains(stored)[0] == [[[3], [1, 2]], [[1, 2], [3]], [[1, 2], [3]]]
    assert list(problems(stored)) == []
    page.get_by_role("button", name="Back to the list").click()
    expect(prompts).to_have_text([re.compile("First")])  # the search is as it was
    expect(page.get_by_role("textbox", name="Search prompts")).to_have_value("FIRST")
    page.get_by_role("textbox", name="Search prompts").fill("")
    page.keyboard.press("Enter")
    expect(prompts).to_have_text([re.compile("First"), re.compile("Second")])  # the change made it the newest
    expect(page.get_by_text("ranked, edited")).to_be_visible()


def test_a_second_tab_is_told_that_its_ranking_of_a_ranked_prompt_is_not_stored(page, window, app_address, stored):
    open_app(page, app_address)
    other = window.new_page()
    open_app(other, app_address)
    press(page, "1", "2", "Enter")
    expect(page.locator(".saving")).to_have_text("Saved")
    press(other, "b", "Enter")
    expect(other.get_by_text("You already ranked this prompt in another tab")).to_be_visible()
    other.close()
    assert store_counts(stored).rankings == 1


def test_of_two_tabs_that_edit_the_same_ranking_the_second_is_refused(page, window, app_address, stored):
    open_app(page, app_address)
    press(page, "1", "2", "Enter")
    expect(page.locator(".saving")).to_have_text("Saved")
    other = window.new_page()
    other.goto(f"{app_address}/my_work")
    other.get_by_test_id("stMain").get_by_role("button", name="Open").click()
    expect(other.locator(".ranker .changing")).to_be_visible()
    press(page, "Backspace", "b", "Enter")
    expect(page.locator(".saving")).to_have_text("Saved")
    press(other, "=", "Enter")
    expect(other.locator(".problem")).to_contain_text("was edited already")
    other.close()
    assert store_counts(stored).rankings == 2

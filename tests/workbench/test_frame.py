"""Whole pages in a real browser: what covers what, and what stays open or selected."""

import pytest
from playwright.sync_api import expect

from browser import open_app
from label_data.assignment.answers import Answer, submit
from label_data.assignment.tasks import next_tasks
from label_data.oversight.overview import open_tasks
from label_data.store.annotators import find_or_add_annotator
from label_data.store.jobs import add_job, report_progress, start_job
from label_data.store.projects import PROJECT, add_project
from page_fixtures import EVERYDAY, EVERYTHING_ASKED, fill_pages
from ranking_steps import fill, press, store_at


@pytest.fixture
def data(tmp_path):
    fill_pages(tmp_path, EVERYDAY, EVERYTHING_ASKED, name="Bo")
    return tmp_path


def bottom_of_header(page):
    box = page.get_by_test_id("stHeader").bounding_box()
    return box["y"] + box["height"]


def test_the_header_covers_nothing_of_a_page_after_a_reload(data, app_address, page):
    page.goto(app_address)
    request = page.get_by_role("heading", name="What’s your name?")
    expect(request).to_be_visible()
    assert request.bounding_box()["y"] >= bottom_of_header(page)
    open_app(page, app_address)
    page.reload()
    first = page.locator(".ranker .views")
    expect(first).to_be_visible()
    assert first.bounding_box()["y"] >= bottom_of_header(page)


def test_an_open_job_stays_open_while_its_progress_changes(data, app_address, page):
    with store_at(data / "workbench.db") as store:
        job = add_job(store, "features")
        start_job(store, job)
        report_progress(store, job, 1, 4, "Features: 1 of 4 completions.")
    page.goto(f"{app_address}/overview")
    summary = page.locator("summary", has_text="Compute features")
    summary.click()
    expect(page.get_by_text("1 of 4")).to_be_visible()
    label = summary.inner_text()
    with store_at(data / "workbench.db") as store:
        report_progress(store, job, 2, 4, "Features: 2 of 4 completions.")
    expect(page.get_by_text("2 of 4")).to_be_visible()
    assert summary.inner_text() != label
    expect(page.get_by_role("button", name="Stop", exact=True)).to_be_visible()


def test_the_selected_task_is_released_even_if_its_row_has_moved_and_then_none_is_selected(tmp_path, app_address, page):
    """Ann, Bo and Cy have a task each. Bo's is selected, Ann submits hers, and then the selected task is released."""
    fill(tmp_path / "workbench.db", "First?", "Second?", "Third?")
    with store_at(tmp_path / "workbench.db") as store:
        people = [find_or_add_annotator(store, name).id for name in ("Ann", "Bo", "Cy")]
        (of_ann,), _, _ = (next_tasks(store, person, count=1) for person in people)
        page.goto(f"{app_address}/overview")
        table = page.get_by_test_id("stDataFrame").last
        free = page.get_by_role("button", name="Release selected")
        expect(free).to_be_visible()
        table.click(position={"x": 17, "y": 88})  # a canvas: the box of its second row
        expect(free).to_have_text("Release selected: 1")
        assert submit(store, Answer(of_ann.token, "hers", "all_bad"), people[0]) == "saved"
        free.click()
        expect(page.get_by_text("Tasks released: 1.")).to_be_visible()
        assert [task.name for task in open_tasks(store, PROJECT)] == ["Cy"]
        expect(free).to_have_text("Release selected: 0")


def test_an_unfinished_ranking_disappears_with_its_project_and_comes_back_with_it(tmp_path, app_address, page):
    fill(tmp_path / "workbench.db", "Which?")
    with store_at(tmp_path / "workbench.db") as store:
        add_project(store, "Other")
    open_app(page, app_address)
    press(page, "1")
    prompt = page.locator(".ranker .prompt")
    for name, is_there in (("Other", False), ("default", True)):
        page.get_by_role("combobox", name="Project").click()
        page.get_by_role("option", name=name).click()
        expect(page.get_by_role("button", name="Add the starter prompts")).to_be_visible(visible=not is_there)
        expect(prompt).to_be_visible(visible=is_there)
    expect(page.locator(".ranker .card").first).to_contain_text("1st")

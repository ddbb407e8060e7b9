"""What a browser shows of whole pages that a page's script alone does not tell: what hides what, what stays open."""

import pytest
from playwright.sync_api import expect

from browser import open_app
from label_data.jobs import add_job, report_progress, start_job
from page_fixtures import EVERYDAY, EVERYTHING_ASKED, fill_pages
from ranking_steps import store_at

pytest_plugins = ["browser_fixtures"]


@pytest.fixture
def data(tmp_path):
    fill_pages(tmp_path, EVERYDAY, EVERYTHING_ASKED, name="Bo")
    return tmp_path


def bottom_of_header(page):
    box = page.get_by_test_id("stHeader").bounding_box()
    return box["y"] + box["height"]


def test_the_header_hides_nothing_of_a_page_that_is_loaded_again(data, app, page):
    page.goto(app)
    asked = page.get_by_role("heading", name="Who is ranking?")
    expect(asked).to_be_visible()
    assert asked.bounding_box()["y"] >= bottom_of_header(page)
    open_app(page, app)
    page.reload()
    first = page.locator(".ranker .views")
    expect(first).to_be_visible()
    assert first.bounding_box()["y"] >= bottom_of_header(page)


def test_a_job_that_was_opened_stays_open_while_its_seconds_and_its_progress_go_on(data, app, page):
    with store_at(data / "workbench.db") as store:
        job = add_job(store, "features")
        start_job(store, job)
        report_progress(store, job, 1, 4, "Features: 1 of 4 completions.")
    page.goto(f"{app}/overview")
    summary = page.locator("summary", has_text="Compute features")
    summary.click()
    expect(page.get_by_text("1 of 4")).to_be_visible()
    label = summary.inner_text()
    with store_at(data / "workbench.db") as store:
        report_progress(store, job, 2, 4, "Features: 2 of 4 completions.")
    expect(page.get_by_text("2 of 4")).to_be_visible()
    assert summary.inner_text() != label
    expect(page.get_by_role("button", name="Stop", exact=True)).to_be_visible()

"""The whole workflow in a real browser with the packaged model: sample, rank by keyboard, train, score, export."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from playwright.sync_api import expect

from browser import LEASH, PATIENCE, free_port
from label_data.comparisons import comparisons, split_by_prompt
from label_data.database.engine import open_store
from label_data.oversight.progress import item_counts
from label_data.records import Group, Ranking, user_prompt
from label_data.settings import PolicySettings, ProjectSettings
from label_data.store.adding import add_groups
from label_data.store.projects import save_settings
from label_data.store.stored_groups import groups
from reward.data.sides import FEWEST_HELD_OUT
from reward.report.report import read_report
from store_fixtures import completions_of
from tests.support.paths import ROOT
from tests.support.wording import wording

MODEL_TIME = 300_000
"""Milliseconds that the model may take for a step on a busy machine."""
TRAINED_ON = 12
"""Training prompts of the prepared store. It also has the 20 held-out prompts that a report needs."""


def prepared_group(number):
    """Return a prompt whose polite completion is preferred to its rude one."""
    prompt = user_prompt(f"What is {number} plus {number}?")
    good, bad = completions_of(
        prompt, f"Gladly! It is {2 * number}. Thank you for asking.", f"No. Do it yourself, fool {number}."
    )
    return Group(
        prompt, (good, bad), (Ranking(prompt.id, "file", (good.id, bad.id), ((good.id,), (bad.id,)), source="import"),)
    )


def prepared_groups():
    train, held_out = split_by_prompt(map(prepared_group, range(125)))
    return train[:TRAINED_ON] + held_out[:FEWEST_HELD_OUT]


@pytest.fixture
def data(tmp_path, packaged_model_folder):
    """Return a data folder with rankings to train on and settings that keep sampling short."""
    store = open_store(tmp_path / "data" / "workbench.db")
    add_groups(store, prepared_groups())
    policy = PolicySettings("tiny", max_tokens=10)
    save_settings(store, ProjectSettings(completions_per_prompt=3, ready_ahead=3, policies=(policy,)))
    store.dispose()
    return tmp_path / "data"


@pytest.fixture
def address(data):
    """Start the workbench as a user does and return its address; stop it as Ctrl-C does."""
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, LEASH, "workbench", "run", "--port", str(port)],
        cwd=ROOT,
        env=os.environ | {"WORKBENCH_DATA": str(data)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert f":{port}" in process.stdout.readline()
    yield f"http://127.0.0.1:{port}"
    process.send_signal(signal.SIGINT)
    assert process.wait(PATIENCE) == 0
    process.stdin.close()
    process.stdout.close()


def test_sample_rank_train_score_and_export(page, address, data):
    store = open_store(data / "workbench.db")

    page.goto(f"{address}/prompts")
    page.get_by_label(wording("prompts.one_per_line")).fill(
        "Why is the sky blue?\nWrite a haiku.\nName a prime number."
    )
    page.get_by_role("button", name=wording("prompts.add"), exact=True).first.click()
    expect(page.get_by_test_id("stMetric").filter(has_text="Ready to rank")).to_contain_text("3", timeout=MODEL_TIME)
    assert item_counts(store)["ready"] == 3

    page.get_by_role("link", name=wording("pages.rank")).click()
    page.get_by_role("textbox", name=wording("frame.your_name")).fill("Ann")
    page.get_by_role("button", name=wording("frame.start")).click()
    prompt = page.locator(".ranker .prompt")
    for question in ("Why is the sky blue?", "Write a haiku.", "Name a prime number."):
        expect(prompt).to_contain_text(question)
        for key in ("2", "3", "Enter"):
            page.keyboard.press(key)
    expect(page.get_by_text(wording("rank.all_done"))).to_be_visible()
    own = [group for group in groups(store) if group.rankings and group.rankings[0].source == "person"]
    assert len(own) == 3
    for group in own:
        (ranking,) = group.rankings
        assert len(comparisons(ranking)) == 3
        assert ranking.order == tuple((ranking.shown[place],) for place in (1, 2, 0))

    page.get_by_role("link", name=wording("pages.train")).first.click()
    page.get_by_role("button", name=wording("train.train"), exact=True).click()
    expect(page.get_by_text(re.compile("held-out", re.IGNORECASE)).first).to_be_visible(timeout=MODEL_TIME)
    (folder,) = (data / "runs").iterdir()
    report = read_report(folder)
    assert report.counts.held_out_prompts >= FEWEST_HELD_OUT
    assert report.held_out.accuracy.low > 0.5

    page.get_by_role("link", name=wording("pages.score")).click()
    page.get_by_role("textbox", name=wording("score.prompt")).first.fill("What is 7 plus 7?")
    page.get_by_label("Completion 1").fill("No. Do it yourself, fool.")
    page.get_by_label("Completion 2").fill("Gladly! It is 14. Thank you for asking.")
    page.get_by_role("button", name=wording("score.score"), exact=True).click()
    expect(page.get_by_test_id("stCode").first).to_contain_text("Gladly", timeout=MODEL_TIME)

    page.get_by_role("link", name=wording("pages.data")).click()
    page.get_by_role("tab", name=wording("data.export")).click()
    page.get_by_role("button", name=wording("export.prepare")).click()
    with page.expect_download() as download:
        page.get_by_role("button", name="Download groups.jsonl").click()
    lines = Path(download.value.path()).read_text().splitlines()
    assert len(lines) == TRAINED_ON + FEWEST_HELD_OUT + 3
    assert sum("Why is the sky blue?" in line for line in lines) == 1

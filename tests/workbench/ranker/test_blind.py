"""Nothing that the browser receives reveals policies, rewards or the order of sampling."""

import json
import re

import pytest
from playwright.sync_api import expect

from browser import PATIENCE, open_app
from label_data.database.engine import open_store
from label_data.records import Completion, user_prompt
from label_data.settings import PolicySettings, ProjectSettings
from label_data.store.adding import add_prompts
from label_data.store.projects import save_settings
from label_data.store.samples import save_samples
from label_data.store.stored_groups import groups
from ranking_steps import press
from store_fixtures import add_ready_prompt
from tests.support.wording import wording

POLICIES = ("velvet-otter", "copper-heron")
TEXTS = [
    f"Answer {word}." for word in ("amber", "birch", "cedar", "delta", "ember", "fjord", "grove", "haven", "inlet")
]
QUESTIONS = ("First?", "Second?", "Third?")


@pytest.fixture
def stored(tmp_path):
    """Three prompts of nine completions each, sampled in the order of TEXTS by two policies in turn."""
    store = open_store(tmp_path / "workbench.db")
    policies = tuple(PolicySettings(name, system_prompt="walrus-instructions") for name in POLICIES)
    save_settings(store, ProjectSettings(policies=policies, completions_per_prompt=9, allow_partial=True, seed=774411))
    for question in QUESTIONS:
        prompt = user_prompt(question)
        add_prompts(store, [prompt])
        samples = [
            Completion(
                prompt.id,
                text,
                POLICIES[place % 2],
                "revision-zinc",
                {"temperature": 0.8125, "reward": -3.71828},
                991100 + place,
                "stop-zinc",
            )
            for place, text in enumerate(TEXTS)
        ]
        save_samples(store, prompt, samples)
    yield store
    store.dispose()


class Traffic:
    """Everything that the page receives: bodies and headers of answers, and messages of the websocket."""

    def __init__(self, page):
        self.messages, self.answers = [], []
        page.on("websocket", lambda socket: socket.on("framereceived", self.hear))
        page.on("requestfinished", lambda request: self.answers.append(request))

    def hear(self, frame):
        self.messages.append(frame if isinstance(frame, bytes) else frame.encode())

    def all(self):
        bodies = [
            request.response().body()
            for request in self.answers
            if "/static/" not in request.url and request.response().ok
        ]
        headers = [json.dumps(request.response().headers).encode() for request in self.answers]
        return b"\n".join(self.messages + bodies + headers)


def secrets(store):
    result = {*POLICIES, "revision-zinc", "stop-zinc", "walrus", "0.8125", "3.71828", "774411", "temperature"}
    for group in groups(store):
        result |= {group.prompt.id, *(completion.id for completion in group.completions)}
        result |= {str(completion.seed) for completion in group.completions}
    return result


def sequences(traffic):
    """Return the order of the texts each time that all nine stand in the traffic one after the other."""
    words = re.findall(rb"\"?text\"?[^A-Za-z]{1,9}(Answer \w+\.)", traffic) or re.findall(rb"Answer \w+\.", traffic)
    return [tuple(word.decode() for word in words[index : index + 9]) for index in range(0, len(words) - 8, 9)]


def test_nothing_that_the_browser_receives_reveals_policies(page, app_address, stored):
    """Of 9! = 362,880 orders one is that of sampling: that none of the three prompts shows it is no accident."""
    traffic = Traffic(page)
    open_app(page, app_address)
    shown = []
    for question in QUESTIONS:
        expect(page.locator(".prompt .text")).to_have_text(question)
        shown.append(tuple(page.locator(".card .text").all_inner_texts()))
        press(page, "1", "2", "Enter")
        expect(page.locator(".saving")).to_have_text("Saved")
    expect(page.get_by_text(wording("rank.all_done"))).to_be_visible()
    press(page, "Backspace", "3", "Enter")
    expect(page.locator(".saving")).to_have_text("Saved")
    page.get_by_role("link", name="My work").click()
    page.get_by_test_id("stMain").get_by_role("button", name="Open").first.click()
    expect(page.locator(".ranker .changing")).to_be_visible()
    received = traffic.all()
    assert TEXTS[0].encode() in received
    for secret in secrets(stored):
        assert secret.encode() not in received, secret
    assert len(sequences(received)) >= 3
    assert set(sequences(received)) <= set(shown)
    assert all(order != tuple(TEXTS) and sorted(order) == sorted(TEXTS) for order in shown)


def test_each_text_is_sent_once_and_again_after_a_reload(page, app_address, stored):
    traffic = Traffic(page)
    open_app(page, app_address)
    press(page, "1", "2")
    assert b"Second?" in b"".join(traffic.messages)
    traffic.messages.clear()
    press(page, "Enter")
    expect(page.locator(".saving")).to_have_text("Saved")
    sent = b"".join(traffic.messages)
    assert b"Third?" in sent
    assert b"Second?" not in sent
    assert b"Put the completion that helps" not in sent  # the guidelines
    press(page, "h")
    expect(page.locator(".guidelines")).to_contain_text("Put the completion that helps")
    page.reload()
    expect(page.locator(".prompt .text")).to_have_text("Second?")
    press(page, "1", "2", "Enter")
    expect(page.locator(".prompt .text")).to_have_text("Third?")


def test_a_task_costs_less_than_25_kilobytes_of_messages(page, app_address, tmp_path):
    """Four completions of 1,200 characters each, which go over twice: as they were written and as HTML."""
    store = open_store(tmp_path / "workbench.db")
    for number in range(5):
        texts = [f"{number}{place} " + "a **bold** word. " * 75 for place in range(4)]
        add_ready_prompt(store, f"Prompt {number}?", *texts)
    store.dispose()
    traffic = Traffic(page)
    open_app(page, app_address)
    for number in range(1, 4):
        traffic.messages.clear()
        press(page, "1", "2", "3", "Enter")
        expect(page.locator(".prompt .text")).to_have_text(f"Prompt {number}?")
        expect(page.locator(".saving")).to_have_text("Saved")
        assert 4 * 1_200 < sum(map(len, traffic.messages)) < 25_000


def test_completions_differ_on_the_page_only_in_place_and_text(page, app_address, stored):
    """With place and text taken out, the nine cards are one and the same piece of HTML."""
    open_app(page, app_address)
    cards = page.locator(".card").evaluate_all("cards => cards.map((card) => card.outerHTML)")
    plain = {re.sub(r"Answer \w+\.", "TEXT", re.sub(r"\b[1-9]\b|data-place=\"\d\"", "PLACE", card)) for card in cards}
    assert len(cards) == 9
    assert len(plain) == 1


def test_policies_are_revealed_after_a_ranking_is_stored_if_the_project_says_so(page, app_address, stored):
    policies = tuple(PolicySettings(name) for name in POLICIES)
    save_settings(stored, ProjectSettings(policies=policies, allow_partial=True, reveal_policies=True))
    traffic = Traffic(page)
    open_app(page, app_address)
    shown = page.locator(".card .text").all_inner_texts()
    press(page, "1", "2")
    assert not any(name.encode() in traffic.all() for name in POLICIES)
    press(page, "Enter")
    names = [f"{place}: {POLICIES[TEXTS.index(text) % 2]}" for place, text in enumerate(shown, start=1)]
    expect(page.locator(".revealed")).to_have_text(f"Written by: {' · '.join(names)}", timeout=PATIENCE * 1000)
    expect(page.locator(".prompt .text")).to_have_text("Second?")
    press(page, "Backspace", "b", "Enter")
    expect(page.locator(".saving")).to_have_text("Saved")
    first = next(groups(stored, revised=True))
    assert [ranking.assisted for ranking in first.rankings] == [False, True]

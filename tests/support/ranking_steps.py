"""Steps that tests of the ranking screen share: fill a store, press keys, read what was stored."""

from contextlib import contextmanager

from playwright.sync_api import expect

from label_data.database.engine import open_store
from label_data.records import Completion, Prompt, user_prompt
from label_data.settings import ProjectSettings
from label_data.store.adding import add_prompts
from label_data.store.projects import save_settings
from label_data.store.samples import save_samples
from label_data.store.stored_groups import groups

TEXTS = ["Rayleigh scattering.", "Because it is.", "The sea mirrors in it.", "I cannot say."]
POLICY = "policy-that-nobody-may-see"


@contextmanager
def store_at(path):
    store = open_store(path)
    yield store
    store.dispose()


def fill(path, *prompts, count=4, texts=TEXTS, **settings):
    """Add a prompt for each text or Prompt, with the first `count` texts as completions."""
    with store_at(path) as store:
        if settings:
            save_settings(store, ProjectSettings(**settings))
        for prompt in prompts or ("Why is the sky blue?",):
            record = prompt if isinstance(prompt, Prompt) else user_prompt(prompt)
            add_prompts(store, [record])
            answers = [Completion(record.id, text, POLICY, "revision-7", seed=11) for text in texts[:count]]
            save_samples(store, record, answers)


def rankings(path):
    """Return (order, ranking, flags, shown) of each stored ranking; completions are given by their text."""
    rows = []
    with store_at(path) as store:
        for group in groups(store, ranked_only=True):
            text = {completion.id: completion.text for completion in group.completions}
            for ranking in group.rankings:
                order = [sorted(text[id] for id in tied) for tied in ranking.order]
                flags = {text[id]: list(names) for id, names in ranking.flags.items()}
                rows.append((order, ranking, flags, [text[id] for id in ranking.shown]))
    return rows


def the_ranking(path):
    (ranking,) = rankings(path)
    return ranking


def shown(page):
    return page.locator(".card .text").all_inner_texts()


def press(page, *keys):
    for key in keys:
        page.keyboard.press(key)


def submit_and_wait(page):
    page.keyboard.press("Enter")
    expect(page.locator(".saving")).to_have_text("Saved")


def select(page, text):
    box = text.bounding_box()
    page.mouse.move(box["x"] + 2, box["y"] + 10)
    page.mouse.down()
    page.mouse.move(box["x"] + 80, box["y"] + 10, steps=3)
    page.mouse.up()


def tray(page):
    """Return the ranking as the tray shows it, for example "3›1=4"."""
    return page.locator(".tray").inner_text().replace("\n", "")

"""The interface in three languages: nothing missing, nothing left over, and the annotator's choice is remembered."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import expect

from browser import open_app
from label_data.database import open_store
from store_fixtures import add_ready_prompt
from workbench.languages import LANGUAGES, catalogue, filled, nearest_language

pytest_plugins = ["browser_fixtures"]
WORKBENCH = Path(__file__).parent.parent / "workbench"


def sentences(value, name=""):
    """Return every sentence of a catalogue by its path, for example "ranker.ranks.3"."""
    if isinstance(value, str):
        return {name: value}
    items = value.items() if isinstance(value, dict) else enumerate(value)
    found = {}
    for key, inner in items:
        found |= sentences(inner, f"{name}.{key}".removeprefix("."))
    return found


def placeholders(sentence):
    return sorted(re.findall(r"{(\w*)}", sentence))


@pytest.mark.parametrize("language", sorted(set(LANGUAGES) - {"en"}))
def test_each_language_says_what_english_says_with_the_same_placeholders(language):
    english, other = sentences(catalogue("en")), sentences(catalogue(language))
    assert sorted(other) == sorted(english)
    assert {key: placeholders(text) for key, text in other.items()} == {
        key: placeholders(text) for key, text in english.items()
    }
    assert not [key for key, text in other.items() if not text.strip()]


def test_a_catalogue_file_exists_for_each_language_and_no_other():
    assert {path.stem for path in (WORKBENCH / "languages").glob("*.json")} == set(LANGUAGES)


def test_the_screen_names_only_sentences_that_exist_and_every_sentence_is_named_somewhere():
    words = catalogue("en")["ranker"]
    scripts = "\n".join(path.read_text() for path in sorted((WORKBENCH / "ranker").glob("*.js")))
    page = (WORKBENCH / "ranker" / "ranker.html").read_text()
    in_page = set(re.findall(r'data-(?:say|label)="(\w+)"', page))
    asked = (
        set(re.findall(r'sentence\(\s*"(\w+)"', scripts)) | set(re.findall(r"data\.words\.(\w+)", scripts)) | in_page
    )
    assert asked <= words.keys()
    named = set(re.findall(r"\w+", scripts)) | in_page
    built = {"assistant", "said_all_bad", "said_indistinguishable", "said_skipped", "flags_of"}
    built |= {f"{view}_{state}" for view in ("plain", "diff", "zoom", "whole", "together") for state in ("on", "off")}
    assert words.keys() - named - built == set()


def test_no_sentence_is_left_in_the_screens_own_files():
    """Text in the HTML is a key's name or a sign; a string with two words in a script is a selector or a class."""
    page = (WORKBENCH / "ranker" / "ranker.html").read_text()
    page = re.sub(r"<(kbd|!--).*?(</kbd>|-->)", "", page, flags=re.DOTALL)
    assert "".join(re.findall(r">([^<]+)<", page)).strip(" …\n") == ""
    for path in (WORKBENCH / "ranker").glob("*.js"):
        code = re.sub(r"//.*", "", path.read_text())
        assert not re.findall(r"[\"`][A-Z]\w* \w+", code), path


@pytest.mark.parametrize(
    ("locale", "language"),
    [("zh-CN", "zh"), ("zh", "zh"), ("ja-JP", "ja"), ("ja_JP", "ja"), ("en-GB", "en"), ("fr-FR", "en"), (None, "en")],
)
def test_the_browsers_locale_chooses_the_language(locale, language):
    assert nearest_language(locale) == language


def test_values_may_hold_braces():
    assert filled("Ranking as {name}", name="{name} {0}") == "Ranking as {name} {0}"


def test_the_interface_follows_the_browser_and_a_choice_is_remembered(app, browser, tmp_path):
    store = open_store(tmp_path / "workbench.db")
    add_ready_prompt(store, "Which?")
    store.dispose()
    context = browser.new_context(locale="ja-JP")
    page = context.new_page()
    open_app(page, app)
    expect(page.get_by_role("button", name="送信")).to_be_visible()
    page.keyboard.press("1")
    expect(page.locator(".card").first).to_have_attribute("aria-label", "回答 1、1 位")
    page.get_by_role("combobox", name="言語").click()
    page.get_by_role("option", name="简体中文").click()
    expect(page.get_by_role("button", name="提交")).to_be_visible()
    expect(page.locator(".card").first).to_have_attribute("aria-label", "回答 1，第 1")  # the ranking under way stays
    expect(page.get_by_text("当前标注者：Ann")).to_be_visible()
    page.reload()
    expect(page.get_by_role("button", name="提交")).to_be_visible()
    context.close()

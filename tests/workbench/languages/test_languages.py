"""The interface in three languages: nothing missing, nothing left over, and the annotator's choice is remembered."""

import ast
import re

import pytest
import streamlit
from playwright.sync_api import expect

from browser import PATIENCE, app_server, free_port, open_app
from label_data.database.engine import open_store
from label_data.intervals import Estimate
from label_data.quality.findings import percent
from label_data.sentences import LANGUAGES
from label_data.settings import ProjectSettings
from label_data.store.annotators import find_or_add_annotator
from page_fixtures import fill_pages
from store_fixtures import add_ready_prompt
from tests.support.paths import ROOT
from workbench.wording import filled, nearest_language, page_texts, translated

WORKBENCH = ROOT / "workbench"
PAGES = sorted((WORKBENCH / "app_pages").glob("*.py"))
SHOWING = [
    *PAGES,
    WORKBENCH / "app.py",
    WORKBENCH / "web" / "session.py",
    *sorted((WORKBENCH / "views").glob("[!_]*.py")),
]
"""Every file that shows something with Streamlit."""
REFUSING = [
    *(
        ROOT / "label_data" / f"{name}.py"
        for name in (
            "store/annotators",
            "assignment/tasks",
            "oversight/browsing",
            "assignment/drafts",
            "assignment/gold",
            "store/projects",
            "store/queue",
            "settings",
            "store/single_records",
            "assignment/own_rankings",
        )
    ),
    WORKBENCH / "ranker" / "component.py",
]
"""Every file whose InputErrors a page shows, but for those that read files or reach servers."""


@pytest.fixture(scope="module")
def filled_pages(tmp_path_factory):
    """Serve a data folder in which every page has something to show; return its address and the annotator's id."""
    data = tmp_path_factory.mktemp("filled")
    fill_pages(data, ["甲" * 3, "乙" * 3, "丙" * 3], ProjectSettings(guidelines="丁"))
    store = open_store(data / "workbench.db")
    me = find_or_add_annotator(store, "Ann").id
    store.dispose()
    with app_server(free_port(), data) as address:
        yield address, me


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
    english, other = sentences(page_texts("en")), sentences(page_texts(language))
    assert sorted(other) == sorted(english)
    assert {key: placeholders(text) for key, text in other.items()} == {
        key: placeholders(text) for key, text in english.items()
    }
    assert not [key for key, text in other.items() if not text.strip()]


def test_a_catalogue_file_exists_for_each_language_and_no_other():
    assert {path.stem for path in (WORKBENCH / "languages").glob("*.json")} == set(LANGUAGES)


def test_the_screen_names_only_sentences_that_exist_and_every_sentence_is_named_somewhere():
    words = page_texts("en")["ranker"]
    scripts = "\n".join(path.read_text() for path in sorted((WORKBENCH / "ranker" / "browser").glob("*.js")))
    page = (WORKBENCH / "ranker" / "browser" / "ranker.html").read_text()
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
    page = (WORKBENCH / "ranker" / "browser" / "ranker.html").read_text()
    page = re.sub(r"<(kbd|!--).*?(</kbd>|-->)", "", page, flags=re.DOTALL)
    assert "".join(re.findall(r">([^<]+)<", page)).strip(" …\n") == ""
    for path in (WORKBENCH / "ranker" / "browser").glob("*.js"):
        code = re.sub(r"//.*", "", path.read_text())
        assert not re.findall(r"[\"`][A-Z]\w* \w+", code), path


NO_TEXT = {"key", "type", "icon", "width", "height", "language", "layout", "position", "gap", "vertical_alignment"}
"""Arguments of Streamlit's that nobody reads."""
UNREAD = {"code", "html", "component", "set_page_config"}
"""Calls whose text is a command, a style or a script, or the product's name."""


def english_shown(path):
    """Return the literal words that a source hands to calls on `st`, or on what `st` made."""
    found = []
    for call in ast.walk(ast.parse(path.read_text())):
        if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Attribute) or call.func.attr in UNREAD:
            continue
        if call.func.attr not in dir(streamlit) + dir(streamlit.column_config):
            continue
        values = call.args + [keyword.value for keyword in call.keywords if keyword.arg not in NO_TEXT]
        found += [text for value in values for text in _literals(value)]
    return [text for text in found if re.search(r"[A-Za-z]{2}", text)]


def _literals(value):
    """Return the strings of an argument that are no name of a field or file, no address, command or number format."""
    inner = (
        ast.walk(value)
        if isinstance(value, ast.JoinedStr | ast.Dict | ast.List | ast.Tuple | ast.BinOp | ast.IfExp)
        else [value]
    )
    texts = [node.value for node in inner if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    return [
        text for text in texts if not re.fullmatch(r"[a-z_-]+|app_pages/\S*|http://\S*|\.py|`.*`|[,.+0-9]*[f%]?", text)
    ]


@pytest.mark.parametrize("path", SHOWING, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_no_page_shows_a_sentence_that_is_not_in_the_catalogues(path):
    assert english_shown(path) == []


def test_a_sentence_in_a_page_would_be_found(tmp_path):
    page = tmp_path / "page.py"
    page.write_text(
        'left.button("Add", key="add")\nst.tabs(["Paste", x])\nst.info(f"{n} prompts")\nst.code("make run")'
    )
    assert english_shown(page) == ["Add", "Paste", " prompts"]


def keys_named(path):
    """Return the sections of the catalogues that a source names, and every string in it that may be a key."""
    tree = ast.walk(ast.parse(path.read_text()))
    strings = {node.value for node in tree if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    return set(re.findall(r'words\("(\w+)"\)', path.read_text())), strings


def test_the_pages_name_only_sentences_that_exist_and_every_sentence_is_named_somewhere():
    """The keys that a source takes from `says` are in a section which it names; no key of a section goes unnamed."""
    english, named = page_texts("en"), {}
    for path in [*SHOWING, WORKBENCH / "web" / "answers.py"]:
        sections, strings = keys_named(path)
        asked = set(re.findall(r'says\["(\w+)"\]|words\("\w+"\)\["(\w+)"\]', path.read_text()))
        known = set().union(*(english[section].keys() for section in sections))
        assert {key for pair in asked for key in pair if key} <= known, path
        for section in sections:
            named[section] = named.get(section, set()) | strings
    assert named.keys() == english.keys() - {"ranker", "messages"}
    for section, strings in named.items():
        assert english[section].keys() <= strings, section


def refusals():
    """Return each InputError that the files raise, as the person would read it: every value is a 7."""
    found = {}
    for path in REFUSING:
        for call in ast.walk(ast.parse(path.read_text())):
            if isinstance(call, ast.Call) and getattr(call.func, "id", "") == "InputError":
                (sentence,) = call.args
                parts = sentence.values if isinstance(sentence, ast.JoinedStr) else [sentence]
                text = "".join(part.value if isinstance(part, ast.Constant) else "7" for part in parts)
                found[text] = f"{path.name}, line {call.lineno}"
    return found


def found_and_asked():
    """Return both sentences of every Finding in findings.py: each value in them is a 7, each rate a rate."""
    tree = ast.walk(ast.parse((ROOT / "label_data" / "quality" / "findings.py").read_text()))
    calls = [call for call in tree if isinstance(call, ast.Call) and getattr(call.func, "id", "") == "Finding"]
    for call in calls:
        for sentence in call.args[1:]:
            parts = sentence.values if isinstance(sentence, ast.JoinedStr) else [sentence]
            yield "".join(part.value if isinstance(part, ast.Constant) else _value(part) for part in parts)


def _value(part):
    is_rate = isinstance(part.value, ast.Call) and getattr(part.value.func, "id", "") == "percent"
    return (
        percent(Estimate(0.5, 0.4, 0.6, 12, 10))
        if is_rate
        else "longer"
        if getattr(part.value, "id", "") == "what"
        else "7"
    )


@pytest.mark.parametrize("language", sorted(set(LANGUAGES) - {"en"}))
def test_what_a_quality_report_finds_and_asks_for_comes_in_the_language_of_its_reader(language):
    sentences_found = list(found_and_asked())
    assert len(sentences_found) > 30
    told = {text: translated(text, language) for text in sentences_found}
    assert {text: said for text, said in told.items() if re.search("[A-Za-z]{4}", said.replace("alpha", ""))} == {}


@pytest.mark.parametrize("language", sorted(set(LANGUAGES) - {"en"}))
def test_what_annotators_and_researchers_are_refused_with_comes_in_their_language(language):
    found = refusals()
    assert len(found) > 20
    assert {place: text for text, place in found.items() if translated(text, language) == text} == {}


def test_a_message_keeps_its_values_and_a_value_may_be_a_message():
    assert (
        translated("3 of 4 completions are not placed; place them all.", "zh")
        == "还有4 个回答中的 3 个未排；请全部排好。"
    )
    told = "2 of 12 prompts sampled. SmolLM2-135M: 4 of 8 completions answered."
    assert translated(told, "ja") == (
        "プロンプト 12 件のうち 2 件を生成しました。SmolLM2-135M：回答 8 件のうち 4 件を受け取りました。"
    )
    assert translated(told, "en") == told
    assert translated("Your name has 300 characters; at most 200 are kept. Shorten it.", "zh").startswith(
        "你的名字有 300"
    )


def test_every_english_message_is_found_by_its_own_pattern():
    """With a value that no message has, each is told from all others: its Chinese is the one of its key."""
    for key, sentence in page_texts("en")["messages"].items():
        values = dict.fromkeys(placeholders(sentence), "β")
        assert translated(filled(sentence, **values), "zh") == filled(page_texts("zh")["messages"][key], **values)


def test_an_unknown_message_stays_as_it_is():
    assert translated("mine.jsonl, line 2: no prompt.", "ja") == "mine.jsonl, line 2: no prompt."


@pytest.mark.parametrize("language", sorted(LANGUAGES.keys() - {"en"}))
def test_every_page_speaks_the_language_of_the_browser(language, filled_pages, browser):
    """What a page shows of its own is in that language: no other catalogue's sentence is on it."""
    address, me = filled_pages
    locale = {"en": "en-US", "zh": "zh-CN", "ja": "ja-JP"}[language]
    context = browser.new_context(locale=locale, viewport={"width": 1280, "height": 900})
    context.set_default_timeout(PATIENCE * 1000)
    context.add_cookies([{"name": "annotator", "value": me, "url": address}])
    page = context.new_page()
    titles = page_texts(language)["pages"]
    page.goto(address)
    for name, title in titles.items():
        page.get_by_role("link", name=title, exact=True).click()
        shown = page.locator(".ranker .prompt") if name == "rank" else page.get_by_role("heading", name=title, level=1)
        expect(shown).to_be_visible()
        expect(page.locator("html")).to_have_attribute("lang", language)
        words = page.locator("[data-testid=stMain]").inner_text() + page.locator("[data-testid=stSidebar]").inner_text()
        for other in set(LANGUAGES) - {language}:
            foreign = set(sentences(page_texts(other)).values()) - set(sentences(page_texts(language)).values())
            assert {one for one in foreign if len(one) > 8 and one in words} == set(), (name, other)
    context.close()


@pytest.mark.parametrize(
    ("locale", "language"),
    [
        ("zh-CN", "zh"),
        ("ja_JP", "ja"),
        ("en-GB", "en"),
        ("fr-FR", "en"),
        ("ja;q=0.9,en", "ja"),
        ("zh,en;q=0.8", "zh"),
        (None, "en"),
    ],
)
def test_the_browsers_locale_chooses_the_language(locale, language):
    assert nearest_language(locale) == language


def test_values_may_hold_braces():
    assert filled("Ranking as {name}", name="{name} {0}") == "Ranking as {name} {0}"


def test_the_interface_follows_the_browser_and_a_choice_is_remembered(app_address, browser, tmp_path):
    store = open_store(tmp_path / "workbench.db")
    add_ready_prompt(store, "Which?")
    store.dispose()
    context = browser.new_context(locale="ja-JP")
    page = context.new_page()
    open_app(page, app_address)
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

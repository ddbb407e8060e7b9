"""The interface in three languages: no text is missing or left over, and the annotator's choice is remembered."""

import ast
import re
from string import Formatter

import pytest
import streamlit
from playwright.sync_api import expect

from browser import PATIENCE, app_server, free_port, open_app
from label_data.database.engine import open_store
from label_data.errors import InputError
from label_data.sentences import LANGUAGES, catalogue, say
from label_data.settings import ProjectSettings
from label_data.store.annotators import find_or_add_annotator
from page_fixtures import fill_pages
from store_fixtures import add_ready_prompt
from tests.support.paths import ROOT
from workbench.wording import filled, nearest_language, page_texts, rendered_message

PACKAGES = ("label_data", "reward", "workbench")
WORKBENCH = ROOT / "workbench"
BROWSER = WORKBENCH / "ranker" / "browser"
PAGES = sorted((WORKBENCH / "app_pages").glob("*.py"))
SHOWING = [
    *PAGES,
    WORKBENCH / "app.py",
    WORKBENCH / "web" / "session.py",
    *sorted((WORKBENCH / "views").glob("[!_]*.py")),
]
"""Every file that shows something with Streamlit."""
LOOKING_UP = [*SHOWING, WORKBENCH / "web" / "answers.py"]
"""Every file that looks up texts of the pages."""
KEY = re.compile(rf"({'|'.join(PACKAGES)})\.(\w+)\.(\w+)")
TREES = {path: ast.parse(path.read_text()) for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))}


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


def texts(value, name=""):
    """Return every text of a catalogue by its path, for example "ranker.ranks.3"."""
    if isinstance(value, str):
        return {name: value}
    items = value.items() if isinstance(value, dict) else enumerate(value)
    result = {}
    for key, inner in items:
        result |= texts(inner, f"{name}.{key}".removeprefix("."))
    return result


def placeholders(wording):
    """Return the names of a wording's placeholders, without conversions and formats such as !r and :, ."""
    return sorted(name for _, name, _, _ in Formatter().parse(wording) if name is not None)


# Catalogues


@pytest.mark.parametrize("package", PACKAGES)
def test_each_language_has_a_catalogue_and_no_other_file_is_in_the_folder(package):
    files = {path.name for path in (ROOT / package / "languages").iterdir() if path.name != "__pycache__"}
    assert files == {f"{language}.json" for language in LANGUAGES}


@pytest.mark.parametrize("package", PACKAGES)
@pytest.mark.parametrize("language", sorted(LANGUAGES.keys() - {"en"}))
def test_each_language_has_the_keys_and_placeholders_of_english(package, language):
    english, other = texts(catalogue(package, "en")), texts(catalogue(package, language))
    assert sorted(other) == sorted(english)
    different = {key for key, text in other.items() if placeholders(text) != placeholders(english[key])}
    assert different == set()
    assert [key for key, text in other.items() if not text.strip()] == []


# Sentences by key


def keys_in_code():
    """Return {key of a sentence: file} for each string constant of the form "PACKAGE.SECTION.NAME" in the packages."""
    keys = {}
    for path, tree in TREES.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and KEY.fullmatch(node.value):
                keys[node.value] = path.relative_to(ROOT)
    return keys


def test_every_sentence_that_code_names_is_in_the_catalogues():
    missing = {}
    for key, path in keys_in_code().items():
        package, section, name = key.split(".")
        if not isinstance(catalogue(package, "en").get(section, {}).get(name), str):
            missing[key] = path
    assert missing == {}


def test_every_sentence_in_the_catalogues_is_named_in_code():
    keys = set(keys_in_code())
    for path in LOOKING_UP:
        keys |= {f"workbench.{section}.{name}" for section, name in page_keys(path)}
    unused = []
    for package in PACKAGES:
        for section, names in catalogue(package, "en").items():
            if (package, section) != ("workbench", "ranker"):  # used by the ranking screen's scripts; see below
                unused += [key for name in names if (key := f"{package}.{section}.{name}") not in keys]
    assert unused == []


def unkeyed_errors(tree):
    """Return the line of each InputError, or error derived from it, that is raised with a text instead of a key."""
    lines = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call) and node.exc.args:
            name = getattr(node.exc.func, "id", "")
            argument = node.exc.args[0]
            is_text = isinstance(argument, ast.JoinedStr) or (
                isinstance(argument, ast.Constant)
                and isinstance(argument.value, str)
                and not KEY.fullmatch(argument.value)
            )
            if name in {"InputError", "PolicyError", "GroupError"} and is_text:
                lines.append(node.lineno)
    return lines


def test_every_error_that_people_see_is_raised_by_key():
    with_text = {str(path.relative_to(ROOT)): lines for path, tree in TREES.items() if (lines := unkeyed_errors(tree))}
    assert with_text == {}


def test_an_error_with_a_text_and_a_missing_key_would_be_found():
    source = 'raise InputError("No.")\nraise InputError(f"{x}")\nraise InputError("label_data.plain.text", text=1)'
    assert unkeyed_errors(ast.parse(source)) == [1, 2]


def test_a_message_is_rendered_in_the_language_of_its_reader():
    inner = say("workbench.jobs.scoring")
    message = say("workbench.jobs.sampling", done=2, total=12, now=inner)
    assert rendered_message(message, "en") == "Prompts sampled: 2 of 12. Scoring."
    assert rendered_message(message, "ja") == "回答を生成したプロンプト：2 / 12。採点しています。"
    error = InputError("workbench.startup.port_in_use", port=8501, next=8502)
    assert rendered_message(error, "zh").startswith("端口 8501 已被占用")
    assert rendered_message("mine.jsonl, line 2: no prompt.", "ja") == "mine.jsonl, line 2: no prompt."


# The ranking screen


def test_the_screen_uses_only_texts_that_exist_and_every_text_is_used():
    words = page_texts("en")["ranker"]
    scripts = "\n".join(path.read_text() for path in sorted(BROWSER.glob("*.js")))
    page = (BROWSER / "ranker.html").read_text()
    in_page = set(re.findall(r'data-(?:say|label)="(\w+)"', page))
    in_scripts = set(re.findall(r'sentence\(\s*"(\w+)"', scripts)) | set(re.findall(r"data\.words\.(\w+)", scripts))
    assert in_page and in_scripts
    assert in_page | in_scripts <= words.keys()
    mentioned = set(re.findall(r"\w+", scripts)) | in_page
    built = {"assistant", "outcome_all_bad", "outcome_indistinguishable", "outcome_skipped", "flags_of", "marks_of"}
    built |= {f"{view}_{state}" for view in ("plain", "diff", "zoom", "whole", "together") for state in ("on", "off")}
    assert words.keys() - mentioned - built == set()


def test_no_text_is_left_in_the_screens_own_files():
    """Text in the HTML is the name of a key or a sign; a string of two words in a script is a selector or a class."""
    page = (BROWSER / "ranker.html").read_text()
    page = re.sub(r"<(kbd|!--).*?(</kbd>|-->)", "", page, flags=re.DOTALL)
    assert "".join(re.findall(r">([^<]+)<", page)).strip(" …\n") == ""
    scripts = sorted(BROWSER.glob("*.js"))
    assert scripts
    for path in scripts:
        code = re.sub(r"//.*", "", path.read_text())
        assert not re.findall(r"[\"`][A-Z]\w* \w+", code), path


# The pages

NO_TEXT = {"key", "type", "icon", "width", "height", "language", "layout", "position", "gap", "vertical_alignment"}
"""Arguments of Streamlit's functions that are no text for readers."""
UNREAD = {"code", "html", "component", "set_page_config"}
"""Functions whose text is a command, a style or a script, or the product's name."""


def english_shown(path):
    """Return the literal words that a source passes to functions of `st`, or to methods of what they return."""
    shown = []
    for call in ast.walk(ast.parse(path.read_text())):
        if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Attribute) or call.func.attr in UNREAD:
            continue
        if call.func.attr not in dir(streamlit) + dir(streamlit.column_config):
            continue
        values = call.args + [keyword.value for keyword in call.keywords if keyword.arg not in NO_TEXT]
        shown += [text for value in values for text in _literals(value)]
    return [text for text in shown if re.search(r"[A-Za-z]{2}", text)]


def _literals(value):
    """Return the strings of an argument that are no names of fields or files, addresses, commands or formats."""
    inner = (
        ast.walk(value)
        if isinstance(value, ast.JoinedStr | ast.Dict | ast.List | ast.Tuple | ast.BinOp | ast.IfExp)
        else [value]
    )
    strings = [node.value for node in inner if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    not_text = re.compile(r"[a-z_-]+|app_pages/\S*|http://\S*|\.py|`.*`|[,.+0-9]*[f%]?")
    return [text for text in strings if not not_text.fullmatch(text)]


@pytest.mark.parametrize("path", SHOWING, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_no_page_shows_a_text_that_is_not_in_the_catalogues(path):
    assert english_shown(path) == []


def test_a_text_in_a_page_would_be_found(tmp_path):
    page = tmp_path / "page.py"
    page.write_text(
        'left.button("Add", key="add")\nst.tabs(["Paste", x])\nst.info(f"{n} prompts")\nst.code("make run")'
    )
    assert english_shown(page) == ["Add", "Paste", " prompts"]


def page_sections(path):
    """Return the sections of the catalogue that a source names."""
    return set(re.findall(r'words\("(\w+)"\)', path.read_text()))


def page_keys(path):
    """Return (section, name) for each name of the sections that the source names, if it is a string in the source."""
    constants = [node.value for node in ast.walk(TREES[path]) if isinstance(node, ast.Constant)]
    strings = {value for value in constants if isinstance(value, str)}
    names = {section: catalogue("workbench", "en")[section].keys() for section in page_sections(path)}
    return {(section, name) for section in names for name in names[section] & strings}


@pytest.mark.parametrize("path", LOOKING_UP, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_a_page_looks_up_only_texts_that_exist(path):
    """A name that a source takes from `says`, or from `words(section)`, is in a section that the source names."""
    english, source = page_texts("en"), path.read_text()
    assert page_sections(path) <= english.keys()
    known = set().union(*(english[section].keys() for section in page_sections(path)))
    looked_up = set(re.findall(r'says\["(\w+)"\]', source)) | set(re.findall(r'words\("\w+"\)\["(\w+)"\]', source))
    assert looked_up - known == set()


@pytest.mark.parametrize("language", sorted(LANGUAGES.keys() - {"en"}))
def test_every_page_speaks_the_language_of_the_browser(language, filled_pages, browser):
    """The texts of a page are in that language: no text of another catalogue is on it."""
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
        text = page.locator("[data-testid=stMain]").inner_text() + page.locator("[data-testid=stSidebar]").inner_text()
        for other in LANGUAGES.keys() - {language}:
            foreign = set(texts(page_texts(other)).values()) - set(texts(page_texts(language)).values())
            assert {wording for wording in foreign if len(wording) > 8 and wording in text} == set(), (name, other)
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
    expect(page.locator(".card").first).to_have_attribute("aria-label", "回答 1，第 1")  # the unfinished ranking stays
    expect(page.get_by_text("当前标注者：Ann")).to_be_visible()
    page.reload()
    expect(page.get_by_role("button", name="提交")).to_be_visible()
    context.close()

"""Ratings and marked parts of completions, by keys and by mouse, read from the store afterwards."""

import pytest
from playwright.sync_api import expect

from browser import open_ranking
from ranking_steps import fill, press, rankings, submit_and_wait, the_ranking

FORMATTED = "**Pigs** can `fly`, 🐷 they\u202e say:\n\n- the fly said so\n- and $x^2$ too"
"""Shown without its markdown signs; a pig is two of the browser's units, and the override is shown as eight signs."""


@pytest.fixture
def path(tmp_path):
    return tmp_path / "store.db"


def marked(path):
    """Return (text of the completion, marked part, kind) for each span of the one ranking."""
    _, ranking, _, texts = the_ranking(path)
    text = dict(zip(ranking.shown, texts, strict=True))
    return [(text[span.completion], text[span.completion][span.start : span.end], span.kind) for span in ranking.spans]


def test_completions_are_rated_from_1_to_7_if_the_project_asks_for_it(page, server, path):
    fill(path, count=3, ask_ratings=True)
    open_ranking(page, server, path)
    press(page, "1", "v", "6", "2")
    page.locator(".card").nth(1).get_by_role("radio", name="3").click()
    page.locator(".card").nth(2).get_by_role("radio", name="2").click()
    page.locator(".card").nth(2).get_by_role("radio", name="2").click()  # again: removed
    expect(page.locator(".card").first.get_by_role("radio", name="6")).to_be_checked()
    submit_and_wait(page)
    ranking = the_ranking(path)[1]
    assert ranking.ratings == {ranking.shown[0]: 6, ranking.shown[1]: 3}
    assert [len(group) for group in ranking.order] == [1, 1, 1]


def test_ratings_and_marks_are_hidden_unless_the_project_asks_for_them(page, server, path):
    fill(path)
    open_ranking(page, server, path)
    expect(page.locator(".rating:visible, .marking:visible")).to_have_count(0)
    press(page, "v", "1", "m", "2", "3")
    submit_and_wait(page)
    assert the_ranking(path)[1].ratings == {}


def test_words_are_selected_with_arrow_keys_and_marked_by_a_letter(page, server, path):
    fill(path, texts=["one two three four", "a b"], mark_spans=True, flags=("untrue", "harmful"))
    open_ranking(page, server, path)
    place = page.locator(".card .text").all_inner_texts().index("one two three four")
    press(page, *["ArrowRight"] * (place + 1), "m", "ArrowRight", "Shift+ArrowRight", "u")
    expect(page.locator(".marked button")).to_have_text("“two three”: untrue ✕")
    press(page, "m", "h", "u", "m", "h")  # a mark, removed and made again
    press(page, "1", "2")
    submit_and_wait(page)
    text = "one two three four"
    assert marked(path) == [(text, "two three", "untrue"), (text, "one", "harmful")]


@pytest.mark.parametrize("view", ["formatted", "plain"])
def test_text_selected_with_the_mouse_is_marked_at_its_position_in_the_original(page, server, path, view):
    fill(path, texts=[FORMATTED, "Other."], mark_spans=True)
    open_ranking(page, server, path)
    if view == "plain":
        press(page, "p")
    card = page.locator(".card").filter(has_text="Pigs")
    page.evaluate(
        """() => {
            const roots = [...document.querySelectorAll('*')].map((one) => one.shadowRoot).filter(Boolean);
            const texts = roots.flatMap((root) => [...root.querySelectorAll('.card .text')]);
            const card = texts.find((text) => text.textContent.includes('Pigs'));
            const walker = document.createTreeWalker(card, NodeFilter.SHOW_TEXT);
            for (let node = walker.nextNode(); node; node = walker.nextNode()) {
                const at = node.data.indexOf('the fly');
                if (at < 0) continue;
                const range = document.createRange();
                range.setStart(node, at + 4);
                range.setEnd(node, at + 12);
                const selection = card.getRootNode().getSelection();
                selection.removeAllRanges();
                selection.addRange(range);
            }
        }"""
    )
    expect(card.locator(".marks")).to_be_visible()
    card.locator(".marks").get_by_role("button", name="untrue").click()
    expect(card.locator(".marked button")).to_have_text("“fly said”: untrue ✕")
    press(page, "=")
    submit_and_wait(page)
    assert marked(path) == [(FORMATTED, "fly said", "untrue")]


def test_marks_survive_a_reload_and_can_be_removed(page, server, path):
    fill(path, texts=["one two", "a b"], mark_spans=True)
    open_ranking(page, server, path)
    press(page, "ArrowRight", "m", "Shift+ArrowRight", "o", "m", "h")
    page.reload()
    expect(page.locator(".marked button")).to_have_count(2)
    assert page.evaluate("CSS.highlights.get('ranker-marked').size") == 2
    page.locator(".marked button").first.click()
    expect(page.locator(".marked button")).to_have_count(1)
    press(page, "1", "2")
    submit_and_wait(page)
    (span,) = the_ranking(path)[1].spans
    assert (span.start, span.kind) == (0, "harmful")


def test_selecting_text_places_nothing_and_marks_nothing_by_itself(page, server, path):
    fill(path, texts=["one two three four five six", "a b c d e f g h"], mark_spans=True)
    open_ranking(page, server, path)
    box = page.locator(".card .text").first.bounding_box()
    page.mouse.move(box["x"] + 2, box["y"] + 10)
    page.mouse.down()
    page.mouse.move(box["x"] + 60, box["y"] + 10, steps=3)
    page.mouse.up()
    expect(page.locator(".marks:visible")).to_have_count(1)
    press(page, "Escape")
    expect(page.locator(".marks:visible")).to_have_count(0)
    expect(page.locator(".chip")).to_have_count(0)
    assert rankings(path) == []

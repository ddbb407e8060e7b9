"""Reading completions: comparison, one at a time, long texts, code, and scripts from right to left."""

import pytest
from playwright.sync_api import expect

from browser import PATIENCE, open_ranking
from label_data.records import user_prompt
from ranking_steps import fill, press, rankings, submit_and_wait, tray

LONG = [f"{name}\n\n" + "\n\n".join(f"{name} line {number}" for number in range(80)) for name in ("first", "second")]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "store.db"


def parts(page, place, kind):
    return page.locator(".card .text").nth(place).locator(kind).all_inner_texts()


def test_words_that_differ_from_the_selected_completion_are_shown(page, server, path):
    fill(path, texts=["The sky is blue today.", "The sky is green, 今天很好."])
    open_ranking(page, server, path)
    blue = page.locator(".card .text").all_inner_texts().index("The sky is blue today.")
    green = 1 - blue
    press(page, *["ArrowRight"] * (blue + 1), "d")
    assert parts(page, blue, "ins, del") == []
    assert parts(page, green, "del") == ["blue", "today"]
    assert parts(page, green, "ins") == ["green,", "今天很好"]
    press(page, "ArrowRight")  # the other is the chosen one now, and what differs is shown in the first
    assert parts(page, blue, "ins") == ["blue", "today"]
    assert parts(page, green, "ins, del") == []
    press(page, "d")
    expect(page.locator(".card :is(ins, del)")).to_have_count(0)
    press(page, "1", "2")
    submit_and_wait(page)
    assert len(rankings(path)) == 1


def test_completions_can_be_shown_and_ranked_one_at_a_time(page, server, path):
    fill(path)
    open_ranking(page, server, path)
    press(page, "z")
    expect(page.locator(".card:visible")).to_have_count(1)
    press(page, "ArrowRight", "ArrowRight")
    expect(page.locator(".card:visible .number")).to_have_text("3")
    press(page, "3", "1")
    expect(page.locator(".card:visible .number")).to_have_text("1")
    press(page, "z")
    expect(page.locator(".card:visible")).to_have_count(4)
    assert tray(page).rstrip("›") == "3›1"


def heights(page):
    return [box.bounding_box()["height"] for box in page.locator(".card .text").all()]


def test_long_completions_have_equal_height_scroll_together_and_can_be_shown_in_full(page, server, path):
    fill(path, texts=[*LONG, "short"])
    open_ranking(page, server, path)
    assert max(heights(page)) < 620
    assert len({round(box.bounding_box()["height"]) for box in page.locator(".card").all()}) == 1
    assert page.locator(".card .text[tabindex='0']").count() == 2
    press(page, "y")
    first, second = (page.locator(".card .text").filter(has_text=f"{name} line 0") for name in ("first", "second"))
    first.evaluate("text => text.scrollTop = 500")
    expect(second).to_have_js_property("scrollTop", 500, timeout=PATIENCE * 1000)
    press(page, "y")
    first.evaluate("text => text.scrollTop = 0")
    press(page, "l")
    assert min(sorted(heights(page))[1:]) > 1000
    press(page, "l")
    assert max(heights(page)) < 620


def test_short_completions_offer_no_scrolling(page, server, path):
    fill(path)
    open_ranking(page, server, path)
    expect(page.get_by_role("button", name="Show full text")).to_be_hidden()
    expect(page.get_by_role("button", name="Scroll together")).to_be_hidden()


def test_code_is_copied_as_it_was_written(page, window, server, path):
    window.grant_permissions(["clipboard-read", "clipboard-write"])
    fill(path, texts=["Here:\n\n```python\nprint('sky')\n```", "None."])
    open_ranking(page, server, path)
    page.get_by_role("button", name="Copy code").click()
    expect(page.locator(".saving")).to_have_text("Copied.")
    assert page.evaluate("navigator.clipboard.readText()") == "print('sky')\n"
    expect(page.locator(".chip")).to_have_count(0)


ARABIC, HEBREW = "السماء زرقاء بسبب تشتت الضوء.", "השמיים כחולים בגלל פיזור האור."


def test_arabic_and_hebrew_run_from_right_to_left_and_latin_does_not(page, server, path):
    fill(path, user_prompt("لماذا السماء زرقاء؟"), texts=[ARABIC, f"{HEBREW}\n\nIn English: scattering.", "Light."])
    open_ranking(page, server, path)
    direction = "element => getComputedStyle(element).direction"
    assert page.locator(".prompt .text").evaluate(direction) == "rtl"
    assert page.locator(".card .text").filter(has_text=ARABIC).evaluate(direction) == "rtl"
    assert page.locator(".card .text").filter(has_text="Light.").evaluate(direction) == "ltr"
    mixed = page.locator(".card .text").filter(has_text=HEBREW)
    words = mixed.locator("p").nth(1)
    assert words.evaluate("element => getComputedStyle(element).unicodeBidi") == "plaintext"
    box = words.bounding_box()
    line = words.evaluate(
        "element => { const r = new Range(); r.selectNodeContents(element); return r.getBoundingClientRect().x }"
    )
    assert line - box["x"] < 2  # the English paragraph begins at the left, in a text that runs from the right
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_active_minutes_are_shown_and_a_break_is_suggested_after_50_minutes(page, server, path):
    """51 signs of the person a minute apart: 51 minutes without a break. Ten minutes of nothing then count as one."""
    page.add_init_script(
        "const real = performance.now.bind(performance); window.later = 0; performance.now = () => real() + later;"
    )
    fill(path)
    open_ranking(page, server, path)
    today = page.locator(".today")
    expect(today).to_have_text("3 ranked today")
    for _ in range(51):
        page.evaluate("window.later += 60e3")
        press(page, "1")
    expect(today).to_contain_text("3 ranked today · 51 min · Time for a short break?")
    page.evaluate("window.later += 600e3")
    press(page, "1")
    expect(today).to_have_text("3 ranked today · 52 min")

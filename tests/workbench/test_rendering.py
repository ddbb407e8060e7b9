"""Model text becomes HTML that shows the text and contains nothing active."""

from html.parser import HTMLParser

import pytest

from hostile_texts import HOSTILE
from workbench.rendering import LONGEST_FORMULA, LONGEST_MARKDOWN, literal, rendered, visible, with_literal_code

INERT_TAGS = {
    *(
        "p",
        "br",
        "hr",
        "h1",
        "h2",
        "h3",
        "h4",
        "h5",
        "h6",
        "ul",
        "ol",
        "li",
        "blockquote",
        "pre",
        "code",
        "em",
        "strong",
    ),
    *(
        "s",
        "a",
        "table",
        "thead",
        "tbody",
        "tr",
        "th",
        "td",
        "span",
        "math",
        "mrow",
        "mi",
        "mn",
        "mo",
        "mtext",
        "mfrac",
    ),
    *("msup", "msub", "mstyle"),
}
INERT_ATTRIBUTES = {"class", "href", "title", "target", "rel", "display", "start", "stretchy"}


class Elements(HTMLParser):
    """Every element of a page with its attributes, and the text between them."""

    def __init__(self, html):
        super().__init__()
        self.found, self.text = [], ""
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_becomes_elements_that_run_and_load_nothing(text):
    for tag, attributes in Elements(rendered(text.replace("BEACON", "http://beacon.example"))).found:
        assert tag in INERT_TAGS
        assert attributes.keys() <= INERT_ATTRIBUTES
        assert attributes.get("class", "") not in {"submit", "card", "chip"}
        if "href" in attributes:
            assert attributes["href"].startswith(("http://", "https://", "mailto:"))


def test_html_is_shown_as_text():
    text = "<script>alert(1)</script> and <b>bold</b>"
    assert Elements(rendered(text)).text.strip() == text


def test_an_image_is_shown_as_its_description_and_address():
    assert "image: a leaf (http://example.org/leaf.png)" in rendered("![a leaf](http://example.org/leaf.png)")


def test_a_link_opens_a_new_tab_without_a_referrer():
    ((_, paragraph), (tag, link)) = Elements(rendered("[page](https://example.org/a)")).found
    assert (paragraph, tag) == ({}, "a")
    assert link == {"href": "https://example.org/a", "target": "_blank", "rel": "noopener noreferrer nofollow"}


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("**a** and ~~b~~", "<p><strong>a</strong> and <s>b</s></p>"),
        ("a line\nand another", "<p>a line<br>\nand another</p>"),
        ("a < b & c", "<p>a &lt; b &amp; c</p>"),
        ("It costs $5 and $10, or $5-$10.", "<p>It costs $5 and $10, or $5-$10.</p>"),
        (r"escaped \*stars\*", "<p>escaped *stars*</p>"),
        (r"no end \( here", "<p>no end ( here</p>"),
    ],
)
def test_markdown_is_rendered_as_people_expect(text, html):
    assert rendered(text).strip() == html


def test_a_table_keeps_its_alignment_without_a_style():
    html = rendered("|a|b|\n|-|-:|\n|1|2|")
    assert '<th class="right">b</th>' in html
    assert '<td class="right">2</td>' in html
    assert "<td>1</td>" in html


X_SQUARED = "<mrow><msup><mi>x</mi><mn>2</mn></msup></mrow></math>"


@pytest.mark.parametrize("text", ["$x^2$", r"\(x^2\)", r"so \(x^2\), then"])
def test_inline_maths_becomes_mathml(text):
    assert f'<span class="formula"><math display="inline">{X_SQUARED}</span>' in rendered(text)


@pytest.mark.parametrize(
    "text", ["$$x^2$$", r"\[x^2\]", "\\[\nx^2\n\\]", "text\n\\[\nx^2\n\\]\ntext", r"so \[x^2\] then"]
)
def test_displayed_maths_becomes_mathml(text):
    assert f'<span class="display"><math display="block">{X_SQUARED}</span>' in rendered(text)


def test_two_displayed_formulas_on_one_line_are_kept_apart():
    assert rendered(r"\[ x^2 \] and \[ x^2 \]").count(X_SQUARED) == 2


@pytest.mark.parametrize("source", [r"\frac{1}{", r"\text{a<b>c</b>}", "x^" * LONGEST_FORMULA])
def test_an_invalid_formula_is_shown_as_code(source):
    page = Elements(rendered(f"${source}$"))
    assert [tag for tag, _ in page.found] == ["p", "span", "code"]
    assert page.text.strip() == source


def test_code_is_highlighted_by_classes_and_unknown_languages_are_left_plain():
    assert '<span class="k">def</span>' in rendered("```python\ndef f(): pass\n```")
    assert rendered("```klingon\nx < y\n```").strip() == "<pre><code>x &lt; y\n</code></pre>"


def test_characters_that_override_the_direction_are_shown_by_their_code_point():
    """U+202E would make "exe.txt" of "txt.exe"; ordinary marks of Hebrew and Arabic stay."""
    assert visible("a\u202etxt.exe") == "a⟨U+202E⟩txt.exe"
    assert "\u202e" not in rendered("a\u202etxt.exe")
    assert visible("\u200fשלום") == "\u200fשלום"


def test_a_text_too_long_to_parse_is_shown_unformatted():
    text = "**<b>** " * (LONGEST_MARKDOWN // 8 + 1)
    page = Elements(rendered(text))
    assert [tag for tag, _ in page.found] == ["pre"]
    assert page.text == text


@pytest.mark.parametrize("unit", ["\\[\n", "\\(", "[", "$a", "*a "])
def test_text_crafted_to_be_slow_is_rendered_in_full(unit):
    """A rule that looked for the missing end from each beginning took three minutes for the first of these."""
    text = (unit * LONGEST_MARKDOWN)[:LONGEST_MARKDOWN]
    assert len(Elements(rendered(text)).text) > LONGEST_MARKDOWN / 4


def test_a_literal_text_is_one_paragraph_of_escapes():
    assert literal("a *b*\n\n:red[c] :x:") == "a \\*b\\* \\:red\\[c\\] \\:\u2060x\\:"
    assert literal("a -> b --c http://d:8") == "a \\-\u2060\\> b \\-\\-c http\\:\\/\\/d\\:8"


def test_arrows_and_emoji_names_in_code_are_kept_from_streamlit_and_other_text_is_left_alone():
    assert with_literal_code("a -> `b -> :smile: c` | --- |") == "a -> `b -\u2060> :\u2060smile: c` | --- |"
    assert with_literal_code("``x ` -> y`` -> z") == "``x ` -\u2060> y`` -> z"

"""Render text that a model or a stranger wrote as HTML that can neither run scripts nor reach the network.

Three layers, each enough against most attacks: markdown-it ignores HTML and creates no images; maths becomes MathML
whose elements are checked; finally an allow-list (nh3) keeps only the elements, attributes and classes named here.
None of them is a `src`, `style`, `id` or event handler, and the only address is the target of a link.
"""

import re
from collections.abc import Sequence
from functools import lru_cache
from html import escape
from itertools import accumulate
from xml.etree import ElementTree

import nh3
from latex2mathml.converter import convert
from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.ruler import RuleOptionsType
from markdown_it.rules_block import StateBlock
from markdown_it.rules_inline import StateInline
from markdown_it.token import Token
from markdown_it.utils import EnvType, OptionsDict
from mdit_py_plugins.dollarmath import dollarmath_plugin
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import get_lexer_by_name
from pygments.token import STANDARD_TYPES
from pygments.util import ClassNotFound

LONGEST_MARKDOWN = 30_000
"""Characters; longer text is shown unformatted. Text crafted to be slow takes up to 2 s at this length."""
LONGEST_FORMULA = 2_000
"""Characters; a longer formula is shown as code."""
LONGEST_HIGHLIGHTED = 20_000
"""Characters; longer code is not highlighted."""

MATHML = {
    "math", "mrow", "mi", "mn", "mo", "ms", "mtext", "mspace", "mfrac", "msqrt", "mroot", "msup", "msub", "msubsup",
    "munder", "mover", "munderover", "mtable", "mtr", "mtd", "mstyle", "mpadded", "mphantom", "menclose",
}  # fmt: skip
TEXT = {
    "p", "br", "hr", "h1", "h2", "h3", "h4", "h5", "h6", "ul", "ol", "li", "blockquote", "pre", "code", "em", "strong",
    "s", "a", "table", "thead", "tbody", "tr", "th", "td", "span",
}  # fmt: skip
ATTRIBUTES = {
    "a": {"href", "title"},
    "ol": {"start"},
    "math": {"display"},
    "mo": {"stretchy", "fence", "form", "separator", "minsize", "maxsize"},
    "mi": {"mathvariant"},
    "mfrac": {"linethickness"},
    "mtable": {"displaystyle", "columnalign", "rowspacing", "columnspacing"},
    "mtd": {"columnalign"},
    "mstyle": {"displaystyle", "scriptlevel"},
    "menclose": {"notation"},
}
CLASSES = {
    "span": {"image", "formula", "display"} | {name for name in STANDARD_TYPES.values() if name},
    "th": {"left", "center", "right"},
    "td": {"left", "center", "right"},
}
_ALLOW_LIST = nh3.Cleaner(
    tags=TEXT | MATHML,
    attributes=ATTRIBUTES,
    allowed_classes=CLASSES,
    url_schemes={"http", "https", "mailto"},
    url_relative="deny",
    link_rel="noopener noreferrer nofollow",
    set_tag_attribute_values={"a": {"target": "_blank"}},
)
SHOWN_OVERRIDE = len("⟨U+202D⟩")
_OVERRIDES = {"\u202d": "U+202D", "\u202e": "U+202E"}


def rendered(text: str) -> str:
    """Return markdown as HTML that is safe to assign to innerHTML.

    Supports tables, strikethrough, highlighted code and maths in $…$, $$…$$, \\(…\\) and \\[…\\]. Line breaks are kept.
    HTML is shown as text; an image becomes its description and address, as text. Characters that override the writing
    direction, which can disguise one text as another, are shown by their code point.
    """
    return _formatted(text) if len(text) <= LONGEST_MARKDOWN else f"<pre>{escape(visible(text))}</pre>"


@lru_cache(maxsize=2_048)
def _formatted(text: str) -> str:
    """Return the text as HTML. Cached, because each task is rendered twice: sent ahead, and again when it is shown."""
    return _ALLOW_LIST.clean(_MARKDOWN.render(visible(text)))


def visible(text: str) -> str:
    """Return the text with each character that overrides the writing direction replaced by its code point."""
    return re.sub("[\u202d\u202e]", lambda match: f"⟨{_OVERRIDES[match[0]]}⟩", text)


def literal(text: str) -> str:
    """Return markdown that Streamlit shows as the given text, with white space folded.

    Use it for text written by people in a label, caption or message. Every punctuation mark is escaped.
    """
    return re.sub(r"([!-/:-@\[-`{-~])", r"\\\1", _unreplaced(" ".join(visible(text).split())))


def with_literal_code(markdown: str) -> str:
    """Return the markdown with code spans that Streamlit shows as they are."""
    return re.sub(r"(?<!`)(`+)(?!`).+?(?<!`)\1(?!`)", lambda span: _unreplaced(span[0]), markdown)


def _unreplaced(text: str) -> str:
    """Return the text with an invisible joiner inside everything that Streamlit replaces in any text, even in code.

    That is :names: of emoji and icons, and lone arrows. Escapes don't help: Streamlit has read them by then.
    """
    return re.sub(r":(?=(?:material/)?[\w+-]+:)|(?<!\S)[<>~-](?=[->=]+(?!\S))", "\\g<0>\u2060", text)


def overrides(text: str) -> list[int]:
    """Return where `visible` replaced a character: offsets in its result, in UTF-16 units as browsers count."""
    parts = re.split("[\u202d\u202e]", text)
    starts = accumulate(len(part.encode("utf-16-le")) // 2 + SHOWN_OVERRIDE for part in parts[:-1])
    return [start - SHOWN_OVERRIDE for start in starts]


def _formula(_self: RendererHTML, tokens: Sequence[Token], index: int, _options: OptionsDict, _env: EnvType) -> str:
    """Return LaTeX as MathML; as code if it is too long, invalid, or yields an element that is not MathML."""
    source, is_inline = tokens[index].content.strip(), tokens[index].type == "math_inline"
    kind, name = ("inline", "formula") if is_inline else ("block", "display")
    as_written = f'<span class="{name}"><code>{escape(source)}</code></span>'
    if len(source) > LONGEST_FORMULA:
        return as_written
    try:
        mathml = convert(source, display=kind)
        names = {element.tag.rpartition("}")[2] for element in ElementTree.fromstring(mathml).iter()}
    except Exception:  # a formula may raise anything: the converter's own errors, IndexError, RecursionError …
        return as_written
    return f'<span class="{name}">{mathml}</span>' if names <= MATHML else as_written


def _highlighted(code: str, language: str, _attributes: str) -> str:
    """Return the code with a class on each token, or "" to have it escaped and left plain."""
    if not language or len(code) > LONGEST_HIGHLIGHTED:
        return ""
    try:
        html: str = highlight(code, get_lexer_by_name(language), HtmlFormatter(nowrap=True))
        return html
    except ClassNotFound:
        return ""


def _image(_self: RendererHTML, tokens: Sequence[Token], index: int, _options: OptionsDict, _env: EnvType) -> str:
    address = str(tokens[index].attrGet("src") or "")
    return f'<span class="image">image: {escape(tokens[index].content)} ({escape(address)})</span>'


def _aligned(self: RendererHTML, tokens: Sequence[Token], index: int, options: OptionsDict, env: EnvType) -> str:
    """Write a table cell's alignment as a class, because no style attribute may pass."""
    style = str(tokens[index].attrGet("style") or "")
    tokens[index].attrs = {"class": style.removeprefix("text-align:")} if style else {}
    return self.renderToken(tokens, index, options, env)


def _backslash_formula(state: StateInline, silent: bool) -> bool:
    r"""Read \(…\) and \[…\] inside a paragraph. A missing end is searched for once, not from every beginning."""
    opening = state.src[state.pos : state.pos + 2]
    if opening not in (r"\(", r"\["):
        return False
    closing = r"\)" if opening == r"\(" else r"\]"
    end = -1 if state.env.get(closing) == state.src else state.src.find(closing, state.pos + 2, state.posMax)
    if end < 0:
        state.env[closing] = state.src
        return False
    if not silent:
        token = state.push("math_inline" if opening == r"\(" else "math_inline_double", "math", 0)
        token.content = state.src[state.pos + 2 : end]
    state.pos = end + 2
    return True


def _backslash_block(state: StateBlock, first: int, last: int, silent: bool) -> bool:
    r"""Read \[ at the start of a line up to \] at the end of the same or a later line, with no empty line between."""
    begin = state.bMarks[first] + state.tShift[first]
    if not state.src.startswith(r"\[", begin) or state.is_code_block(first):
        return False
    if first < state.env.get("no formula ends before line", 0):
        return False
    for line in range(first, last):
        text = state.src[state.bMarks[line] + state.tShift[line] : state.eMarks[line]].rstrip()
        if not text or text.endswith(r"\]"):
            break
    if not text.endswith(r"\]"):
        state.env["no formula ends before line"] = line
        return False
    content = state.getLines(first, line + 1, state.blkIndent, False).strip()[2:-2]
    if r"\]" in content:  # two formulas on one line: the inline rule reads them
        return False
    if not silent:
        token = state.push("math_block", "math", 0)
        token.block = True
        token.content = content
        token.map = [first, line + 1]
        state.line = line + 1
    return True


def _markdown() -> MarkdownIt:
    markdown = MarkdownIt("commonmark", {"html": False, "breaks": True, "highlight": _highlighted})
    markdown.enable(["table", "strikethrough"])
    markdown.use(dollarmath_plugin, allow_labels=False, allow_space=False, allow_digits=False, double_inline=True)
    markdown.inline.ruler.before("escape", "backslash_formula", _backslash_formula)
    stops_a_paragraph: RuleOptionsType = {"alt": ["paragraph", "blockquote", "list"]}
    markdown.block.ruler.before("fence", "backslash_block", _backslash_block, stops_a_paragraph)
    for kind in ("math_inline", "math_inline_double", "math_block"):
        markdown.add_render_rule(kind, _formula)
    markdown.add_render_rule("image", _image)
    markdown.add_render_rule("th_open", _aligned)
    markdown.add_render_rule("td_open", _aligned)
    return markdown


_MARKDOWN = _markdown()

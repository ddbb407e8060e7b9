"""The wording of the pages, in the language of whoever reads them.

Pages look their own texts up by section and name, such as the section "rank" of workbench/languages/zh.json. What the
worker and the other packages say arrives as a Sentence or an InputError, which renders itself in a language.
"""

import re
from functools import lru_cache
from typing import Any

from label_data.errors import InputError
from label_data.sentences import LANGUAGES, PLAIN, Sentence, catalogue

LONGEST_MESSAGE = 2_000
"""Characters; a longer one quotes something at length, and stays as it is."""


def page_texts(language: str) -> dict[str, Any]:
    """Return every text of the pages in a language, by section: "frame", "rank", "ranker" …"""
    return catalogue("workbench", language)


def nearest_language(locale: str | None) -> str:
    """Return the language for a browser's locale, or list of them, such as "zh-CN,en": that of the first entry."""
    code = re.split("[-_,;]", locale or "")[0].strip().lower()
    return code if code in LANGUAGES else "en"


def filled(wording: str, **values: Any) -> str:
    """Return the wording with each {name} replaced by its value, which may hold braces itself."""
    return wording.format_map({name: str(value) for name, value in values.items()})


def rendered_message(message: Sentence | InputError | str, language: str) -> str:
    """Return a message of another package or of the worker in a language; a plain text, if it is known, too."""
    sentence = message.sentence if isinstance(message, InputError) else message
    if isinstance(message, str) or (isinstance(sentence, Sentence) and sentence.key == PLAIN):
        return translated(str(message), language)
    return message.render(language)


def translated(message: str, language: str) -> str:
    """Return a message of the floors below, or of the worker, in this language; an unknown one as it is.

    Those know no language: they raise, and keep in the store, English sentences. The section "messages" of each
    catalogue has them by key, so the English one tells which it is and which values it holds. A value may be such a
    message itself: "3 of 12 prompts sampled. " and then what the policy does.
    """
    if len(message) > LONGEST_MESSAGE:
        return message
    for key, pattern in _patterns():
        if found := pattern.fullmatch(message):
            values = {name: translated(value, language) for name, value in found.groupdict().items()}
            return filled(page_texts(language)["messages"][key], **values)
    return message


@lru_cache(maxsize=1)
def _patterns() -> list[tuple[str, re.Pattern[str]]]:
    """Return the key of each English message with what matches it; those that fix the most characters come first."""
    found = []
    for key, sentence in page_texts("en")["messages"].items():
        fixed = re.split(r"{(\w+)}", sentence)  # text, name, text, name … text
        parts = [f"(?P<{part}>.+?)" if place % 2 else re.escape(part) for place, part in enumerate(fixed)]
        found.append((sum(map(len, fixed[::2])), key, re.compile("".join(parts), re.DOTALL)))
    return [(key, pattern) for _, key, pattern in sorted(found, key=lambda one: -one[0])]

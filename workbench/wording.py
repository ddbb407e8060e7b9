"""The wording of the pages, in the reader's language.

Pages look their own texts up by section and name, such as the section "rank" of workbench/languages/zh.json. Messages
of the worker and of the other packages arrive as a Sentence or an InputError, which renders itself in a language.
"""

import re
from typing import Any

from label_data.errors import InputError
from label_data.sentences import LANGUAGES, Sentence, catalogue


def page_texts(language: str) -> dict[str, Any]:
    """Return every text of the pages in a language, by section: "frame", "rank", "ranker" …"""
    return catalogue("workbench", language)


def nearest_language(locale: str | None) -> str:
    """Return the language for a browser's locale; of a list such as "zh-CN,en", the first entry decides."""
    code = re.split("[-_,;]", locale or "")[0].strip().lower()
    return code if code in LANGUAGES else "en"


def filled(wording: str, **values: Any) -> str:
    """Return the wording with each {name} replaced by its value, which may hold braces itself."""
    return wording.format_map({name: str(value) for name, value in values.items()})


def rendered_message(message: Sentence | InputError | str, language: str) -> str:
    """Return a message of another package or of the worker in a language; a plain text as it is."""
    return message if isinstance(message, str) else message.render(language)

"""What people read around the texts they rank, in three languages: one catalogue a file.

Each catalogue has the same keys, placeholders and list lengths as en.json; tests/test_languages.py compares them.
A placeholder is {name}; `filled` puts a value there.
"""

import json
import re
from functools import lru_cache
from pathlib import Path
from typing import Any

LANGUAGES = {"en": "English", "zh": "简体中文", "ja": "日本語"}
"""Code -> what its speakers call it. Each is the name of a file in this folder, and a `lang` attribute."""
LONGEST_MESSAGE = 2_000
"""Characters; a longer one quotes something at length, and stays as it is."""


@lru_cache
def catalogue(language: str) -> dict[str, Any]:
    """Return every sentence of a language, by section: "frame", "rank", "ranker" …"""
    return json.loads(Path(__file__).with_name(f"{language}.json").read_text(encoding="utf-8"))


def nearest_language(wanted: str | None) -> str:
    """Return the language for a browser's locale, or list of them, such as "zh-CN,en": the one it begins with."""
    code = re.split("[-_,;]", wanted or "")[0].strip().lower()
    return code if code in LANGUAGES else "en"


def filled(sentence: str, **values: Any) -> str:
    """Return the sentence with each {name} replaced by its value, which may hold braces itself."""
    return sentence.format_map({name: str(value) for name, value in values.items()})


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
            return filled(catalogue(language)["messages"][key], **values)
    return message


@lru_cache(maxsize=1)
def _patterns() -> list[tuple[str, re.Pattern[str]]]:
    """Return the key of each English message with what matches it; those that fix the most characters come first."""
    found = []
    for key, sentence in catalogue("en")["messages"].items():
        fixed = re.split(r"{(\w+)}", sentence)  # text, name, text, name … text
        parts = [f"(?P<{part}>.+?)" if place % 2 else re.escape(part) for place, part in enumerate(fixed)]
        found.append((sum(map(len, fixed[::2])), key, re.compile("".join(parts), re.DOTALL)))
    return [(key, pattern) for _, key, pattern in sorted(found, key=lambda one: -one[0])]

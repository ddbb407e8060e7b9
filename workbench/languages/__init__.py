"""What annotators read around the texts they rank, in three languages: one catalogue a file.

Each catalogue has the same keys, placeholders and list lengths as en.json; tests/test_languages.py compares them.
A placeholder is {name}; `filled` puts a value there.
"""

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

LANGUAGES = {"en": "English", "zh": "简体中文", "ja": "日本語"}
"""Code -> what its speakers call it. Each is the name of a file in this folder, and a `lang` attribute."""


@lru_cache
def catalogue(language: str) -> dict[str, Any]:
    """Return every sentence of a language, by section: "frame", "rank", "ranker" …"""
    return json.loads(Path(__file__).with_name(f"{language}.json").read_text(encoding="utf-8"))


def nearest_language(wanted: str | None) -> str:
    """Return the language for a browser's locale such as "zh-CN": the one it begins with, else English."""
    code = (wanted or "").replace("_", "-").partition("-")[0].lower()
    return code if code in LANGUAGES else "en"


def filled(sentence: str, **values: Any) -> str:
    """Return the sentence with each {name} replaced by its value, which may hold braces itself."""
    return sentence.format_map({name: str(value) for name, value in values.items()})

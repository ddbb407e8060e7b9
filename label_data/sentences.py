"""Sentences for people, by key: written once for each language, in the catalogues beside the package that says them.

The key "reward.head.too_few" names the sentence "too_few" in the section "head" of reward/languages/en.json, zh.json
and ja.json. Code never holds the words of a sentence that a person reads; it holds the key and the values.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.resources import files
from typing import Any

LANGUAGES = {"en": "English", "zh": "简体中文", "ja": "日本語"}
"""Code -> what its speakers call the language. Each package has a catalogue for each code."""
PLAIN = "label_data.plain.text"
"""The key of a sentence that is a text already, such as one that an earlier version stored."""


@lru_cache
def catalogue(package: str, language: str = "en") -> dict[str, Any]:
    """Return the sentences of one package in one language, by section."""
    text = files(package).joinpath("languages", f"{language}.json").read_text(encoding="utf-8")
    sections: dict[str, Any] = json.loads(text)
    return sections


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence that is not in any language yet: the key of its wording, and the values to fill in."""

    key: str
    """PACKAGE.SECTION.NAME."""
    values: Mapping[str, Any] = field(default_factory=dict)
    """Texts, numbers, or sentences: a sentence is rendered in the same language as the one it is part of."""

    def __hash__(self) -> int:
        # A reason why rows are left out is the key of a Counter.
        return hash((self.key, *sorted(self.values.items())))

    def __str__(self) -> str:
        return self.render("en")

    def render(self, language: str) -> str:
        """Return the sentence in a language. Placeholders are those of `str.format`: {count:,}, {name!r}."""
        package, section, name = self.key.split(".")
        wording: str = catalogue(package, language)[section][name]
        return wording.format_map({name: _rendered(value, language) for name, value in self.values.items()})

    @property
    def as_json(self) -> str:
        """The sentence as the store keeps it; `sentence_from` reads it back."""
        return json.dumps(_encoded(self), ensure_ascii=False)


def say(key: str, /, **values: Any) -> Sentence:
    """Return the sentence of this key with these values."""
    return Sentence(key, values)


def plain(text: str) -> Sentence:
    """Return a sentence for a text that is the same in every language."""
    return Sentence(PLAIN, {"text": text})


def sentence_from(text: str) -> Sentence:
    """Return the sentence that `as_json` wrote; any other text, such as an earlier version's, as it is."""
    try:
        return _decoded(json.loads(text))
    except (ValueError, KeyError, TypeError, AttributeError):
        return plain(text)


def _rendered(value: Any, language: str) -> Any:
    return value.render(language) if hasattr(value, "render") else value


def _encoded(sentence: Any) -> dict[str, Any]:
    values = {
        name: _encoded(value) if hasattr(value, "render") else value if isinstance(value, int | float) else str(value)
        for name, value in sentence.values.items()
    }
    return {"key": sentence.key, "values": values}


def _decoded(encoded: dict[str, Any]) -> Sentence:
    values = {name: _decoded(value) if isinstance(value, dict) else value for name, value in encoded["values"].items()}
    sentence = Sentence(encoded["key"], values)
    str(sentence)  # raises KeyError for a sentence that this version does not have
    return sentence

"""Rows of a file from outside, read within limits: JSON lines, plain or gzip, JSON lists, and Parquet.

Nothing is trusted: lines_in.py and parquet_in.py check the bytes, this file the values. Every fault is one InputError
that names the file, the line or row, the field, what is there, and what to do.
"""

import json
import math
import re
from collections import Counter
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import orjson

from label_data.errors import InputError
from label_data.files.elements_in import elements
from label_data.files.lines_in import LONGEST_LINE, read_lines, read_text
from label_data.files.parquet_in import parquet_lines
from label_data.files.places import at_element, at_line, at_row, fault, located
from label_data.records import check_text
from label_data.sentences import Sentence, plain, say

DEEPEST = 40
"""Lists and objects that may lie inside one another."""
MAX_VALUES = 300_000
"""Values that one line may have: an empty object takes 2 bytes in the file and 64 in memory."""
QUOTED = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"')
WHOLE = range(-(2**63), 2**63)
"""Whole numbers that every database can keep."""
UNSURE = object()
"""Instead of a value: the fast parser can't vouch for it."""
TEXT, LIST, OBJECT, TRUTH = (
    say("label_data.files.kind_text"),
    say("label_data.files.kind_list"),
    say("label_data.files.kind_object"),
    say("label_data.files.kind_truth"),
)
_Kind = TypeVar("_Kind", str, bool, list[Any], dict[str, Any])


@dataclass(frozen=True, slots=True)
class Row:
    """One object of a file and its place; a field that is null counts as missing."""

    where: Sentence
    """For messages: "pairs.jsonl, line 3"."""
    fields: dict[str, Any]  # any JSON: each reader asks for the type that it needs
    within: str = ""
    """For an object inside the row, the path to it: "completions[2]."."""

    def refuse(self, name: str, problem: Sentence) -> NoReturn:
        """Raise the InputError that names the field and says what is wrong with it."""
        raise fault(self.where, problem, self.within + name)

    def text(self, name: str, default: str | None = None) -> str:
        """Return the field's text; a missing one is `default`, or an error if that is None."""
        return self._of_type(name, str, TEXT, default)

    def whole(self, name: str) -> int | None:
        """Return the field's whole number of 64 bits, or None if it is missing."""
        value = self.fields.get(name)
        if value is None:
            return None
        if type(value) is not int or value not in WHOLE:
            self.refuse(name, say("label_data.files.not_whole", found=described(value)))
        return value

    def number(self, name: str) -> float | None:
        """Return the field's finite number, or None if it is missing."""
        value = self.fields.get(name)
        if value is None:
            return None
        if type(value) not in (int, float) or not math.isfinite(value):
            self.refuse(name, say("label_data.files.not_number", found=described(value)))
        return float(value)

    def required_number(self, name: str) -> float:
        """Return the field's finite number, or refuse the row if it is missing."""
        value = self.number(name)
        if value is None:
            self.refuse(name, say("label_data.files.number_missing"))
        return value

    def truth(self, name: str) -> bool:
        """Return the field's true or false; a missing one is false."""
        return self._of_type(name, bool, TRUTH, False)

    def items(self, name: str, required: bool = False) -> list[Any]:
        """Return the field's list; a missing one is empty, or an error if `required`."""
        return self._of_type(name, list, LIST, None if required else [])

    def texts(self, name: str) -> list[str]:
        """Return the field's list of texts; a missing one is empty."""
        texts = self.items(name)
        for place, value in enumerate(texts, start=1):
            if not isinstance(value, str):
                self.refuse(f"{name}[{place}]", _wrong_kind(value, TEXT))
        return texts

    def object(self, name: str) -> "Row":
        """Return the field's object as a row of its own; a missing one has no fields."""
        fields: dict[str, Any] = self._of_type(name, dict, OBJECT, {})
        return Row(self.where, fields, f"{self.within}{name}.")

    def inner(self, name: str) -> list["Row"]:
        """Return the objects of the field's list as rows of their own; a missing list is empty."""
        rows = []
        for place, value in enumerate(self.items(name), start=1):
            if not isinstance(value, dict):
                self.refuse(f"{name}[{place}]", say("label_data.files.not_object", found=described(value)))
            rows.append(Row(self.where, value, f"{self.within}{name}[{place}]."))
        return rows

    def allow_only(self, *names: str) -> None:
        """Raise InputError if the object has a field of another name: a misspelt one would be lost."""
        for name in self.fields:
            if name not in names and self.fields[name] is not None:
                self.refuse(printable(name), say("label_data.files.unknown_field", names=", ".join(names)))

    def _of_type(self, name: str, kind: type[_Kind], expected: Sentence, default: _Kind | None) -> _Kind:
        value = self.fields.get(name)
        if value is None:
            if default is None and self.fields:
                self.refuse(name, say("label_data.files.missing", names=listed(self.fields), expected=expected))
            if default is None:
                self.refuse(name, say("label_data.files.missing_all", expected=expected))
            return default
        if not isinstance(value, kind):
            self.refuse(name, _wrong_kind(value, expected))
        return value


def _wrong_kind(value: Any, expected: Sentence) -> Sentence:
    return say("label_data.files.wrong_kind", found=described(value), expected=expected)


def described(value: Any) -> Sentence:
    """Return what kind of JSON value this is, in a few words."""
    if isinstance(value, bool) or value is None:
        return plain(json.dumps(value))
    if isinstance(value, int | float):
        short = isinstance(value, float) or abs(value) < 1e20
        return say("label_data.files.kind_number", number=value) if short else say("label_data.files.kind_digits")
    if isinstance(value, str):
        return TEXT
    if isinstance(value, list):
        return LIST
    return OBJECT if isinstance(value, dict) else plain(type(value).__name__)


def printable(name: str) -> str:
    """Return a field's name as a terminal can show it without executing any of it."""
    return name if name.isprintable() else ascii(name)


def listed(names: Iterable[str]) -> str:
    """Return the first eleven names with commas between them: a hostile file has a million."""
    first = [printable(name)[:60] for name in islice(names, 12)]
    return ", ".join(first[:11] + ["…"] * (len(first) > 11))


def read_rows(path: Path, name: str = "") -> Generator[Row, None, None]:
    """Yield the file's rows as its name ends: .parquet, .json for one list, or else JSON lines; .gz is unpacked.

    `name` replaces the path in messages, for a file that was uploaded.
    """
    name = name or str(path)
    if path.suffix.lower() == ".parquet":
        for number, line in parquet_lines(path, name):
            where = at_row(name, number)
            yield Row(where, parsed(line, where, constant=float))
    elif path.name.lower().removesuffix(".gz").endswith(".json") and _is_list(path, name):
        yield from (_row(text, at_element(name, number)) for number, text in elements(read_text(path, name), name))
    else:
        yield from (_row(line, at_line(name, number)) for number, line in read_lines(path, name) if not line.isspace())


def _row(text: str, where: Sentence) -> Row:
    value = parsed(text, where)
    if not isinstance(value, dict):
        raise fault(where, say("label_data.files.no_row", found=described(value)))
    return Row(where, value)


def _is_list(path: Path, name: str) -> bool:
    """Tell a JSON list from JSON lines, both of which are called .json."""
    return next((piece for piece in read_text(path, name) if not piece.isspace()), "").lstrip().startswith("[")


def parsed(text: str, where: Sentence, field: str = "", constant: Callable[[str], float] | None = None) -> Any:
    """Return the JSON text's value, checked; `constant` converts NaN and Infinity.

    Raises InputError at invalid JSON, at a name that appears twice in one object, at NaN and Infinity without a
    `constant`, at nesting deeper than `DEEPEST`, at more values than `MAX_VALUES`, and at text that no database can
    keep.
    """
    value = _parsed_fast(text)
    return _parsed_strictly(text, where, field, constant) if value is UNSURE else value


def _parsed_strictly(text: str, where: Sentence, field: str, constant: Callable[[str], float] | None) -> Any:
    if _separators(text) > MAX_VALUES and _separators(QUOTED.sub("", text)) > MAX_VALUES:
        raise fault(where, say("label_data.files.many_values", limit=MAX_VALUES), field)
    try:
        value = json.loads(text, object_pairs_hook=_each_once, parse_float=_finite, parse_constant=constant or _finite)
    except InputError as error:
        raise fault(where, error.sentence, field) from None
    except RecursionError:
        raise fault(where, say("label_data.files.deep", limit=DEEPEST), field) from None
    except json.JSONDecodeError as error:
        character = min(error.pos, len(text.rstrip())) + 1
        problem = say("label_data.files.json_invalid", character=character, error=error.msg)
        raise fault(where, problem, field) from None
    except ValueError:
        raise fault(where, say("label_data.files.long_number"), field) from None
    _check(value, where, field, 0)
    return value


def _parsed_fast(text: str) -> Any:
    """Return the value of ordinary JSON, or `UNSURE`.

    orjson is several times as fast as json and as strict, with four exceptions. It accepts a name twice in an object:
    each name has a colon after it, so if the text has more colons than the value has names and colons in its texts, a
    name was there twice. It makes a float of a whole number of more than 64 bits. It allows 1,024 levels, and a NUL.
    """
    if len(text) > MAX_VALUES or "\\u003" in text:  # a colon may be written \u003a
        return UNSURE
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        return UNSURE
    colons = _colons(value, 0)
    return value if colons == text.count(":") else UNSURE


def _colons(value: Any, depth: int) -> float:
    """Return how many colons the value has as JSON, or infinitely many if the fast parser can't vouch for it."""
    kind = type(value)
    if kind is str:
        return math.inf if "\0" in value else value.count(":")
    if kind is float:
        return math.inf if abs(value) >= WHOLE.stop else 0
    if kind is not dict and kind is not list:
        return 0
    if depth > DEEPEST:
        return math.inf
    colons: float = 0
    if kind is dict:
        colons = len(value)
        for name in value:
            colons += math.inf if "\0" in name else name.count(":")
        value = value.values()
    for inner in value:
        colons += _colons(inner, depth + 1)
    return colons


def _separators(text: str) -> int:
    """Return how many values there can be at most: each but the first follows one of these characters."""
    return text.count(",") + text.count("[") + text.count("{")


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        twice = Counter(name for name, _ in pairs).most_common(1)[0][0]
        raise InputError("label_data.files.name_twice", name=twice[:60])
    return fields


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise InputError("label_data.files.not_finite", number=text[:30])
    return value


def _check(value: Any, where: Sentence, field: str, depth: int) -> None:
    """Raise InputError if any text inside can't be kept, or if the value is nested too deep."""
    if isinstance(value, str):
        with located(where, field):
            check_text(value, say("label_data.files.this_text"), LONGEST_LINE)
    elif isinstance(value, dict | list):
        if depth > DEEPEST:
            raise fault(where, say("label_data.files.deep", limit=DEEPEST), f"{field[:60]}…")
        for name, inner in value.items() if isinstance(value, dict) else enumerate(value, start=1):
            if isinstance(name, int):
                inside = f"{field}[{name}]"
            else:
                with located(where):
                    check_text(name, say("label_data.files.this_name"), LONGEST_LINE)
                inside = f"{field}.{printable(name)}" if field else printable(name)
            _check(inner, where, inside, depth + 1)

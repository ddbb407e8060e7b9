"""Rows of a file somebody else wrote, read within limits: JSON lines, plain or gzip, and Parquet.

Nothing is trusted: see lines_in.py and parquet_in.py for the bytes, and here for what a row may be. Every fault is one
InputError that names the file, the line or row, the field, what was found there, and what to do.
"""

import json
import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Any, NoReturn

import orjson

from label_data.errors import InputError
from label_data.files.elements_in import elements
from label_data.files.lines_in import LONGEST_LINE, read_lines, read_text
from label_data.files.parquet_in import parquet_lines
from label_data.records import check_text

DEEPEST = 40
"""Lists and objects that may lie inside one another."""
MOST_VALUES = 300_000
"""Values that one line may have: an empty object takes 2 bytes in the file and 64 in memory."""
QUOTED = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"')
WHOLE = range(-(2**63), 2**63)
"""Whole numbers that every database can keep."""
ODD = object()
"""In place of a value: it has to be looked at closely."""


@dataclass(frozen=True, slots=True)
class Row:
    """One object of a file and where it stands; a field that is null counts as not there."""

    where: str
    """For messages: "pairs.jsonl, line 3"."""
    fields: dict[str, Any]
    within: str = ""
    """For an object inside the row, the way to it: "completions[2]."."""

    def refuse(self, name: str, found: str, do: str) -> NoReturn:
        """Raise the InputError that says where, what was found, and what to do."""
        raise InputError(f"{self.where}, field {self.within}{name}: found {found}. {do}")

    def text(self, name: str, default: str | None = None) -> str:
        """Return the field's text; a missing one is `default`, or an error if that is None."""
        return self._of_type(name, str, "a text", default)

    def whole(self, name: str) -> int | None:
        """Return the field's whole number of 64 bits, or None if it is missing."""
        value = self.fields.get(name)
        if value is not None and (type(value) is not int or value not in WHOLE):
            self.refuse(name, described(value), "Write a whole number of at most 64 bits, or leave the field out.")
        return value

    def number(self, name: str) -> float | None:
        """Return the field's finite number, or None if it is missing."""
        value = self.fields.get(name)
        if value is None:
            return None
        if type(value) not in (int, float) or not math.isfinite(value):
            self.refuse(name, described(value), "Write a finite number, or leave the field out.")
        return float(value)

    def truth(self, name: str) -> bool:
        """Return the field's true or false; a missing one is false."""
        return self._of_type(name, bool, "true or false", False)

    def items(self, name: str, required: bool = False) -> list[Any]:
        """Return the field's list; a missing one is empty, or an error if `required`."""
        return self._of_type(name, list, "a list", None if required else [])

    def texts(self, name: str) -> list[str]:
        """Return the field's list of texts; a missing one is empty."""
        found = self.items(name)
        for place, value in enumerate(found, start=1):
            if not isinstance(value, str):
                self.refuse(f"{name}[{place}]", described(value), "Write a text.")
        return found

    def object(self, name: str) -> "Row":
        """Return the field's object as a row of its own; a missing one has no fields."""
        return Row(self.where, self._of_type(name, dict, "an object", {}), f"{self.within}{name}.")

    def inner(self, name: str) -> list["Row"]:
        """Return the objects of the field's list as rows of their own; a missing list is empty."""
        found = []
        for place, value in enumerate(self.items(name), start=1):
            if not isinstance(value, dict):
                self.refuse(f"{name}[{place}]", described(value), "Write an object there: {…}.")
            found.append(Row(self.where, value, f"{self.within}{name}[{place}]."))
        return found

    def allow_only(self, *names: str) -> None:
        """Raise InputError if the object has a field of another name: a misspelt one would be lost."""
        for name in self.fields:
            if name not in names and self.fields[name] is not None:
                self.refuse(printable(name), "a field of that name", f"Rename it, or remove it: {', '.join(names)}.")

    def _of_type(self, name: str, kind: type, expected: str, default: Any) -> Any:
        value = self.fields.get(name)
        if value is None:
            if default is None:
                known = listed(self.fields) or "no fields"
                self.refuse(name, f"none among {known}", f"Add it, or rename the field that has {expected}.")
            return default
        if not isinstance(value, kind):
            self.refuse(name, described(value), f"Write {expected}.")
        return value


def described(value: Any) -> str:
    """Say in a few words what kind of value was found."""
    if isinstance(value, bool) or value is None:
        return json.dumps(value)
    if isinstance(value, int | float):
        return f"the number {value}" if isinstance(value, float) or abs(value) < 1e20 else "a number of many digits"
    named = {str: "a text", list: "a list", dict: "an object"}
    return named.get(type(value), type(value).__name__)


def printable(name: str) -> str:
    """Return a field's name so that a terminal shows it and does nothing else."""
    return name if name.isprintable() else ascii(name)


def listed(names: Iterable[str]) -> str:
    """Return the first names with commas between them: a hostile file has a million."""
    first = [printable(name)[:60] for name in islice(names, 12)]
    return ", ".join(first[:11] + ["…"] * (len(first) > 11))


class located:  # noqa: N801 - reads as what it does; contextlib's takes three times as long, and a row needs three
    """Put the place in front of what an InputError inside says, unless it stands there."""

    __slots__ = ("_where",)

    def __init__(self, where: str) -> None:
        self._where = where

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if isinstance(error, InputError) and not str(error).startswith(str(InputError(self._where))):
            raise InputError(f"{self._where}: {error}") from None


def read_rows(path: Path, name: str = "") -> Iterator[Row]:
    """Yield the file's rows: Parquet if it is called .parquet, the elements of one list if .json, or else JSON lines.

    gzip if it is called .gz.

    `name` stands for the path in messages, for a file that has been uploaded.
    """
    name = name or str(path)
    if path.suffix.lower() == ".parquet":
        for number, line in parquet_lines(path, name):
            where = f"{name}, row {number}"
            yield Row(where, parsed(line, where, constant=float))
    elif path.name.lower().removesuffix(".gz").endswith(".json") and _is_list(path, name):
        yield from (_row(text, f"{name}, element {number}") for number, text in elements(read_text(path, name), name))
    else:
        yield from (
            _row(line, f"{name}, line {number}") for number, line in read_lines(path, name) if not line.isspace()
        )


def _row(text: str, where: str) -> Row:
    value = parsed(text, where)
    if not isinstance(value, dict):
        raise InputError(f"{where}: found {described(value)}, not an object. Write one JSON object a line.")
    return Row(where, value)


def _is_list(path: Path, name: str) -> bool:
    """Tell a JSON list from JSON lines, both of which are called .json."""
    return next((piece for piece in read_text(path, name) if not piece.isspace()), "").lstrip().startswith("[")


def parsed(text: str, where: str, field: str = "", constant: Callable[[str], float] | None = None) -> Any:
    """Return the JSON text's value, checked; `constant` makes something of NaN and Infinity.

    Raises InputError at what is no JSON, at a name that stands twice in one object, at NaN and Infinity unless there is
    a `constant`, at nesting deeper than `DEEPEST`, at more values than `MOST_VALUES`, and at text that no database can
    keep.
    """
    value = _plain(text)
    return _looked_at_closely(text, where, field, constant) if value is ODD else value


def _looked_at_closely(text: str, where: str, field: str, constant: Callable[[str], float] | None) -> Any:
    place = f"{where}, field {field}" if field else where
    if _marks(text) > MOST_VALUES and _marks(QUOTED.sub("", text)) > MOST_VALUES:
        raise InputError(f"{place}: found more than {MOST_VALUES:,} values in one line. Split it.")
    try:
        value = json.loads(text, object_pairs_hook=_each_once, parse_float=_finite, parse_constant=constant or _finite)
    except InputError as error:
        raise InputError(f"{place}{error}") from None
    except RecursionError:
        raise InputError(f"{place}: found lists or objects more than {DEEPEST} deep. Flatten them.") from None
    except json.JSONDecodeError as error:
        character = min(error.pos, len(text.rstrip())) + 1
        raise InputError(
            f"{place}, character {character}: found no JSON there ({error.msg}). Write one JSON object a line."
        ) from None
    except ValueError:
        raise InputError(f"{place}: found a number of thousands of digits. Shorten it.") from None
    _check(value, where, field, 0)
    return value


def _plain(text: str) -> Any:
    """Return the value of JSON that is as nearly all is, or `ODD`.

    orjson reads several times as fast as json and checks as strictly, save for four things. It takes a name twice: each
    name has a colon after it, so if there are more colons than names that came out and colons in texts that came out,
    a name went in twice. It makes a float of a whole number of more than 64 bits. It allows 1,024 levels, and a NUL.
    """
    if len(text) > MOST_VALUES or "\\u003" in text:  # a colon may be written \u003a
        return ODD
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        return ODD
    colons = _colons(value, 0)
    return value if colons == text.count(":") else ODD


def _colons(value: Any, depth: int) -> float:
    """Return how many colons the value has as JSON, or infinitely many if it holds what is to be looked at closely."""
    kind = type(value)
    if kind is str:
        return math.inf if "\0" in value else value.count(":")
    if kind is float:
        return math.inf if abs(value) >= WHOLE.stop else 0
    if kind is not dict and kind is not list:
        return 0
    if depth > DEEPEST:
        return math.inf
    found = 0
    if kind is dict:
        found = len(value)
        for name in value:
            found += math.inf if "\0" in name else name.count(":")
        value = value.values()
    for inner in value:
        found += _colons(inner, depth + 1)
    return found


def _marks(text: str) -> int:
    """Return how many values there can be at most: each but the first follows one of these marks."""
    return text.count(",") + text.count("[") + text.count("{")


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = Counter(name for name, _ in pairs).most_common(1)[0][0]
        raise InputError(f", field {twice[:60]!a}: found it twice in one object. Leave one.")
    return found


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise InputError(f": found the number {text[:30]}, which is not finite. Write null or a finite number.")
    return value


def _check(value: Any, where: str, field: str, depth: int) -> None:
    """Raise InputError if any text inside can't be kept, or if the value is nested too deep."""
    if isinstance(value, str):
        check_text(value, f"{where}, field {field}", LONGEST_LINE)
    elif isinstance(value, dict | list):
        if depth > DEEPEST:
            raise InputError(
                f"{where}, field {field[:60]}…: found lists or objects more than {DEEPEST} deep. Flatten them."
            )
        for name, inner in value.items() if isinstance(value, dict) else enumerate(value, start=1):
            if isinstance(name, int):
                inside = f"{field}[{name}]"
            else:
                check_text(name, f"{where}, the name of a field", LONGEST_LINE)
                inside = f"{field}.{printable(name)}" if field else printable(name)
            _check(inner, where, inside, depth + 1)

"""Rows of a file somebody else wrote, read within limits: JSON lines, plain or gzip, and Parquet.

Nothing is trusted: lines are read up to a limit, gzip is decoded a piece at a time, Parquet a few rows at a time. Every
fault is one InputError that names the file, the line or row, the field, what was found there, and what to do.
"""

import gzip
import json
import math
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count, islice
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

import pyarrow as pa
import pyarrow.parquet as pq

from label_data.records import InputError, check_text

LONGEST_LINE = 16 * 2**20
"""Bytes one line may have, or one Parquet row decode to."""
DEEPEST = 40
"""Lists and objects that may lie inside one another."""
MOST_BYTES = 8 * 2**30
"""Bytes one file may decode to."""
ROWS_AT_ONCE = 8
"""Rows of Parquet decoded together: a small file can say one long value many times over."""
MOST_COLUMN_BYTES, MOST_COLUMN_VALUES = 2**29, 2 * 10**7
"""Decoded bytes, and values inside lists, that one column of one Parquet row group may have."""
WHOLE = range(-(2**63), 2**63)
"""Whole numbers that every database can keep."""


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


@contextmanager
def located(where: str) -> Iterator[None]:
    """Put the place in front of what an InputError inside says."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{where}: {error}") from None


def read_rows(path: Path, name: str = "") -> Iterator[Row]:
    """Yield the file's rows; Parquet if it is called .parquet, JSON lines otherwise, gzip if it is called .gz.

    `name` stands for the path in messages, for a file that has been uploaded.
    """
    name = name or str(path)
    return _parquet_rows(path, name) if path.suffix.lower() == ".parquet" else _json_rows(path, name)


def read_lines(path: Path, name: str = "") -> Iterator[tuple[int, str]]:
    """Yield each line with its number from 1, decoded as strict UTF-8, line end included, byte order mark left out."""
    name = name or str(path)
    decoded = 0
    try:
        with _opened(path) as file:
            for number in count(1):
                line = file.readline(LONGEST_LINE + 1)
                if not line:
                    return
                decoded += len(line)
                if len(line) > LONGEST_LINE:
                    raise InputError(
                        f"{name}, line {number}: found more than {LONGEST_LINE // 2**20} MiB in one line. "
                        "Write one object a line, or split it."
                    )
                if decoded > MOST_BYTES:
                    raise InputError(f"{name}: found more than {MOST_BYTES // 2**30} GiB. Split the file.")
                yield number, _as_text(line, number, name)
    except EOFError:
        raise InputError(f"{name}: found a gzip file that breaks off before its end. Copy or load it again.") from None
    except (gzip.BadGzipFile, zlib.error) as error:
        raise InputError(f"{name}: found no sound gzip data ({error}). Copy it again, or rename it.") from None
    except OSError as error:
        raise InputError(f"{name}: the file can't be read ({error.strerror}). Check the path.") from None


def _opened(path: Path) -> BinaryIO:
    return gzip.open(path, "rb") if path.suffix.lower() == ".gz" else path.open("rb")


def _as_text(line: bytes, number: int, name: str) -> str:
    try:
        return line.removeprefix(b"\xef\xbb\xbf").decode() if number == 1 else line.decode()
    except UnicodeDecodeError as error:
        raise InputError(
            f"{name}, line {number}: found byte 0x{line[error.start]:02x} at {error.start + 1}, which is not UTF-8. "
            "Save the file as UTF-8; if it is compressed, its name must end in .gz."
        ) from None


def _json_rows(path: Path, name: str) -> Iterator[Row]:
    for number, line in read_lines(path, name):
        if line.strip():
            where = f"{name}, line {number}"
            value = parsed(line.rstrip(), where)
            if not isinstance(value, dict):
                raise InputError(f"{where}: found {described(value)}, not an object. Write one JSON object a line.")
            yield Row(where, value)


def parsed(text: str, where: str, field: str = "") -> Any:
    """Return the JSON text's value, checked.

    Raises InputError at what is no JSON, at a name that stands twice in one object, at NaN and Infinity, at nesting
    deeper than `DEEPEST`, and at text that no database can keep.
    """
    place = f"{where}, field {field}" if field else where
    try:
        value = json.loads(text, object_pairs_hook=_each_once, parse_float=_finite, parse_constant=_finite)
    except InputError as error:
        raise InputError(f"{place}{error}") from None
    except RecursionError:
        raise InputError(f"{place}: found lists or objects more than {DEEPEST} deep. Flatten them.") from None
    except json.JSONDecodeError as error:
        raise InputError(
            f"{place}, character {error.colno}: found no JSON there ({error.msg}). Write one JSON object a line."
        ) from None
    except ValueError:
        raise InputError(f"{place}: found a number of thousands of digits. Shorten it.") from None
    _check(value, where, field, 0)
    return value


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


def _parquet_rows(path: Path, name: str) -> Iterator[Row]:
    number = 0
    try:
        with path.open("rb") as opened, pq.ParquetFile(opened) as file:
            names = file.schema_arrow.names
            if len(set(names)) < len(names):
                raise InputError(f"{name}: found two columns of one name among {listed(names)}. Rename one.")
            _check_sizes(file.metadata, name)
            for batch in file.iter_batches(batch_size=ROWS_AT_ONCE):
                if batch.nbytes > LONGEST_LINE * ROWS_AT_ONCE:
                    raise InputError(
                        f"{name}, after row {number}: found rows of more than {LONGEST_LINE // 2**20} MiB each. "
                        "Shorten them."
                    )
                for place in range(batch.num_rows):  # one at a time: a column may be a dictionary, said many times
                    (fields,) = batch.slice(place, 1).to_pylist()
                    number += 1
                    row = Row(f"{name}, row {number}", fields)
                    _check(fields, row.where, "", 0)
                    yield row
    except UnicodeDecodeError:
        raise InputError(f"{name}, after row {number}: found text that is not UTF-8. Write it again.") from None
    except (pa.ArrowException, OSError) as error:
        if isinstance(error, OSError) and error.strerror:
            raise InputError(f"{name}: the file can't be read ({error.strerror}). Check the path.") from None
        reason = str(error).partition("\n")[0].rstrip(".")
        raise InputError(
            f"{name}, after row {number}: found no sound Parquet data ({reason}). Copy it again."
        ) from None


def _check_sizes(metadata: pq.FileMetaData, name: str) -> None:
    for group in range(metadata.num_row_groups):
        for place in range(metadata.num_columns):
            column = metadata.row_group(group).column(place)
            if column.total_uncompressed_size > MOST_COLUMN_BYTES or column.num_values > MOST_COLUMN_VALUES:
                raise InputError(
                    f"{name}, row group {group + 1}, column {printable(column.path_in_schema)}: found "
                    f"{column.num_values:,} values of {column.total_uncompressed_size:,} bytes. "
                    "Write the file again in smaller row groups."
                )

"""Write rows to a file: the same bytes every time, and the file whole or not at all."""

import gzip
from collections.abc import Iterable, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow.json import ParseOptions, ReadOptions, read_json

from label_data.errors import InputError
from label_data.files.whole import check_ending, replacing

ENDINGS = (".jsonl", ".jsonl.gz", ".parquet")
CANONICAL = orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE
ROWS_PER_GROUP = 1_000
"""Rows of one Parquet row group."""


def write_rows(path: Path, rows: Iterable[dict[str, Any]], schema: pa.Schema, endings: Sequence[str] = ENDINGS) -> int:
    """Write the rows as `write_lines` writes their JSON; return how many there were.

    The JSON is canonical, except that a number near 0 is spelled as orjson does.
    """
    return write_lines(path, map(partial(orjson.dumps, option=CANONICAL), rows), schema, endings)


def write_lines(path: Path, lines: Iterable[bytes], schema: pa.Schema, endings: Sequence[str] = ENDINGS) -> int:
    """Write lines of JSON as the path ends (.jsonl, .jsonl.gz or .parquet); return how many there were.

    `endings` are the endings that the format's readers know.

    Equal lines give equal bytes: there is no time in the gzip header, and Parquet has the columns of this schema and
    row groups of `ROWS_PER_GROUP`; its bytes also depend on pyarrow's version. An existing file is replaced when
    everything is written, and stays as it was if anything fails.
    """
    check_ending(path, endings)
    with replacing(path) as file:
        if path.suffix == ".parquet":
            number = _write_parquet(file, lines, schema)
        elif path.suffix == ".gz":
            with gzip.GzipFile("", "wb", fileobj=file, mtime=0) as compressed:
                number = _write_lines(compressed, lines)
        else:
            number = _write_lines(file, lines)
        check_filled(path, number)
    return number


def check_filled(path: Path, rows: int) -> None:
    """Raise NothingToWrite if nothing was written to the new file, which leaves the old file as it was."""
    if not rows:
        raise NothingToWrite("label_data.files.nothing_to_write", file=path)


class NothingToWrite(InputError):
    """The data give no row in this format."""


def _write_lines(file: BinaryIO | gzip.GzipFile, lines: Iterable[bytes]) -> int:
    number = 0
    for number, line in enumerate(lines, start=1):  # noqa: B007 - the last number is the count
        file.write(line)
    return number


def _write_parquet(file: BinaryIO, lines: Iterable[bytes], schema: pa.Schema) -> int:
    number, remaining = 0, iter(lines)
    parsing = ParseOptions(explicit_schema=schema, unexpected_field_behavior="error")
    with pq.ParquetWriter(file, schema, compression="zstd") as writer:
        while group := list(islice(remaining, ROWS_PER_GROUP)):
            text = b"".join(group)
            one_block = ReadOptions(use_threads=False, block_size=len(text))
            writer.write_table(read_json(pa.BufferReader(text), one_block, parsing))
            number += len(group)
    return number

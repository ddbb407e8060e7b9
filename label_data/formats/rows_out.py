"""Rows into a file, the same bytes every time, and the file whole or not at all."""

import gzip
import os
import secrets
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from label_data.records import InputError, canonical

ENDINGS = (".jsonl", ".jsonl.gz", ".parquet")
ROWS_A_GROUP = 1_000
"""Rows of one Parquet row group."""


def write_rows(path: Path, rows: Iterable[dict[str, Any]], schema: pa.Schema, endings: Sequence[str] = ENDINGS) -> int:
    """Write the rows as the path's ending says (.jsonl, .jsonl.gz or .parquet) and return how many they were.

    `endings` are those of them that the format's readers know.

    Equal rows give equal bytes: canonical JSON, no time in the gzip header, and for Parquet, whose bytes also depend
    on pyarrow's version, this schema and row groups of `ROWS_A_GROUP`. A file that was there is replaced when all is
    written, and left as it was if anything fails.
    """
    check_ending(path, endings)
    with replacing(path) as file:
        if path.suffix == ".parquet":
            number = _write_parquet(file, rows, schema)
        elif path.suffix == ".gz":
            with gzip.GzipFile("", "wb", fileobj=file, mtime=0) as compressed:
                number = _write_lines(compressed, rows)
        else:
            number = _write_lines(file, rows)
        check_filled(path, number)
    return number


def check_ending(path: Path, endings: Sequence[str]) -> None:
    """Raise InputError if the path ends in none of these."""
    if not path.name.endswith(tuple(endings)):
        raise InputError(f"{path}: the ending says no format. Name the file with one of {', '.join(endings)}.")


def check_filled(path: Path, rows: int) -> None:
    """Raise InputError if nothing was written to the new file, which leaves the old one as it was."""
    if not rows:
        raise InputError(f"{path}: not written, because there is nothing to put into it. Rank or import first.")


def _write_lines(file: BinaryIO | gzip.GzipFile, rows: Iterable[dict[str, Any]]) -> int:
    number = 0
    for number, row in enumerate(rows, start=1):  # noqa: B007 - the last number is the count
        file.write(f"{canonical(row)}\n".encode())
    return number


def _write_parquet(file: BinaryIO, rows: Iterable[dict[str, Any]], schema: pa.Schema) -> int:
    number, left = 0, iter(rows)
    with pq.ParquetWriter(file, schema, compression="zstd") as writer:
        while some := list(islice(left, ROWS_A_GROUP)):
            writer.write_table(pa.Table.from_pylist(some, schema))
            number += len(some)
    return number


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """Open a new file beside the path; it takes the path's place, on the disk for good, when the block ends.

    If an error leaves the block the new file is removed and the old one stays. Raises InputError if the disk or the
    folder's permissions are in the way.
    """
    if path.is_dir():
        raise InputError(f"{path}: this is a folder. Name a file in it.")
    new = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        try:
            with new.open("xb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            new.replace(path)
            folder = os.open(path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        finally:
            new.unlink(missing_ok=True)
    except OSError as error:
        raise InputError(f"{path}: the file can't be written ({error.strerror}). Name another place.") from None

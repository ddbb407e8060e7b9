"""Lines of a file somebody else wrote, plain or gzip, read within limits.

Nothing is trusted: only a file on the disk is opened (a pipe could keep the store waiting for ever), a line is read up
to a limit, gzip is unpacked a piece at a time and no further than it may plausibly grow. Every fault is one InputError
that names the file, the line, what was found there, and what to do.
"""

import codecs
import io
import stat
import zlib
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import BinaryIO

from label_data.errors import InputError

LONGEST_LINE = 16 * 2**20
"""Bytes one line may have."""
MOST_BYTES = 8 * 2**30
"""Bytes one file may decode to."""
MOST_BLANK = 100_000
"""Blank lines one file may have, and gzip members that hold nothing."""
FREE_GROWTH, MOST_GROWTH = 4 * 2**20, 100
"""Bytes that a file may unpack to in any case, and how many times its size beyond that; text grows 3 to 20 times."""
KINDS = (
    (b"\x1f\x8b", "gzip data", "Name the file so that it ends in .gz; if it does, unpack it once."),
    (b"PK\x03\x04", "a zip archive", "Unpack it, and give the files in it."),
    (b"7z\xbc\xaf", "a 7z archive", "Unpack it, and give the files in it."),
    (b"(\xb5/\xfd", "zstd data", "Unpack it, or pack it with gzip."),
    (b"\xfd7zXZ", "xz data", "Unpack it, or pack it with gzip."),
    (b"BZh", "bzip2 data", "Unpack it, or pack it with gzip."),
    (b"PAR1", "Parquet", "Name the file so that it ends in .parquet; Parquet is not packed with gzip."),
    (b"%PDF-", "a PDF", "Give the data that it was made from."),
    (b"\x89PNG", "a picture", "Give a file of text."),
    (b"SQLite format 3", "an SQLite database", "Export it, and give the export."),
    (b"\xff\xfe", "UTF-16 text", "Save the file as UTF-8."),
    (b"\xfe\xff", "UTF-16 text", "Save the file as UTF-8."),
    (b"<!doctype html", "a web page", "Download the file itself, not the page that shows it."),
    (b"<html", "a web page", "Download the file itself, not the page that shows it."),
)
"""First bytes of a file, what they tell it is, and what to do."""
PIECE = 2**14
"""Bytes of gzip data taken from the disk at a time."""


def read_lines(path: Path, name: str = "") -> Iterator[tuple[int, str]]:
    """Yield each line with its number from 1, decoded as strict UTF-8, line end included, byte order mark left out.

    `name` stands for the path in messages, for a file that has been uploaded.
    """
    name = name or str(path)
    blank = 0
    for number, line in _pieces(path, name, lambda file: file.readline(LONGEST_LINE + 1)):
        if len(line) > LONGEST_LINE:
            raise InputError(
                f"{name}, line {number}: found more than {LONGEST_LINE // 2**20} MiB in one line. "
                "Write one object a line, or split it."
            )
        blank += not line or line.isspace()
        if blank > MOST_BLANK:
            raise InputError(f"{name}, line {number}: found more than {MOST_BLANK:,} blank lines. Remove them.")
        text, line = _as_text(line, number, name), b""  # a line can be long: it is held once
        yield number, text


def read_text(path: Path, name: str) -> Iterator[str]:
    """Yield the whole text in pieces of some 64 KiB, decoded as strict UTF-8, byte order mark left out."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    at = 0
    try:
        for _, piece in _pieces(path, name, lambda file: file.read(4 * PIECE)):
            text = decoder.decode(piece)
            at += len(piece)
            yield text
        decoder.decode(b"", final=True)
    except UnicodeDecodeError as error:
        raise InputError(
            f"{name}, near byte {at + error.start + 1:,}: found byte 0x{error.object[error.start]:02x}, which is not "
            "UTF-8. Save the file as UTF-8; if it is compressed, its name must end in .gz."
        ) from None


def _pieces(path: Path, name: str, take: Callable[[BinaryIO], bytes]) -> Iterator[tuple[int, bytes]]:
    """Yield what `take` gets of the unpacked file until that is nothing, with its number from 1."""
    decoded = number = 0
    anything = False
    try:
        with opened(path, name) as file:
            packed = path.suffix.lower() == ".gz"
            if packed:
                _try_out(file, name)
            unpacked = io.BufferedReader(Unpacked(file, name)) if packed else file
            for number in count(1):
                piece = take(unpacked)
                if not piece:
                    break
                decoded += len(piece)
                if decoded > MOST_BYTES:
                    raise InputError(
                        f"{name}, line {number}: found more than {MOST_BYTES // 2**30} GiB. Split the file."
                    )
                if number == 1:
                    piece = piece.removeprefix(b"\xef\xbb\xbf")
                    _check_kind(piece, name)
                anything = anything or (len(piece) > 0 and not piece.isspace())
                yield number, piece
    except EOFError:
        raise InputError(
            f"{name}, after line {number - 1}: found a gzip file that breaks off before its end. Copy or load it again."
        ) from None
    except zlib.error as error:
        raise InputError(
            f"{name}, after line {number - 1}: found no sound gzip data ({str(error).rpartition(': ')[2]}). "
            "Copy it again, or rename it."
        ) from None
    except OSError as error:
        raise InputError(f"{name}: the file can't be read ({error.strerror}). Check the path.") from None
    if not anything:
        raise InputError(f"{name}: found nothing in it. Check that it was written to its end.")


def opened(path: Path, name: str) -> BinaryIO:
    """Open a file that lies on the disk; raises InputError if it can't be, and at pipes, devices and folders."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            what = "a folder" if path.is_dir() else "a pipe or a device"
            raise InputError(f"{name}: this is {what}, not a file. Write the data to a file, and name that.")
        return path.open("rb")
    except OSError as error:
        raise InputError(f"{name}: the file can't be read ({error.strerror}). Check the path.") from None


class Unpacked(io.RawIOBase):
    """What gzip data unpacks to; unlike in Python's gzip module, neither a header nor growth is without end."""

    def __init__(self, file: BinaryIO, name: str) -> None:
        self._file, self._name = file, name
        self._member, self._packed = zlib.decompressobj(31), b""
        self._taken = self._given = self._in_member = self._empty = 0

    def readable(self) -> bool:
        """Say that it can be read."""
        return True

    def readinto(self, buffer: memoryview) -> int:
        """Fill some of the buffer and return how many bytes, 0 at the end.

        Raises EOFError if the data breaks off, zlib.error if it is damaged, InputError if it grows beyond reason.
        """
        while True:
            packed = self._packed or self._file.read(PIECE)
            self._taken += len(packed) - len(self._packed)
            if self._member.eof:
                packed = packed.lstrip(b"\0") if packed else b""
                if not packed and not self._packed:
                    return 0
                self._packed = packed
                if packed:
                    self._empty += not self._in_member
                    self._member, self._in_member = zlib.decompressobj(31), 0
                continue
            some = self._member.decompress(packed, len(buffer))
            self._packed = self._member.unused_data if self._member.eof else self._member.unconsumed_tail
            self._given += len(some)
            self._in_member += len(some)
            if self._given > FREE_GROWTH and self._given > MOST_GROWTH * self._taken:
                raise InputError(
                    f"{self._name}, byte {self._taken:,}: found gzip data that unpacks to more than {MOST_GROWTH} "
                    "times its size. If it is meant to, unpack it yourself."
                )
            if self._empty > MOST_BLANK:
                raise InputError(f"{self._name}: found more than {MOST_BLANK:,} empty gzip members. Pack it again.")
            if some:
                buffer[: len(some)] = some
                return len(some)
            if not packed and not self._member.eof:
                raise EOFError


def _try_out(file: BinaryIO, name: str) -> None:
    """Unpack a little, so that a file that grows beyond reason is refused before a row of it is looked at."""
    start, given = Unpacked(file, name), 0
    try:
        while given <= FREE_GROWTH and (some := start.read(PIECE * 16)):
            given += len(some)
    except (EOFError, zlib.error):
        pass  # said when the lines are read, with the line
    file.seek(0)


def _check_kind(first_line: bytes, name: str) -> None:
    for first, what, do in KINDS:
        if first_line[: len(first)].lower() == first.lower():
            raise InputError(f"{name}, line 1: found {what}. {do}")


def _as_text(line: bytes, number: int, name: str) -> str:
    try:
        return line.decode()
    except UnicodeDecodeError as error:
        raise InputError(
            f"{name}, line {number}: found byte 0x{line[error.start]:02x} at {error.start + 1}, which is not UTF-8. "
            "Save the file as UTF-8; if it is compressed, its name must end in .gz."
        ) from None

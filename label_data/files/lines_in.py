"""Lines of a file from outside, plain or gzip, read within limits.

Nothing is trusted. Only a regular file is opened, because a pipe could keep the store waiting for ever. A line is read
up to a limit, and gzip is unpacked piece by piece and no further than it may plausibly grow. Every fault is one
InputError that names the file, the line, what is there, and what to do.
"""

import codecs
import io
import stat
import zlib
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import BinaryIO, cast

from label_data.errors import InputError
from label_data.files.places import after_line, at_line, fault
from label_data.sentences import Sentence, say

LONGEST_LINE = 16 * 2**20
"""Bytes that one line may have."""
MAX_BYTES = 8 * 2**30
"""Bytes that one file may decode to."""
MAX_BLANK = 100_000
"""Blank lines, and empty gzip members, that one file may have."""
FREE_GROWTH, MAX_GROWTH = 4 * 2**20, 100
"""Bytes that any file may unpack to, and how many times its size a larger one may; text grows 3 to 20 times."""
UNPACK, REPACK, SAVE, DOWNLOAD = (
    say("label_data.files.do_unpack"),
    say("label_data.files.do_repack"),
    say("label_data.files.do_save_utf8"),
    say("label_data.files.do_download"),
)
SIGNATURES = (
    (b"\x1f\x8b", say("label_data.files.is_gzip"), say("label_data.files.do_name_gz")),
    (b"PK\x03\x04", say("label_data.files.is_zip"), UNPACK),
    (b"7z\xbc\xaf", say("label_data.files.is_7z"), UNPACK),
    (b"(\xb5/\xfd", say("label_data.files.is_zstd"), REPACK),
    (b"\xfd7zXZ", say("label_data.files.is_xz"), REPACK),
    (b"BZh", say("label_data.files.is_bzip2"), REPACK),
    (b"PAR1", say("label_data.files.is_parquet"), say("label_data.files.do_name_parquet")),
    (b"%PDF-", say("label_data.files.is_pdf"), say("label_data.files.do_give_data")),
    (b"\x89PNG", say("label_data.files.is_picture"), say("label_data.files.do_give_text")),
    (b"SQLite format 3", say("label_data.files.is_sqlite"), say("label_data.files.do_export")),
    (b"\xff\xfe", say("label_data.files.is_utf16"), SAVE),
    (b"\xfe\xff", say("label_data.files.is_utf16"), SAVE),
    (b"<!doctype html", say("label_data.files.is_web_page"), DOWNLOAD),
    (b"<html", say("label_data.files.is_web_page"), DOWNLOAD),
)
"""First bytes of a file, what kind of file they show, and what to do."""
PIECE = 2**14
"""Bytes of gzip data read from the disk at a time."""


def read_lines(path: Path, name: str = "") -> Iterator[tuple[int, str]]:
    """Yield each line with its number from 1, decoded as strict UTF-8, with its line end, without a byte order mark.

    `name` replaces the path in messages, for a file that was uploaded.
    """
    name = name or str(path)
    blank = 0
    for number, line in _pieces(path, name, lambda file: file.readline(LONGEST_LINE + 1)):
        if len(line) > LONGEST_LINE:
            raise fault(at_line(name, number), say("label_data.files.long_line", limit=LONGEST_LINE // 2**20))
        blank += not line or line.isspace()
        if blank > MAX_BLANK:
            raise fault(at_line(name, number), say("label_data.files.blank_lines", limit=MAX_BLANK))
        text, line = _as_text(line, number, name), b""  # a line can be long: only one copy is held
        yield number, text


def read_text(path: Path, name: str) -> Iterator[str]:
    """Yield the whole text in pieces of some 64 KiB, decoded as strict UTF-8, without a byte order mark."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    decoded = 0
    try:
        for _, piece in _pieces(path, name, lambda file: file.read(4 * PIECE)):
            text = decoder.decode(piece)
            decoded += len(piece)
            yield text
        decoder.decode(b"", final=True)
    except UnicodeDecodeError as error:
        byte = f"0x{error.object[error.start]:02x}"
        problem = say("label_data.files.not_utf8_near", byte=byte, position=decoded + error.start + 1)
        raise fault(name, problem) from None


def _pieces(path: Path, name: str, take: Callable[[BinaryIO], bytes]) -> Iterator[tuple[int, bytes]]:
    """Yield what `take` reads of the unpacked file until there is no more, with its number from 1."""
    decoded = number = 0
    has_content = False
    try:
        with opened(path, name) as file:
            packed = path.suffix.lower() == ".gz"
            if packed:
                _check_growth(file, name)
            # BufferedReader has all methods of BinaryIO, but is no subclass of it.
            unpacked = cast(BinaryIO, io.BufferedReader(Unpacked(file, name))) if packed else file
            for number in count(1):
                piece = take(unpacked)
                if not piece:
                    break
                decoded += len(piece)
                if decoded > MAX_BYTES:
                    raise fault(at_line(name, number), say("label_data.files.large_file", limit=MAX_BYTES // 2**30))
                if number == 1:
                    piece = piece.removeprefix(b"\xef\xbb\xbf")
                    _check_kind(piece, name)
                has_content = has_content or (len(piece) > 0 and not piece.isspace())
                yield number, piece
    except EOFError:
        raise fault(after_line(name, number - 1), say("label_data.files.gzip_cut_off")) from None
    except zlib.error as error:
        reason = str(error).rpartition(": ")[2]
        raise fault(after_line(name, number - 1), say("label_data.files.gzip_invalid", error=reason)) from None
    except OSError as error:
        raise _unreadable(name, error) from None
    if not has_content:
        raise fault(name, say("label_data.files.empty"))


def opened(path: Path, name: str) -> BinaryIO:
    """Open a regular file; raises InputError at pipes, devices and folders, and if the file can't be opened."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            key: Sentence = (
                say("label_data.files.is_folder") if path.is_dir() else say("label_data.files.is_pipe_or_device")
            )
            raise fault(name, key)
        return path.open("rb")
    except OSError as error:
        raise _unreadable(name, error) from None


def _unreadable(name: str, error: OSError) -> InputError:
    return fault(name, say("label_data.files.unreadable", error=error.strerror))


class Unpacked(io.RawIOBase):
    """A stream of unpacked gzip data; unlike Python's gzip module it limits the headers and the growth."""

    def __init__(self, file: BinaryIO, name: str) -> None:
        self._file, self._name = file, name
        self._member, self._packed = zlib.decompressobj(31), b""
        self._bytes_in = self._bytes_out = self._bytes_of_member = self._empty_members = 0

    def readable(self) -> bool:
        """Return True: the stream can be read."""
        return True

    # The buffer of typeshed's readinto is a Buffer without a length; BufferedReader always passes a memoryview.
    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Fill a part of the buffer and return how many bytes, 0 at the end.

        Raises EOFError if the data is cut off, zlib.error if it is damaged, InputError if it grows too much.
        """
        while True:
            packed = self._packed or self._file.read(PIECE)
            self._bytes_in += len(packed) - len(self._packed)
            if self._member.eof:
                packed = packed.lstrip(b"\0") if packed else b""
                if not packed and not self._packed:
                    return 0
                self._packed = packed
                if packed:
                    self._empty_members += not self._bytes_of_member
                    self._member, self._bytes_of_member = zlib.decompressobj(31), 0
                continue
            piece = self._member.decompress(packed, len(buffer))
            self._packed = self._member.unused_data if self._member.eof else self._member.unconsumed_tail
            self._bytes_out += len(piece)
            self._bytes_of_member += len(piece)
            if self._bytes_out > FREE_GROWTH and self._bytes_out > MAX_GROWTH * self._bytes_in:
                raise fault(self._name, say("label_data.files.gzip_growth", position=self._bytes_in, limit=MAX_GROWTH))
            if self._empty_members > MAX_BLANK:
                raise fault(self._name, say("label_data.files.gzip_empty_members", limit=MAX_BLANK))
            if piece:
                buffer[: len(piece)] = piece
                return len(piece)
            if not packed and not self._member.eof:
                raise EOFError


def _check_growth(file: BinaryIO, name: str) -> None:
    """Unpack the beginning, so that a file that grows too much is refused before any of its rows is read."""
    start, unpacked = Unpacked(file, name), 0
    try:
        while unpacked <= FREE_GROWTH and (piece := start.read(PIECE * 16)):
            unpacked += len(piece)
    except (EOFError, zlib.error):
        pass  # reported when the lines are read, with the line
    file.seek(0)


def _check_kind(first_line: bytes, name: str) -> None:
    for signature, kind, remedy in SIGNATURES:
        if first_line[: len(signature)].lower() == signature.lower():
            raise fault(at_line(name, 1), say("label_data.files.other_kind", kind=kind, remedy=remedy))


def _as_text(line: bytes, number: int, name: str) -> str:
    try:
        return line.decode()
    except UnicodeDecodeError as error:
        byte = f"0x{line[error.start]:02x}"
        problem = say("label_data.files.not_utf8", byte=byte, position=error.start + 1)
        raise fault(at_line(name, number), problem) from None

"""Lines of a file that somebody else wrote: how far it is read, and the one sentence that each fault gets."""

import gzip
import os
import random
import tracemalloc

import pytest

from label_data.errors import InputError
from label_data.files.lines_in import LONGEST_LINE, MAX_BLANK, read_lines

MIB = 2**20
GZIPPED, EMPTY_LINE, ONE_LINE = (gzip.compress(content, mtime=0) for content in (b'{"a": 1}', b"\n", b"one\n"))


def written(path, content):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def fault(path, name="file"):
    """Return what is said of the file, read to its end."""
    with pytest.raises(InputError) as error:
        list(read_lines(path, name))
    return str(error.value)


def test_lines_are_numbered_from_one(tmp_path):
    assert list(read_lines(written(tmp_path / "a.txt", "a\nb"))) == [(1, "a\n"), (2, "b")]


def lines(path):
    return [line for _, line in read_lines(path)]


def test_gzip_and_a_byte_order_mark_are_read(tmp_path):
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(gzip.compress(b"\xef\xbb\xbf\xc3\xa9\n") + gzip.compress(b"two members\n") + b"\0" * 20_000)
    assert lines(path) == ["é\n", "two members\n"]


@pytest.mark.parametrize("length", [0, 1, 2**14, 2**16 + 1, 3 * MIB])
def test_gzip_unpacks_to_what_was_packed(tmp_path, length):
    """Random bytes as hexadecimal digits, so that pieces of the packed file and of the text end at odd places."""
    text = random.Random(length).randbytes(length // 2).hex() + "x" * (length % 2)
    path = written(tmp_path / "a.txt.gz", gzip.compress(f"one\n{text}\nlast".encode(), 1))
    assert lines(path) == ["one\n", f"{text}\n", "last"]


@pytest.mark.parametrize("content", [b'{"a": "\xe9"}', b"\x80\x04K\x01.", b"\xc0\xaf"])
def test_what_is_not_utf_8_is_refused(tmp_path, content):
    message = fault(written(tmp_path / "a.jsonl", content))
    assert "which is not UTF-8. Save the file as UTF-8; if it is compressed, its name must end in .gz." in message


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (GZIPPED, "found gzip data. Give the file a name that ends in .gz; if it has one, unpack"),
        (b"PK\x03\x04", "found a zip archive. Unpack it, and give the files inside."),
        (b"PAR1\x15", "found Parquet. Give the file a name that ends in .parquet"),
        (b"\xef\xbb\xbf<!DOCTYPE html>", "found a web page. Download the file itself, not the page that shows it."),
        (b"\xff\xfe{\0", "found UTF-16 text. Save the file as UTF-8."),
    ],
)
@pytest.mark.parametrize("name", ["a.jsonl", "a.txt.gz"])
def test_a_file_of_another_kind_is_told_by_its_first_bytes(tmp_path, name, content, message):
    path = written(tmp_path / name, gzip.compress(content) if name.endswith(".gz") else content)
    assert fault(path).startswith(f"file, line 1: {message}")


def test_a_line_may_be_long_but_not_without_end(tmp_path):
    content = b"x" * (LONGEST_LINE - 1) + b"\n"
    assert [len(line) for line in lines(written(tmp_path / "a.jsonl", content))] == [LONGEST_LINE]
    assert fault(written(tmp_path / "a.jsonl", b" " + content)) == (
        "file, line 1: found more than 16 MiB in one line. Write one object per line, or split it."
    )


@pytest.mark.parametrize("piece", [b"a" * MIB, b'{"a": 1}\n' * 2**17, b"\n" * MIB])
def test_a_gzip_bomb_is_refused_before_its_first_line_and_with_little_memory(tmp_path, piece):
    """256 MiB in a file of about 256 KiB: a plain loop would hold them, or look at 30 million lines."""
    path = tmp_path / "bomb.jsonl.gz"
    with gzip.open(path, "wb", compresslevel=1) as bomb:
        for _ in range(256 * MIB // len(piece)):
            bomb.write(piece)
    tracemalloc.start()
    try:
        with pytest.raises(InputError, match=r"at byte [\d,]+, the gzip data unpacks to more than 100 times"):
            next(read_lines(path))
        assert tracemalloc.get_traced_memory()[1] < 2 * MIB
    finally:
        tracemalloc.stop()


def test_gzip_may_grow_without_measure_while_it_is_small(tmp_path):
    path = written(tmp_path / "a.txt.gz", gzip.compress(b"a\n" * MIB))
    assert sum(1 for _ in read_lines(path)) == MIB


def test_blank_lines_without_end_are_refused(tmp_path):
    message = fault(written(tmp_path / "a.jsonl", "\n" * (MAX_BLANK + 1)))
    assert message == "file, line 100001: found more than 100,000 blank lines. Remove them."


def test_gzip_members_that_hold_nothing_are_refused_when_they_do_not_end(tmp_path):
    message = fault(written(tmp_path / "a.jsonl.gz", gzip.compress(b"") * (MAX_BLANK + 2)))
    assert message == "file: found more than 100,000 empty gzip members. Compress the file again."


def test_gzip_that_breaks_off_is_refused(tmp_path):
    whole = gzip.compress(b"one\n" + random.Random(0).randbytes(99).hex().encode() + b"\n")
    path = written(tmp_path / "a.jsonl.gz", whole[:-12])
    assert fault(path).startswith("file, after line 1: the gzip file is cut off before its end.")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"a": 1}', "after line 0: invalid gzip data (incorrect header check). Copy the file again, or rename it."),
        (b"", "file, after line 0: the gzip file is cut off before its end."),
        (EMPTY_LINE, "file: the file is empty."),
        (ONE_LINE + b"garbage", "after line 1: invalid gzip data (incorrect header check)."),
    ],
)
def test_what_is_called_gz_and_is_not_is_refused(tmp_path, content, message):
    assert message in fault(written(tmp_path / "a.jsonl.gz", content))


@pytest.mark.parametrize(("place", "reason"), [(-6, "incorrect data check"), (12, "invalid distance too far back")])
def test_gzip_with_a_flipped_bit_is_refused(tmp_path, place, reason):
    """The last eight bytes are checksum and length; the first ten are the header, the rest is deflate's."""
    content = bytearray(gzip.compress(b'{"a": 1}\n' * 9))
    content[place] ^= 8
    assert f"invalid gzip data ({reason})" in fault(written(tmp_path / "a.jsonl.gz", bytes(content)))


def test_only_a_file_on_the_disk_is_opened(tmp_path):
    """Opening a pipe that nobody writes to would keep the store waiting for ever."""
    os.mkfifo(tmp_path / "pipe.jsonl")
    (tmp_path / "zero.jsonl").symlink_to("/dev/zero")
    (tmp_path / "loop.jsonl").symlink_to("loop.jsonl")
    assert "file: this is a pipe or a device, not a file." in fault(tmp_path / "pipe.jsonl")
    assert "file: this is a pipe or a device, not a file." in fault(tmp_path / "zero.jsonl")
    assert "file: this is a folder, not a file." in fault(tmp_path)
    assert "the file can't be read (Too many levels of symbolic links)" in fault(tmp_path / "loop.jsonl")
    assert fault(tmp_path / "no.jsonl") == "file: the file can't be read (No such file or directory). Check the path."

"""Files are written whole or not at all, and the same rows give the same bytes."""

import gzip
import json
import os
import resource

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from label_data.errors import InputError
from label_data.files.rows_out import ENDINGS, write_rows
from label_data.files.whole import replacing

SCHEMA = pa.schema({"a": pa.int64(), "b": pa.string()})
ROWS = [{"b": "é", "a": 1}, {"a": 2, "b": None}]


def test_json_lines_are_canonical(tmp_path):
    assert write_rows(tmp_path / "a.jsonl", ROWS, SCHEMA) == 2
    assert (tmp_path / "a.jsonl").read_text() == '{"a":1,"b":"é"}\n{"a":2,"b":null}\n'


def test_gzip_holds_the_same_lines_and_neither_time_nor_name(tmp_path):
    write_rows(tmp_path / "a.jsonl.gz", ROWS, SCHEMA)
    content = (tmp_path / "a.jsonl.gz").read_bytes()
    assert gzip.decompress(content).decode() == '{"a":1,"b":"é"}\n{"a":2,"b":null}\n'
    assert content[3:8] == bytes(5)  # flags: no name; four bytes of time


def test_parquet_has_the_columns_and_row_groups_it_was_told(tmp_path):
    path = tmp_path / "a.parquet"
    assert write_rows(path, ({"a": number, "b": None} for number in range(2_500)), SCHEMA) == 2_500
    file = pq.ParquetFile(path)
    assert file.schema_arrow == SCHEMA
    assert [file.metadata.row_group(place).num_rows for place in range(3)] == [1_000, 1_000, 500]


@pytest.mark.parametrize("ending", ENDINGS)
def test_the_same_rows_give_the_same_bytes(tmp_path, ending):
    one, other = tmp_path / f"one{ending}", tmp_path / f"other{ending}"
    write_rows(one, ROWS, SCHEMA)
    write_rows(other, ROWS, SCHEMA)
    assert one.read_bytes() == other.read_bytes()


def test_an_ending_that_says_no_format_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"the name has no known ending. Use one of .jsonl, .jsonl.gz"):
        write_rows(tmp_path / "a.csv", ROWS, SCHEMA)


@pytest.mark.parametrize("ending", ENDINGS)
def test_nothing_to_write_is_said_and_leaves_no_file(tmp_path, ending):
    with pytest.raises(InputError, match="not written, because there is nothing to write"):
        write_rows(tmp_path / f"a{ending}", [], SCHEMA)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("ending", ENDINGS)
def test_an_error_midway_leaves_the_old_file_and_no_other(tmp_path, ending):
    path = tmp_path / f"a{ending}"
    path.write_bytes(b"old")

    def broken():
        yield from ROWS * 1_000
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write_rows(path, broken(), SCHEMA)
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == [path.name]


def test_a_file_takes_the_place_of_an_older_one(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text("old, and longer than what is new" * 99)
    write_rows(path, ROWS, SCHEMA)
    assert [json.loads(line)["a"] for line in path.read_text().splitlines()] == [1, 2]


def test_a_place_that_cannot_be_written_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"the file can't be written \(No such file or directory\)"):
        write_rows(tmp_path / "no" / "a.jsonl", ROWS, SCHEMA)
    (tmp_path / "folder.jsonl").mkdir()
    with pytest.raises(InputError, match=r"this is a folder. Name a file in it"):
        write_rows(tmp_path / "folder.jsonl", ROWS, SCHEMA)


def test_a_disk_that_takes_no_more_is_said_in_a_sentence_and_the_old_file_stays(tmp_path):
    """A limit on the size of files stands for the full disk: the kernel refuses the write midway in both cases."""
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"old")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    with pytest.raises(InputError, match=r"a.jsonl: the file can't be written \(File too large\)"):
        try:
            resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
            write_rows(path, ROWS * 10_000, SCHEMA)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a.jsonl"]


def test_a_block_that_ends_well_leaves_its_bytes_alone(tmp_path):
    with replacing(tmp_path / "a.bin") as file:
        file.write(b"one")
        assert not (tmp_path / "a.bin").exists()
    assert (tmp_path / "a.bin").read_bytes() == b"one"
    assert os.listdir(tmp_path) == ["a.bin"]

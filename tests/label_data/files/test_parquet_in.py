"""Parquet that somebody else wrote: decoded apart, with little memory, and the one sentence that each fault gets."""

from datetime import datetime
from decimal import Decimal
from math import isnan

import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from label_data.errors import InputError
from label_data.files.places import at_row
from label_data.files.rows_in import read_rows

MIB = 2**20


def written(path, content):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def fault(path, name="file"):
    """Return what is said of the file, read to its end."""
    with pytest.raises(InputError) as error:
        list(read_rows(path, name))
    return str(error.value)


def test_parquet_rows_are_counted_from_one_over_all_row_groups(tmp_path):
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"a": list(range(20))}), path, row_group_size=7)
    rows = list(read_rows(path, "file"))
    assert [row.fields["a"] for row in rows] == list(range(20))
    assert [rows[0].where, rows[-1].where] == [at_row("file", 1), at_row("file", 20)]


@pytest.mark.parametrize("content", [b"", b'{"a": 1}\n', b"PAR1" + b"\0" * 40 + b"PAR1"])
def test_what_is_called_parquet_and_is_not_is_refused(tmp_path, content):
    assert fault(written(tmp_path / "a.parquet", content)).startswith("file, after row 0: invalid Parquet data")


def test_parquet_that_breaks_off_is_refused(tmp_path):
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"a": ["text"] * 1_000}), path)
    assert "invalid Parquet data" in fault(written(path, path.read_bytes()[:-20]))


def test_parquet_text_that_is_not_utf_8_is_refused(tmp_path):
    path = tmp_path / "a.parquet"
    broken = pa.StringArray.from_buffers(1, pa.py_buffer(b"\0\0\0\0\1\0\0\0"), pa.py_buffer(b"\xe9"))
    pq.write_table(pa.table({"a": broken}), path)
    assert fault(path) == "file, after row 0: found text that is not UTF-8. Write the file again."


def test_parquet_with_a_nul_names_the_row_and_field(tmp_path):
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"a": [[{"b": "fine"}], [{"b": "fine"}, {"b": "x\0"}]]}), path)
    assert fault(path).startswith("file, row 2, field a[2].b: the text holds a NUL character")


def test_two_parquet_columns_of_one_name_are_refused(tmp_path):
    path = tmp_path / "a.parquet"
    pq.write_table(pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["a", "a"]), path)
    assert fault(path) == "file, after row 0: found two columns with the same name. Rename one."


BOMBS = {
    "one long text said 8 times": pa.DictionaryArray.from_arrays(pa.array([0] * 8, pa.int32()), ["a" * 40 * MIB]),
    "a short text said 20 million times in one row": pa.ListArray.from_arrays(
        pa.array([0, 2 * 10**7], pa.int32()), pa.DictionaryArray.from_arrays(pa.nulls(2 * 10**7, pa.int8()), ["a"])
    ),
}


@pytest.mark.parametrize("store_schema", [True, False])
@pytest.mark.parametrize("value", BOMBS.values(), ids=BOMBS)
def test_a_small_parquet_file_that_decodes_to_hundreds_of_megabytes_is_refused(tmp_path, value, store_schema):
    """With Arrow's own schema in the file the texts of a dictionary stay one until they become Python's."""
    path = tmp_path / "bomb.parquet"
    how = {"compression": "zstd", "dictionary_pagesize_limit": 2**30}
    pq.write_table(pa.table({"a": value}), path, **how, store_schema=store_schema)
    assert path.stat().st_size < MIB
    said = fault(path)
    assert "found rows that need more than 128 MiB of memory" in said or "row 1: found more than 16 MiB in one" in said


def test_parquet_that_says_it_has_more_rows_than_bytes_is_refused_at_once(tmp_path):
    path = tmp_path / "bomb.parquet"
    pq.write_table(pa.table({"a": pa.nulls(10**6 + 1, pa.int8())}), path)
    assert fault(path).startswith("file, after row 0: found more rows than bytes: 1,000,001.")


def test_parquet_that_grows_beyond_reason_is_refused(tmp_path):
    """20,000 times one kilobyte are 20 MB, in a file of a few kB."""
    path = tmp_path / "bomb.parquet"
    pq.write_table(pa.table({"a": ["a" * 1_000] * 20_000}), path, compression="zstd")
    assert "the Parquet data unpack to more than 100 times their size" in fault(path)


def test_what_json_has_no_value_for_comes_as_its_text_or_its_size(tmp_path):
    path = tmp_path / "a.parquet"
    row = {"a": b"\0\xff", "b": datetime(2024, 5, 6, 7, 8, 9), "c": Decimal("1.50"), "d": float("nan"), "e": [("x", 1)]}
    pq.write_table(
        pa.Table.from_pylist(
            [row],
            pa.schema(
                {
                    "a": pa.binary(),
                    "b": pa.timestamp("us"),
                    "c": pa.decimal128(5, 2),
                    "d": pa.float32(),
                    "e": pa.map_(pa.string(), pa.int8()),
                }
            ),
        ),
        path,
    )
    (found,) = read_rows(path)
    assert isnan(found.fields.pop("d"))
    assert found.fields == {"a": {"binary": 2}, "b": "2024-05-06 07:08:09", "c": "1.50", "e": [["x", 1]]}


def test_a_reader_that_is_left_early_ends_its_decoder(tmp_path):
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"a": [str(number) * 100 for number in range(50_000)]}), path)
    before = set(psutil.Process().children())  # a database's server, perhaps
    rows = read_rows(path)
    next(rows)
    (decoder,) = set(psutil.Process().children()) - before
    rows.close()
    assert not decoder.is_running()


def test_an_empty_parquet_table_is_refused(tmp_path):
    pq.write_table(pa.table({"a": pa.array([], pa.string())}), tmp_path / "a.parquet")
    assert fault(tmp_path / "a.parquet") == "file: found no rows. Check that the file is complete."

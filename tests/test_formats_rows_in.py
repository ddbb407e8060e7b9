"""Files that somebody else wrote: what is read, and the one sentence that each fault gets."""

import gzip
import tracemalloc

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from label_data.formats.rows_in import DEEPEST, LONGEST_LINE, Row, read_lines, read_rows
from label_data.records import InputError

MIB = 2**20


def written(path, content):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def fault(path, name="file"):
    """Return what is said of the file, read to its end."""
    with pytest.raises(InputError) as error:
        list(read_rows(path, name))
    return str(error.value)


def test_each_line_is_a_row_and_blank_lines_count_but_hold_nothing(tmp_path):
    path = written(tmp_path / "a.jsonl", '{"a": 1}\n\n  \r\n{"a": 2}')
    assert [(row.where, row.fields) for row in read_rows(path)] == [
        (f"{path}, line 1", {"a": 1}),
        (f"{path}, line 4", {"a": 2}),
    ]


def test_gzip_and_a_byte_order_mark_are_read(tmp_path):
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(gzip.compress(b'\xef\xbb\xbf{"a": "\xc3\xa9"}\n') + gzip.compress(b'{"a": "two members"}\n'))
    assert [row.fields["a"] for row in read_rows(path)] == ["é", "two members"]


def test_parquet_rows_are_counted_from_one_over_all_row_groups(tmp_path):
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"a": list(range(20))}), path, row_group_size=7)
    rows = list(read_rows(path, "file"))
    assert [row.fields["a"] for row in rows] == list(range(20))
    assert [rows[0].where, rows[-1].where] == ["file, row 1", "file, row 20"]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('{"a": NaN}', "file, line 2: found the number NaN, which is not finite"),
        ('{"a": -Infinity}', "file, line 2: found the number -Infinity, which is not finite"),
        ('{"a": 1e999}', "file, line 2: found the number 1e999, which is not finite"),
        ('{"a": ' + "9" * 5_000 + "}", "file, line 2: found a number of thousands of digits"),
        ('{"a": 1, "b": 2, "a": 1}', "file, line 2, field 'a': found it twice in one object"),
        ('{"a": {"b": [{"c": 1, "c": 2}]}}', "file, line 2, field 'c': found it twice in one object"),
        ('{"a": "x\\u0000y"}', "file, line 2, field a holds a NUL character"),
        ('{"a": {"b": ["x", "\\ud800"]}}', "file, line 2, field a.b[2] holds half of a surrogate pair"),
        ('{"a": {"\\udfff": 1}}', "file, line 2, the name of a field holds half of a surrogate pair"),
        ('{"a": "x\0y"}', "file, line 2, character 9: found no JSON there (Invalid control character at)"),
        ('{"a": 1', "file, line 2, character 8: found no JSON there"),
        ('{"a": 1} {"a": 2}', "file, line 2, character 10: found no JSON there (Extra data)"),
        ('[{"a": 1}]', "file, line 2: found a list, not an object. Write one JSON object a line."),
        ("17", "file, line 2: found the number 17, not an object"),
        (
            '{"a": ' + "[" * 100_000 + "]" * 100_000 + "}",
            f"file, line 2: found lists or objects more than {DEEPEST} deep",
        ),
        ('{"a":' * 45 + "1" + "}" * 45, f"file, line 2, field {'.'.join('a' * 30)}"),
    ],
)
def test_what_is_no_sound_json_is_refused_with_its_line(tmp_path, line, said):
    assert fault(written(tmp_path / "a.jsonl", f'{{"a": 0}}\n{line}\n')).startswith(said)


def test_nesting_is_allowed_up_to_its_limit(tmp_path):
    """The row itself is the first level: `a` may hold DEEPEST lists inside one another."""
    fits, too_deep = ('{"a": ' + "[" * depth + "]" * depth + "}" for depth in (DEEPEST, DEEPEST + 1))
    assert len(list(read_rows(written(tmp_path / "a.jsonl", fits)))) == 1
    assert f"more than {DEEPEST} deep" in fault(written(tmp_path / "a.jsonl", too_deep))


@pytest.mark.parametrize("content", [b'{"a": "\xe9"}', b'\xff\xfe{\x00"\x00', gzip.compress(b'{"a": 1}', mtime=0)])
def test_what_is_not_utf_8_is_refused(tmp_path, content):
    said = fault(written(tmp_path / "a.jsonl", content))
    assert "which is not UTF-8. Save the file as UTF-8; if it is compressed, its name must end in .gz." in said


def test_a_line_may_be_long_but_not_without_end(tmp_path):
    around = len('{"a": ""}\n')
    content = b'{"a": "' + b"x" * (LONGEST_LINE - around) + b'"}\n'
    (row,) = read_rows(written(tmp_path / "a.jsonl", content))
    assert len(row.fields["a"]) == LONGEST_LINE - around
    assert fault(written(tmp_path / "a.jsonl", b" " + content)) == (
        "file, line 1: found more than 16 MiB in one line. Write one object a line, or split it."
    )


def test_a_gzip_bomb_is_refused_in_a_fraction_of_the_memory_it_would_fill(tmp_path):
    """256 MiB without a line end, in a file of about 256 KiB: the reader may hold little more than one line's limit."""
    path = tmp_path / "bomb.jsonl.gz"
    with gzip.open(path, "wb", compresslevel=1) as bomb:
        for _ in range(256):
            bomb.write(b"a" * MIB)
    tracemalloc.start()
    try:
        assert "found more than 16 MiB in one line" in fault(path)
        assert tracemalloc.get_traced_memory()[1] < 48 * MIB
    finally:
        tracemalloc.stop()


def test_gzip_that_breaks_off_is_refused(tmp_path):
    whole = gzip.compress(b'{"a": 1}\n' * 1_000)
    path = written(tmp_path / "a.jsonl.gz", whole[:-12])
    assert fault(path) == "file: found a gzip file that breaks off before its end. Copy or load it again."


def test_what_is_called_gz_and_is_not_is_refused(tmp_path):
    said = fault(written(tmp_path / "a.jsonl.gz", '{"a": 1}'))
    assert said.startswith("file: found no sound gzip data (Not a gzipped file")


@pytest.mark.parametrize(("place", "reason"), [(-6, "CRC check failed"), (12, "Error -3")])
def test_gzip_with_a_flipped_bit_is_refused(tmp_path, place, reason):
    """The last eight bytes are checksum and length; the first ten are the header, the rest is deflate's."""
    content = bytearray(gzip.compress(b'{"a": 1}\n' * 9))
    content[place] ^= 8
    assert fault(written(tmp_path / "a.jsonl.gz", bytes(content))).startswith(
        f"file: found no sound gzip data ({reason}"
    )


def test_gzip_of_something_else_is_refused(tmp_path):
    said = fault(written(tmp_path / "a.jsonl.gz", gzip.compress(b"\x89PNG\r\n\x1a\n")))
    assert said.startswith("file, line 1: found byte 0x89 at 1, which is not UTF-8")


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz", "a.parquet"])
def test_a_file_that_is_not_there_is_named(tmp_path, name):
    assert fault(tmp_path / name) == "file: the file can't be read (No such file or directory). Check the path."


@pytest.mark.parametrize("content", [b"", b'{"a": 1}\n', b"PAR1" + b"\0" * 40 + b"PAR1"])
def test_what_is_called_parquet_and_is_not_is_refused(tmp_path, content):
    assert fault(written(tmp_path / "a.parquet", content)).startswith("file, after row 0: found no sound Parquet data")


def test_parquet_that_breaks_off_is_refused(tmp_path):
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"a": ["text"] * 1_000}), path)
    assert "found no sound Parquet data" in fault(written(path, path.read_bytes()[:-20]))


def test_parquet_text_that_is_not_utf_8_is_refused(tmp_path):
    path = tmp_path / "a.parquet"
    broken = pa.StringArray.from_buffers(1, pa.py_buffer(b"\0\0\0\0\1\0\0\0"), pa.py_buffer(b"\xe9"))
    pq.write_table(pa.table({"a": broken}), path)
    assert fault(path) == "file, after row 0: found text that is not UTF-8. Write it again."


def test_parquet_with_a_nul_names_the_row_and_field(tmp_path):
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"a": [[{"b": "fine"}], [{"b": "fine"}, {"b": "x\0"}]]}), path)
    assert fault(path).startswith("file, row 2, field a[2].b holds a NUL character")


def test_two_parquet_columns_of_one_name_are_refused(tmp_path):
    path = tmp_path / "a.parquet"
    pq.write_table(pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["a", "a"]), path)
    assert fault(path) == "file: found two columns of one name among a, a. Rename one."


def test_a_small_parquet_file_that_says_one_long_value_many_times_is_refused(tmp_path):
    """40 MiB said 8 times would be 320 MiB at once; the file has about 6 kB."""
    path = tmp_path / "bomb.parquet"
    value = pa.DictionaryArray.from_arrays(pa.array([0] * 8, pa.int32()), pa.array(["a" * 40 * MIB]))
    how = {"compression": "zstd", "dictionary_pagesize_limit": 2**30}
    pq.write_table(pa.table({"a": value}), path, **how, store_schema=False)
    assert path.stat().st_size < MIB
    assert fault(path) == "file, after row 0: found rows of more than 16 MiB each. Shorten them."
    pq.write_table(pa.table({"a": value}), path, **how)
    assert fault(path).startswith("file, row 1, field a has 41,943,040 characters; at most 16,777,216 are kept")


def test_a_parquet_list_of_millions_of_values_is_refused_before_it_is_decoded(tmp_path):
    path = tmp_path / "bomb.parquet"
    count = 20_000_001
    values = pa.ListArray.from_arrays(pa.array([0, count], pa.int32()), pa.nulls(count, pa.int8()))
    pq.write_table(pa.table({"a": values}), path, compression="zstd")
    assert "column a.list.element: found 20,000,001 values of" in fault(path)


# Fields


def row(**fields):
    return Row("file, line 3", fields, "completions[2].")


@pytest.mark.parametrize(
    ("read", "said"),
    [
        (lambda: row(a=5).text("a"), "a: found the number 5. Write a text."),
        (lambda: row(a=True).text("a"), "a: found true. Write a text."),
        (lambda: row(b=5).text("a"), "a: found none among b. Add it, or rename the field that has a text."),
        (lambda: row().text("a"), "a: found none among no fields. Add it, or rename the field that has a text."),
        (lambda: row(a=None).items("a", required=True), "a: found none among a."),
        (lambda: row(a=1.0).whole("a"), "a: found the number 1.0. Write a whole number of at most 64 bits"),
        (lambda: row(a=True).whole("a"), "a: found true. Write a whole number"),
        (lambda: row(a=2**63).whole("a"), "a: found the number 9223372036854775808. Write a whole number"),
        (lambda: row(a=float("nan")).number("a"), "a: found the number nan. Write a finite number"),
        (lambda: row(a="1").number("a"), "a: found a text. Write a finite number"),
        (lambda: row(a=1).truth("a"), "a: found the number 1. Write true or false."),
        (lambda: row(a={}).items("a"), "a: found an object. Write a list."),
        (lambda: row(a=[{}, []]).inner("a"), "a[2]: found a list. Write an object there: {…}."),
        (lambda: row(texts=1).allow_only("text"), "texts: found a field of that name. Rename it, or remove it: text."),
        (lambda: row(**{"\x1b[2J": 1}).allow_only("text"), "'\\x1b[2J': found a field of that name."),
    ],
)
def test_a_field_of_another_kind_is_refused_with_the_way_to_it(read, said):
    with pytest.raises(InputError) as error:
        read()
    assert str(error.value).startswith(f"file, line 3, field completions[2].{said}")


def test_a_field_that_is_null_counts_as_not_there():
    empty = row(a=None)
    empty.allow_only("text")
    assert (empty.text("a", "x"), empty.whole("a"), empty.number("a")) == ("x", None, None)
    assert (empty.truth("a"), empty.items("a"), empty.inner("a")) == (False, [], [])


def test_a_row_inside_a_row_knows_the_way_to_itself():
    (inner,) = row(flags=[{"x": 1}]).inner("flags")
    assert inner == Row("file, line 3", {"x": 1}, "completions[2].flags[1].")


def test_lines_are_numbered_from_one(tmp_path):
    assert list(read_lines(written(tmp_path / "a.txt", "a\nb"))) == [(1, "a\n"), (2, "b")]

"""Files that somebody else wrote: what is read, and the one sentence that each fault gets."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from label_data.errors import InputError
from label_data.files.places import at_line
from label_data.files.rows_in import DEEPEST, UNSURE, Row, _parsed_fast, _parsed_strictly, parsed, read_rows


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
        (at_line(str(path), 1), {"a": 1}),
        (at_line(str(path), 4), {"a": 2}),
    ]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"a": NaN}', "file, line 2: found the number NaN, which is not finite"),
        ('{"a": -Infinity}', "file, line 2: found the number -Infinity, which is not finite"),
        ('{"a": 1e999}', "file, line 2: found the number 1e999, which is not finite"),
        ('{"a": ' + "9" * 5_000 + "}", "file, line 2: found a number with thousands of digits"),
        ('{"a": 1, "b": 2, "a": 1}', "file, line 2: field 'a' appears twice in one object"),
        ('{"a": {"b": [{"c": 1, "c": 2}]}}', "file, line 2: field 'c' appears twice in one object"),
        ('{"a": "x\\u0000y"}', "file, line 2, field a: the text holds a NUL character"),
        ('{"a": {"b": ["x", "\\ud800"]}}', "file, line 2, field a.b[2]: the text contains half of a surrogate pair"),
        ('{"a": {"\\udfff": 1}}', "file, line 2: the name of a field contains half of a surrogate pair"),
        ('{"a\\u0000": 1}', "file, line 2: the name of a field holds a NUL character"),
        ('{"a": "x\0y"}', "file, line 2: invalid JSON at character 9 (Invalid control character at)"),
        ('{"a": 1', "file, line 2: invalid JSON at character 8"),
        ('{"a": 1} {"a": 2}', "file, line 2: invalid JSON at character 10 (Extra data)"),
        ('[{"a": 1}]', "file, line 2: found a list, not an object. Write one JSON object per line."),
        ("17", "file, line 2: found the number 17, not an object"),
        (
            '{"a": ' + "[" * 100_000 + "]" * 100_000 + "}",
            f"file, line 2: found lists or objects nested more than {DEEPEST} deep",
        ),
        ('{"a":' * 45 + "1" + "}" * 45, f"file, line 2, field {'.'.join('a' * 30)}"),
    ],
)
def test_what_is_no_sound_json_is_refused_with_its_line(tmp_path, line, message):
    assert fault(written(tmp_path / "a.jsonl", f'{{"a": 0}}\n{line}\n')).startswith(message)


def test_nesting_is_allowed_up_to_its_limit(tmp_path):
    """The row itself is the first level: `a` may hold DEEPEST lists inside one another."""
    fits, too_deep = ('{"a": ' + "[" * depth + "]" * depth + "}" for depth in (DEEPEST, DEEPEST + 1))
    assert len(list(read_rows(written(tmp_path / "a.jsonl", fits)))) == 1
    assert f"more than {DEEPEST} deep" in fault(written(tmp_path / "a.jsonl", too_deep))


SIGNS = st.sampled_from(
    [
        "a",
        ":",
        "\\\\",
        '\\"',
        "\\n",
        "\\u003a",
        "\\u003A",
        "\\u0061",
        "\\\\u003a",
        "\\u0000",
        "\\ud83d\\ude00",
        "\\ud800",
        "é",
    ]
)
QUOTED = st.lists(SIGNS, max_size=4).map(lambda signs: f'"{"".join(signs)}"')
NUMBERS = [
    "0",
    "-0",
    "-0.0",
    "1e2",
    "17",
    "1e999",
    "NaN",
    "01",
    f"{2**63}",
    f"{-(2**63) - 1}",
    f"{2**64}",
    "1e19",
    "0.1",
]
VALUES = st.recursive(
    QUOTED | st.sampled_from(["true", "null", "nul", '":', *NUMBERS]),
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda found: f"[{', '.join(found)}]")
        | st.lists(st.tuples(QUOTED, st.sampled_from([":", " : "]), inner), max_size=3).map(
            lambda pairs: f"{{{','.join(''.join(pair) for pair in pairs)}}}"
        )
    ),
    max_leaves=6,
)


def outcome(read):
    """Return the value with its types, or what is said of it."""
    try:
        return repr(read())
    except InputError as error:
        return str(error)


@settings(max_examples=200, deadline=None)
@given(VALUES)
def test_what_is_read_fast_is_what_a_close_look_reads(text):
    """Names that come twice, written in two ways, colons in names and texts, numbers that a float only comes near."""
    assert outcome(lambda: parsed(text, "line 1")) == outcome(lambda: _parsed_strictly(text, "line 1", "", None))


@pytest.mark.parametrize("text", ['{"a:b": "c: d", "e": [1.5, null, {"f": "\\n\\nHuman: é"}]}', "[17]", '"::"'])
def test_what_nearly_all_rows_are_needs_no_close_look(text):
    assert _parsed_fast(text) is not UNSURE


# Fields


def row(**fields):
    return Row(at_line("file", 3), fields, "completions[2].")


@pytest.mark.parametrize(
    ("read", "message"),
    [
        (lambda: row(a=5).text("a"), "a: found the number 5. Write a text."),
        (lambda: row(a=True).text("a"), "a: found true. Write a text."),
        (lambda: row(b=5).text("a"), "a: missing; the fields are b. Add it, or rename the field that holds a text."),
        (lambda: row().text("a"), "a: missing; there are no fields. Add it, with a text."),
        (lambda: row(a=None).items("a", required=True), "a: missing; the fields are a."),
        (lambda: row(a=1.0).whole("a"), "a: found the number 1.0. Write a whole number of at most 64 bits"),
        (lambda: row(a=True).whole("a"), "a: found true. Write a whole number"),
        (lambda: row(a=2**63).whole("a"), "a: found the number 9223372036854775808. Write a whole number"),
        (lambda: row(a=float("nan")).number("a"), "a: found the number nan. Write a finite number"),
        (lambda: row(a="1").number("a"), "a: found a text. Write a finite number"),
        (lambda: row(a=1).truth("a"), "a: found the number 1. Write true or false."),
        (lambda: row(a={}).items("a"), "a: found an object. Write a list."),
        (lambda: row(a=[{}, []]).inner("a"), "a[2]: found a list. Write an object: {…}."),
        (lambda: row(texts=1).allow_only("text"), "texts: unknown field. Rename it, or remove it. Known fields: text."),
        (lambda: row(**{"\x1b[2J": 1}).allow_only("text"), "'\\x1b[2J': unknown field."),
    ],
)
def test_a_field_of_another_kind_is_refused_with_the_way_to_it(read, message):
    with pytest.raises(InputError) as error:
        read()
    assert str(error.value).startswith(f"file, line 3, field completions[2].{message}")


def test_a_field_that_is_null_counts_as_not_there():
    empty = row(a=None)
    empty.allow_only("text")
    assert (empty.text("a", "x"), empty.whole("a"), empty.number("a")) == ("x", None, None)
    assert (empty.truth("a"), empty.items("a"), empty.inner("a")) == (False, [], [])


def test_a_row_inside_a_row_knows_the_way_to_itself():
    (inner,) = row(flags=[{"x": 1}]).inner("flags")
    assert inner == Row(at_line("file", 3), {"x": 1}, "completions[2].flags[1].")

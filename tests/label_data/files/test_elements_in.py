"""A JSON list comes element by element, wherever the pieces of the text end."""

import json

import pytest

from label_data.errors import InputError
from label_data.files.elements_in import elements
from label_data.files.lines_in import LONGEST_LINE
from label_data.files.rows_in import read_rows

ROWS = [{"a": 'x"]}{[\\', "b": [{"c": number}, "\\"]} for number in range(5)]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1_000])
@pytest.mark.parametrize("indent", [None, 1])
def test_brackets_and_quotes_inside_texts_and_between_pieces_are_no_ends(size, indent):
    text = f" {json.dumps(ROWS, indent=indent)}\n"
    result = list(elements([text[at : at + size] for at in range(0, len(text), size)], "file"))
    assert [(number, json.loads(element)) for number, element in result] == list(enumerate(ROWS, start=1))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[{"a": 1}', "file, after element 1: the list is not closed."),
        ('[{"a": "', "file, after element 0: the list is not closed."),
        ('[{"a": 1}] x', "file, after element 1: found 'x' instead of"),
        ('[{"a": 1} {}]', "file, after element 1: found '{' instead of"),
        ('[{"a": 1},, {}]', "file, after element 1: found ',,' instead of"),
        ('[{"a": 1},]', "file, after element 1: found ',]' instead of"),
        ('[1, {"a": 1}]', "file, after element 0: found '1,' instead of"),
        ('["x"]', "file, after element 0: found '\"x\"]' instead of"),
        ("[{}}", "file, after element 1: found '}' instead of"),
        ("[{}][{}]", "file, after element 1: found '[' instead of"),
        ("[][{}]", "file, after element 0: found '[' instead of"),
        ("[{}]]", "file, after element 1: found ']' instead of"),
        ("[]", "file: found an empty list."),
    ],
)
def test_what_stands_between_elements_is_never_passed_over(text, message):
    with pytest.raises(InputError) as error:
        list(elements([text], "file"))
    assert str(error.value).startswith(message)


def test_an_element_without_end_is_refused_when_it_is_too_long():
    pieces = (piece for piece in ('[{"a": "', *["x" * 2**20] * 40, None))
    with pytest.raises(InputError, match="file, element 1: found more than 16 Mi characters in one element"):
        list(elements(pieces, "file"))
    assert len(list(pieces)) >= 40 - 2 * LONGEST_LINE // 2**20


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.json", json.dumps(ROWS, indent=2)),
        ("a.json", "\n".join(map(json.dumps, ROWS))),
        ("a.JSON", json.dumps(ROWS)),
    ],
)
def test_json_is_a_list_or_lines(tmp_path, name, content):
    (tmp_path / name).write_text(content)
    assert [row.fields for row in read_rows(tmp_path / name)] == ROWS


def test_an_element_that_is_no_object_or_no_sound_json_is_refused_with_its_number(tmp_path):
    for text, message in (
        ("[{}, []]", "element 2: found a list, not an object"),
        ("[{}, {x}]", "element 2: invalid JSON at character 2"),
    ):
        (tmp_path / "a.json").write_text(text)
        with pytest.raises(InputError, match=message):
            list(read_rows(tmp_path / "a.json"))

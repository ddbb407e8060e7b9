"""Prompts from text, JSON lines, CSV and Parquet."""

import gzip
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from label_data.errors import InputError
from label_data.exchange.known_formats import recognised
from label_data.formats import prompts
from label_data.formats.prompts import prompts_from_text, read_prompts
from label_data.records import user_prompt


def file_of(tmp_path, name, text):
    path = tmp_path / name
    path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    return path


def told(path, **options):
    """Return (last message, category) of each prompt."""
    return [(prompt.messages[-1].content, prompt.category) for prompt in read_prompts(path, **options)]


@pytest.mark.parametrize("name", ["a.txt", "a.txt.gz", "A.TXT"])
def test_text_has_one_prompt_a_line(tmp_path, name):
    path = file_of(tmp_path, name, "\ufeff Why? \r\n\n空はなぜ青い?\n")
    assert told(path, category="sky") == [("Why?", "sky"), ("空はなぜ青い?", "sky")]


def test_json_lines_have_a_prompt_or_messages_and_may_have_a_category(tmp_path):
    path = file_of(
        tmp_path,
        "a.jsonl",
        '{"prompt": "Why?"}\n'
        '{"prompt": "Who?", "category": "people", "id": 7}\n'
        '{"messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "When?"}]}\n'
        '{"prompt": [{"role": "user", "content": "Where?"}]}\n',
    )
    assert told(path, category="other") == [
        ("Why?", "other"),
        ("Who?", "people"),
        ("When?", "other"),
        ("Where?", "other"),
    ]
    assert [len(prompt.messages) for prompt in read_prompts(path)] == [1, 1, 2, 1]
    assert {prompt.source for prompt in read_prompts(path)} == {"a.jsonl"}


@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz"])
def test_csv_has_a_named_column_and_quoted_cells_hold_commas_and_lines(tmp_path, name):
    path = file_of(tmp_path, name, 'id,question,category\n1,"One, two\nand ""three""?",counting\n\n2,Why?,\n')
    assert told(path, column="question", category="x") == [('One, two\nand "three"?', "counting"), ("Why?", "x")]


def test_parquet_has_a_named_column(tmp_path):
    pq.write_table(pa.table({"question": ["Why?", "Who?"]}), tmp_path / "a.parquet")
    assert told(tmp_path / "a.parquet", column="question") == [("Why?", ""), ("Who?", "")]


def test_an_uploaded_file_goes_by_the_name_it_had(tmp_path):
    path = file_of(tmp_path, "upload.txt", "Why?")
    assert [prompt.source for prompt in read_prompts(path, name="mine.txt")] == ["mine.txt"]
    with pytest.raises(
        InputError, match=r"^mine.csv, line 2, field prompt: missing; the columns are question. Name the column"
    ):
        list(read_prompts(file_of(tmp_path, "upload.csv", "question\nWhy?\n"), name="mine.csv"))


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.txt", "Why?\nx\0y\n", "line 2: A user message holds a NUL character"),
        ("a.jsonl", '{"text": "Why?"}', "line 1, field prompt: missing; the fields are text."),
        ("a.jsonl", '{"prompt": 5}', "line 1, field prompt: found the number 5. Write a text."),
        ("a.jsonl", '{"prompt": " "}', "line 1, field prompt: A prompt's last message is empty"),
        ("a.jsonl", '{"messages": [{"role": "assistant", "content": "Hi"}]}', "line 1, field messages: A prompt ends"),
        ("a.jsonl", '{"prompt": "Why?", "category": 5}', "line 1, field category: found the number 5. Write a text."),
        ("a.csv", "prompt,prompt\na,b\n", "line 1: found two columns with the same name among prompt, prompt."),
        ("a.csv", "prompt;b\na;b\n", "line 1: found no comma in prompt;b. Save the table with commas"),
        ("a.csv", "prompt,b\na,b\nc\n", "line 3: found 1 cells under 2 columns. Put quotes around"),
        ("a.csv", 'prompt\n"open\n', "line 2: invalid CSV (unexpected end of data)"),
        ("a.csv", 'prompt\n"' + "x" * 140_000 + '"\n', "line 2: invalid CSV (field larger than field limit"),
        ("a.csv", "prompt\n \n", "line 2, field prompt: A prompt's last message is empty"),
    ],
)
def test_what_is_no_prompt_is_refused_with_its_line(tmp_path, name, text, message):
    path = file_of(tmp_path, name, text)
    with pytest.raises(InputError) as error:
        list(read_prompts(path))
    assert str(error.value).startswith(f"{path}, {message}")


def test_pasted_text_has_one_prompt_a_line_too():
    assert prompts_from_text("Why?\n\n  Who? \n", "c") == [user_prompt("Why?", "c"), user_prompt("Who?", "c")]
    assert prompts_from_text(" \n") == []
    with pytest.raises(InputError, match="The pasted text holds a NUL"):
        prompts_from_text("a\0")


def test_prompts_are_read_as_groups_that_wait_for_completions(tmp_path):
    (group,) = prompts.read(file_of(tmp_path, "a.txt", "Why?"))
    assert (group.prompt, group.completions, group.rankings) == (user_prompt("Why?", source="a.txt"), (), ())


@pytest.mark.parametrize(
    "row",
    [
        {"prompt": "Why?", "response": "So.", "verbosity": 1},
        {"id": 1, "prompt": "Why?", "answer1": "So.", "answer2": "Hm.", "comparison": {"selected": "left"}},
    ],
)
def test_rows_with_answers_in_them_are_not_taken_for_prompts_unless_asked(tmp_path, row):
    path = file_of(tmp_path, "a.jsonl", json.dumps(row))
    with pytest.raises(InputError, match="no known format has the fields"):
        recognised(path)
    assert [prompt.messages[-1].content for prompt in read_prompts(path)] == ["Why?"]

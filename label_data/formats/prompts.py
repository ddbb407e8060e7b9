"""Prompts without completions, to sample completions for: text, JSON lines, CSV or Parquet.

.txt: one prompt per line. .jsonl, .jsonl.gz, .parquet: {"prompt": "Can pigs fly?", "category": "facts"}, or "messages"
instead of "prompt" for a conversation that ends with the user's turn. .csv: a header, and a column for the prompt.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from label_data.errors import InputError
from label_data.files.csv_in import csv_rows
from label_data.files.lines_in import read_lines
from label_data.files.places import at_line, located
from label_data.files.rows_in import Row, listed, read_rows
from label_data.formats.pairs import count_unknown
from label_data.records import Group, Prompt, check_text, messages_from, user_prompt
from label_data.sentences import Sentence, say

NAME = "prompts"
PROMPTS = say("label_data.formats.is_prompts")
COLUMN = "prompt"
"""The field or column that holds the prompt by default."""
ANSWERS = {"chosen", "rejected", "completions", "completion", "response", "answer1", "answer2", "rejected_message"}
"""Fields of rows that have answers too, in a form that no reader knows. To read such a file as prompts drops its
preferences, so a person must ask for it."""


def recognise(fields: Mapping[str, Any]) -> Sentence | None:
    """Return what a file is whose first row has these fields, or None if it is not in this format."""
    has_prompt = isinstance(fields.get(COLUMN), str | list) or isinstance(fields.get("messages"), list)
    if has_prompt and not ANSWERS & fields.keys():
        return PROMPTS
    return None


def read(
    path: Path, left_out: Counter[Sentence] | None = None, column: str = COLUMN, category: str = ""
) -> Iterator[Group]:
    """Yield a group without completions for each prompt; see `read_prompts`."""
    return (Group(prompt) for prompt in read_prompts(path, column, category, left_out=left_out))


def read_prompts(
    path: Path, column: str = COLUMN, category: str = "", name: str = "", left_out: Counter[Sentence] | None = None
) -> Iterator[Prompt]:
    """Yield the file's prompts, read as its name ends: .txt, .csv, .parquet, or JSON lines for any other ending.

    `column` names the field or column that holds the prompt. A row's own `category` replaces the given one. `name`
    replaces the path in messages and as the prompts' source, for a file that was uploaded. Fields that are not part of
    a prompt are counted in `left_out`. Raises InputError, with file, line and field, at a row without a valid prompt.
    """
    left_out = Counter() if left_out is None else left_out
    name, source = name or str(path), name or path.name
    ending = path.name.lower().removesuffix(".gz").rpartition(".")[2]
    if ending == "txt":
        for number, line in read_lines(path, name):
            if line.strip():
                with located(at_line(name, number)):
                    if "\r" in line.strip():
                        raise InputError("label_data.formats.carriage_return")
                    yield user_prompt(line.strip(), category, source)
        return
    for row in csv_rows(path, name) if ending == "csv" else read_rows(path, name):
        if ending == "csv" and column not in row.fields:
            row.refuse(column, say("label_data.formats.no_prompt_column", names=listed(row.fields)))
        count_unknown(row, (column, "messages", "category"), left_out)
        yield prompt_of(row, row.text("category", category) or category, source, column, left_out)


def prompts_from_text(text: str, category: str = "") -> list[Prompt]:
    """Return one prompt for each line of pasted text that is not blank."""
    check_text(text, say("label_data.formats.pasted_text"), 10_000_000)
    return [user_prompt(line.strip(), category) for line in text.splitlines() if line.strip()]


def prompt_of(
    row: Row,
    category: str,
    source: str,
    column: str = COLUMN,
    left_out: Counter[Sentence] | None = None,
    licence: str = "",
) -> Prompt:
    """Return the row's prompt: the text or messages in `column`, or else the messages in "messages".

    Fields of a message that no record has are counted in `left_out`.
    """
    filled = [name for name in dict.fromkeys((column, "messages")) if row.fields.get(name) is not None]
    if len(filled) > 1:
        row.refuse(column, say("label_data.formats.prompt_twice"))
    field = filled[0] if filled else column
    value = row.fields.get(field)
    if not isinstance(value, list):
        value = [{"role": "user", "content": row.text(field)}]
    with located(row.where, row.within + field):
        messages = messages_from(value, say("label_data.formats.the_value"), left_out)
        return Prompt(messages, category, source, licence)

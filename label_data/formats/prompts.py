"""Prompts alone, to be sampled for: text, JSON lines, CSV or Parquet.

.txt: one prompt a line. .jsonl, .jsonl.gz, .parquet: {"prompt": "Can pigs fly?", "category": "facts"}, or "messages"
in place of "prompt" for a conversation that ends with the user's turn. .csv: a header, and a column for the prompt.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from label_data.errors import InputError
from label_data.files.csv_in import csv_rows
from label_data.files.lines_in import read_lines
from label_data.files.rows_in import Row, listed, located, read_rows
from label_data.formats.pairs import count_unknown
from label_data.records import Group, Prompt, check_text, messages_from, user_prompt

NAME = "prompts"
COLUMN = "prompt"
"""The field or column that holds the prompt, unless another is named."""
ANSWERS = {"chosen", "rejected", "completions", "completion", "response", "answer1", "answer2", "rejected_message"}
"""Fields of rows that hold answers too, in a form that nobody here reads: taking such for prompts would drop what was
judged, so it must be asked for."""


def says(fields: Mapping[str, Any]) -> str:
    """Say what a file is whose first row has these fields, or nothing if it is none of this format."""
    asks = isinstance(fields.get(COLUMN), str | list) or isinstance(fields.get("messages"), list)
    return "prompts" if asks and not ANSWERS & fields.keys() else ""


def read(path: Path, left_out: Counter[str] | None = None, column: str = COLUMN, category: str = "") -> Iterator[Group]:
    """Yield a group without completions for each prompt; see `read_prompts`."""
    return (Group(prompt) for prompt in read_prompts(path, column, category, left_out=left_out))


def read_prompts(
    path: Path, column: str = COLUMN, category: str = "", name: str = "", left_out: Counter[str] | None = None
) -> Iterator[Prompt]:
    """Yield the file's prompts as its ending says: .txt, .csv, .parquet, or JSON lines for any other.

    `column` names the field or column that holds the prompt. A row's own `category` goes before the given one.
    `name` stands for the path in messages and as the prompts' source, for a file that has been uploaded. Fields that
    are no part of a prompt are counted in `left_out`. Raises InputError, with file, line and field, at what is no
    prompt.
    """
    left_out = Counter() if left_out is None else left_out
    name, source = name or str(path), name or path.name
    ending = path.name.lower().removesuffix(".gz").rpartition(".")[2]
    if ending == "txt":
        for number, line in read_lines(path, name):
            if line.strip():
                with located(f"{name}, line {number}"):
                    if "\r" in line.strip():
                        raise InputError("found carriage returns inside it. Save the file with line ends of Unix.")
                    yield user_prompt(line.strip(), category, source)
        return
    for row in csv_rows(path, name) if ending == "csv" else read_rows(path, name):
        if ending == "csv" and column not in row.fields:
            row.refuse(
                column,
                f"none among {listed(row.fields)}",
                "Say which column holds the prompt; in a table of pairs name three: prompt=…, chosen=…, rejected=….",
            )
        count_unknown(row, (column, "messages", "category"), left_out)
        yield prompt_of(row, row.text("category", category) or category, source, column, left_out)


def prompts_from_text(text: str, category: str = "") -> list[Prompt]:
    """Return one prompt for each line of pasted text, blank lines left out."""
    check_text(text, "The pasted text", 10_000_000)
    return [user_prompt(line.strip(), category) for line in text.splitlines() if line.strip()]


def prompt_of(
    row: Row,
    category: str,
    source: str,
    column: str = COLUMN,
    left_out: Counter[str] | None = None,
    licence: str = "",
) -> Prompt:
    """Return the row's prompt: the text or messages in `column`, or else the messages in "messages".

    Fields of a message that no record has are counted in `left_out`.
    """
    given = [name for name in dict.fromkeys((column, "messages")) if row.fields.get(name) is not None]
    if len(given) > 1:
        row.refuse(column, "both this field and messages", "Leave one of the two.")
    field = given[0] if given else column
    value = row.fields.get(field)
    if not isinstance(value, list):
        value = [{"role": "user", "content": row.text(field)}]
    with located(f"{row.where}, field {row.within}{field}"):
        return Prompt(messages_from(value, "The value", left_out), category, source, licence)

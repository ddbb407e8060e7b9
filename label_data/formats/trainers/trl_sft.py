"""Demonstrations as data for supervised fine-tuning: the answers that annotators wrote. JSON lines or Parquet.

{"messages": [{"role": "user", "content": "Can pigs fly?"}, {"role": "assistant", "content": "No, they can't."}]}

TRL's SFTTrainer takes it as it is, and so do axolotl (chat_template) and ms-swift. LLaMA-Factory takes it with
the entry in dataset_info.json that docs/formats.md has: formatting sharegpt, as its openai writes "detailed thinking
off" into every system message.

Source: https://huggingface.co/docs/trl/dataset_formats, language modelling, conversational; TRL 1.16. What the others'
loaders made of it: benchmarks/compatibility/other_trainers.py
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from label_data.files.rows_in import Row
from label_data.files.rows_out import write_rows
from label_data.formats.pair_rows import MESSAGES, conversation
from label_data.formats.pairs import NO_QUESTION
from label_data.formats.verdicts import messages_of, read_judged
from label_data.records import Demonstration, Group, Prompt
from label_data.store.bare_groups import BareGroup

NAME = "trl-sft"
LACKS = "rankings, who wrote an answer, when, and which completion it was edited from"
SCHEMA = pa.schema({"messages": MESSAGES})


def says(fields: Mapping[str, Any]) -> str:
    """Say what a file is whose first row has these fields, or nothing if it is none of this format."""
    turns = fields.get("messages")
    last = turns[-1] if isinstance(turns, list) and turns else None
    answered = isinstance(last, dict) and last.get("role") == "assistant"
    rejects = {"rejected_response", "rejected_message"} & fields.keys()
    return "demonstrations, as conversations" if answered and not rejects else ""


def read(path: Path, left_out: Counter[str] | None = None) -> Iterator[Group]:
    """Yield a prompt with one demonstration a row; see `read_judged`."""
    return read_judged(path, left_out, SCHEMA.names, _groups)


def _groups(row: Row, source: str, left_out: Counter[str]) -> Iterator[Group]:
    *asked, answer = messages_of(row, "messages", left_out)
    answers = answer.role == "assistant" and answer.content.strip()
    if not (answers and asked and asked[-1].role == "user" and asked[-1].content.strip()):
        left_out[NO_QUESTION] += 1
        return
    prompt = Prompt(tuple(asked), source=source)
    yield Group(prompt, demonstrations=(Demonstration(prompt.id, answer.content, NAME, source="import"),))


def write(path: Path, groups: Iterable[Group | BareGroup], left_out: Counter[str] | None = None) -> int:
    """Write a row for each demonstration and return how many; prompts and rankings without are counted."""
    return write_rows(path, _rows(groups, Counter() if left_out is None else left_out), SCHEMA)


def _rows(groups: Iterable[Group | BareGroup], left_out: Counter[str]) -> Iterator[dict[str, Any]]:
    for group in groups:
        left_out["prompt without a demonstration"] += not group.demonstrations
        left_out["ranking, which is no demonstration"] += len(group.rankings)
        for found in group.demonstrations:
            yield {"messages": conversation(group.prompt.as_json, found.text)}

"""Demonstrations for supervised fine-tuning: the answers that annotators wrote. JSON lines or Parquet.

{"messages": [{"role": "user", "content": "Can pigs fly?"}, {"role": "assistant", "content": "No, they can't."}]}

TRL's SFTTrainer, axolotl (chat_template) and ms-swift read these rows as they are. LLaMA-Factory needs the entry in
dataset_info.json that docs/formats.md shows: formatting sharegpt, because its formatting openai writes "detailed
thinking off" into every system message.

Source: https://huggingface.co/docs/trl/dataset_formats, language modelling, conversational; TRL 1.16. How the other
loaders read it: benchmarks/compatibility/other_trainers.py
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
from label_data.formats.ranked_rows import messages_of, read_groups
from label_data.records import Demonstration, Group, Prompt
from label_data.sentences import Sentence, say
from label_data.store.bare_groups import BareGroup

NAME = "trl-sft"
LACKS = say("label_data.trainers.sft_lacks")
NOT_DEMONSTRATED = say("label_data.trainers.no_demonstration")
RANKING = say("label_data.trainers.ranking_not_kept")
SCHEMA = pa.schema({"messages": MESSAGES})


def recognise(fields: Mapping[str, Any]) -> Sentence | None:
    """Return what a file is whose first row has these fields, or None if it is not in this format."""
    turns = fields.get("messages")
    last = turns[-1] if isinstance(turns, list) and turns else None
    answered = isinstance(last, dict) and last.get("role") == "assistant"
    rejects = {"rejected_response", "rejected_message"} & fields.keys()
    if answered and not rejects:
        return say("label_data.trainers.is_trl_sft")
    return None


def read(path: Path, left_out: Counter[Sentence] | None = None) -> Iterator[Group]:
    """Yield one group a row: a prompt with one demonstration; see `read_groups`."""
    return read_groups(path, left_out, SCHEMA.names, _groups)


def _groups(row: Row, source: str, left_out: Counter[Sentence]) -> Iterator[Group]:
    *messages, answer = messages_of(row, "messages", left_out)
    is_answer = answer.role == "assistant" and answer.content.strip()
    if not (is_answer and messages and messages[-1].role == "user" and messages[-1].content.strip()):
        left_out[NO_QUESTION] += 1
        return
    prompt = Prompt(tuple(messages), source=source)
    yield Group(prompt, demonstrations=(Demonstration(prompt.id, answer.content, NAME, source="import"),))


def write(path: Path, groups: Iterable[Group | BareGroup], left_out: Counter[Sentence] | None = None) -> int:
    """Write a row for each demonstration and return how many; count prompts without a demonstration, and rankings."""
    return write_rows(path, _rows(groups, Counter() if left_out is None else left_out), SCHEMA)


def _rows(groups: Iterable[Group | BareGroup], left_out: Counter[Sentence]) -> Iterator[dict[str, Any]]:
    for group in groups:
        left_out[NOT_DEMONSTRATED] += not group.demonstrations
        left_out[RANKING] += len(group.rankings)
        for demonstration in group.demonstrations:
            yield {"messages": conversation(group.prompt.as_json, demonstration.text)}

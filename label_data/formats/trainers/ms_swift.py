"""Pairs for ms-swift: a conversation that ends with the chosen completion, the rejected one, and a margin.

{"messages": [{"role": "user", "content": "Can pigs fly?"}, {"role": "assistant", "content": "No."}],
 "rejected_response": "Yes.", "margin": 2.0}

JSON lines (.jsonl) or Parquet. `rejected_response` is one text, or its messages; a list of texts, several completions
that are all worse than the chosen one, is read as well. ms-swift joins neighbouring turns of one role without a space,
and puts an empty user turn before a conversation that the assistant begins: prompts that do not alternate are left out.
It treats an empty system message as none: such prompts are counted.

Source: https://github.com/modelscope/ms-swift, swift/dataset/preprocessor/core.py, RowPreprocessor,
swift/template/template_inputs.py, TemplateInputs, and docs/source_en/Customization/Custom-dataset.md; version 4.6.0,
whose loader and template read what is written here (benchmarks/compatibility/other_trainers.py)
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa

from label_data.files.rows_in import Row
from label_data.formats.pair_rows import MESSAGES, Pair, PairFormat, alternates, conversation, has_empty_system
from label_data.formats.pairs import NO_QUESTION, NOT_LAST_TURN
from label_data.formats.ranked_rows import RowRanking, messages_of, ranked_group, read_groups
from label_data.records import Group
from label_data.sentences import Sentence, say

NAME = "ms-swift"
SCHEMA = pa.schema({"messages": MESSAGES, "rejected_response": pa.string()})
NOT_ALTERNATING = say("label_data.trainers.not_alternating_joined", trainer="ms-swift")
EMPTY_SYSTEM = say("label_data.trainers.empty_system", trainer="ms-swift")


def recognise(fields: Mapping[str, Any]) -> Sentence | None:
    """Return what a file is whose first row has these fields, or None if it is not in this format."""
    if isinstance(fields.get("messages"), list) and "rejected_response" in fields:
        return say("label_data.trainers.is_ms_swift")
    return None


def read(path: Path, left_out: Counter[Sentence] | None = None) -> Iterator[Group]:
    """Yield one group a row; see `read_groups`. A margin is a gap between rewards, and is not kept."""
    return read_groups(path, left_out, SCHEMA.names, _groups)


def _groups(row: Row, source: str, left_out: Counter[Sentence]) -> Iterator[Group]:
    rejected = _rejected(row, left_out)
    *prompt, chosen = messages_of(row, "messages", left_out)
    if rejected is None or chosen.role != "assistant":
        left_out[NOT_LAST_TURN if rejected is None else NO_QUESTION] += 1
        return iter(())
    order = ((0,), tuple(range(1, len(rejected) + 1)))
    completions = [(text, "") for text in (chosen.content, *rejected)]
    return ranked_group(prompt, completions, [RowRanking(NAME, order)], left_out, source)


def _rejected(row: Row, left_out: Counter[Sentence]) -> list[str] | None:
    """Return the rejected completions; None if the rejected messages are not one assistant turn."""
    value = row.fields.get("rejected_response")
    if not isinstance(value, list):
        return [row.text("rejected_response")]
    if not any(isinstance(element, dict) for element in value):
        return row.texts("rejected_response")
    turns = messages_of(row, "rejected_response", left_out)
    return [turns[0].content] if [turn.role for turn in turns] == ["assistant"] else None


def _row(pair: Pair, left_out: Counter[Sentence]) -> dict[str, Any] | None:
    prompt = orjson.loads(pair.prompt)
    if not alternates(prompt):
        left_out[NOT_ALTERNATING] += 1
        return None
    left_out[EMPTY_SYSTEM] += has_empty_system(prompt)
    return {"messages": conversation(pair.prompt, pair.chosen), "rejected_response": pair.rejected}


PAIRS = PairFormat(NAME, SCHEMA, _row, takes_margin=True, endings=(".jsonl", ".parquet"))

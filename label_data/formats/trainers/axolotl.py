"""Pairs for axolotl's Bradley-Terry trainer: single turns. JSON lines (.jsonl, .jsonl.gz) or Parquet.

{"system": "", "input": "Can pigs fly?", "chosen": "No.", "rejected": "Yes."}

Set `type: bradley_terry.chat_template` in axolotl. It reads `system` of every row and does not accept null, so the
column is always there, empty without a system message. If `system` is empty, axolotl adds an empty system message,
which many chat templates write out although the prompt has none: such rows are counted. With `drop_system_message:
true` it drops that message, but every other system message too. A prompt of several turns has no place and is left out
with a count. There is no margin.

Source: https://github.com/axolotl-ai-cloud/axolotl, src/axolotl/prompt_strategies/bradley_terry/chat_template.py,
BTChatTemplateStrategy, and chat_template.py, get_conversation_thread; version 0.19.0, whose loader read what is
written here (benchmarks/compatibility/other_trainers.py)
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa

from label_data.files.rows_in import Row
from label_data.formats.pair_rows import Pair, PairFormat, has_empty_system
from label_data.formats.ranked_rows import RowRanking, preference, ranked_group, read_groups
from label_data.records import Group, Message
from label_data.sentences import Sentence, say

NAME = "axolotl"
SCHEMA = pa.schema(dict.fromkeys(("system", "input", "chosen", "rejected"), pa.string()))
TURNS = say("label_data.trainers.several_turns", trainer="axolotl")
EMPTY_SYSTEM = say("label_data.trainers.empty_system", trainer="axolotl")
NO_SYSTEM = say("label_data.trainers.no_system")


def recognise(fields: Mapping[str, Any]) -> Sentence | None:
    """Return what a file is whose first row has these fields, or None if it is not in this format."""
    if fields.keys() == set(SCHEMA.names):
        return say("label_data.trainers.is_axolotl")
    return None


def read(path: Path, left_out: Counter[Sentence] | None = None) -> Iterator[Group]:
    """Yield one group a row; see `read_groups`."""
    return read_groups(path, left_out, SCHEMA.names, _groups)


def _groups(row: Row, source: str, left_out: Counter[Sentence]) -> Iterator[Group]:
    system = row.text("system", "")
    messages = [Message("system", system)] * bool(system) + [Message("user", row.text("input"))]
    completions = [(row.text("chosen"), ""), (row.text("rejected"), "")]
    return ranked_group(messages, completions, [RowRanking(NAME, **preference(-1))], left_out, source)


def _row(pair: Pair, left_out: Counter[Sentence]) -> dict[str, Any] | None:
    *before, question = orjson.loads(pair.prompt)
    if [message["role"] for message in before] not in ([], ["system"]):
        left_out[TURNS] += 1
        return None
    system = before[0]["content"] if before else ""
    left_out[EMPTY_SYSTEM] += has_empty_system([*before, question])
    left_out[NO_SYSTEM] += not system
    return {"system": system, "input": question["content"], "chosen": pair.chosen, "rejected": pair.rejected}


PAIRS = PairFormat(NAME, SCHEMA, _row)

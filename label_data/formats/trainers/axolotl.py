"""What axolotl's Bradley-Terry trainer takes: single turns. JSON lines (.jsonl, .jsonl.gz) or Parquet.

{"system": "", "input": "Can pigs fly?", "chosen": "No.", "rejected": "Yes."}

`type: bradley_terry.chat_template` in its settings. It reads `system` of every row, so the column is always there,
empty if there is none; null it does not take. Before a row whose `system` is empty it puts an empty system message,
which many chat templates write out and which nobody's prompt had: rows without are counted. With
`drop_system_message: true` it leaves that away, and every other system message as well. A prompt of several turns has
no place and is left out with a count. It has no margin.

Source: https://github.com/axolotl-ai-cloud/axolotl, src/axolotl/prompt_strategies/bradley_terry/chat_template.py,
BTChatTemplateStrategy, and chat_template.py, get_conversation_thread; version 0.19.0, whose loader read what is written
here (benchmarks/compatibility/other_trainers.py)
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa

from label_data.files.rows_in import Row
from label_data.formats.pair_rows import Preferred, has_empty_system, preferred, write_pairs
from label_data.formats.verdicts import Verdict, judged, leaning, read_judged
from label_data.records import Group, Message
from label_data.store.bare_groups import BareGroup

NAME = "axolotl"
SCHEMA = pa.schema(dict.fromkeys(("system", "input", "chosen", "rejected"), pa.string()))
TURNS = "comparison whose prompt has several turns, which axolotl has no place for"
NO_SYSTEM = "comparison whose prompt has an empty system message, which axolotl takes for none"
WITHOUT_SYSTEM = "that a prompt has no system message: axolotl writes an empty one unless drop_system_message is true"


def says(fields: Mapping[str, Any]) -> str:
    """Say what a file is whose first row has these fields, or nothing if it is none of this format."""
    return "axolotl, Bradley-Terry" if fields.keys() == set(SCHEMA.names) else ""


def read(path: Path, left_out: Counter[str] | None = None) -> Iterator[Group]:
    """Yield a group a row; see `read_judged`."""
    return read_judged(path, left_out, SCHEMA.names, _groups)


def _groups(row: Row, source: str, left_out: Counter[str]) -> Iterator[Group]:
    system = row.text("system", "")
    asked = [Message("system", system)] * bool(system) + [Message("user", row.text("input"))]
    answers = [(row.text("chosen"), ""), (row.text("rejected"), "")]
    return judged(asked, answers, [Verdict(NAME, **leaning(-1))], left_out, source)


def write(path: Path, groups: Iterable[Group | BareGroup], left_out: Counter[str] | None = None) -> int:
    """Write a row for each comparison and return how many; what there is no place for is counted in `left_out`."""
    left_out = Counter() if left_out is None else left_out
    return write_preferred(path, preferred(groups, left_out), left_out)


def write_preferred(path: Path, pairs: Iterable[Preferred], left_out: Counter[str] | None = None) -> int:
    """Write a row for each pair and return how many."""
    return write_pairs(path, pairs, left_out, SCHEMA, _row)


def _row(pair: Preferred, left_out: Counter[str]) -> dict[str, Any] | None:
    *before, asked = orjson.loads(pair.prompt)
    if [message["role"] for message in before] not in ([], ["system"]):
        left_out[TURNS] += 1
        return None
    system = before[0]["content"] if before else ""
    left_out[NO_SYSTEM] += has_empty_system([*before, asked])
    left_out[WITHOUT_SYSTEM] += not system
    return {"system": system, "input": asked["content"], "chosen": pair.chosen, "rejected": pair.rejected}

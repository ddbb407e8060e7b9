"""What ms-swift trains on: a conversation that ends with the chosen completion, the rejected one, and a margin.

{"messages": [{"role": "user", "content": "Can pigs fly?"}, {"role": "assistant", "content": "No."}],
 "rejected_response": "Yes.", "margin": 2.0}

JSON lines (.jsonl) or Parquet. `rejected_response` is one text, or its messages; read as well is a list of texts, which
are several completions that the chosen one is better than. ms-swift joins turns of one role without a space between,
puts an empty user's turn before a conversation that the assistant begins, and takes an empty system message for none:
prompts that are not by turns are left out, and the last are counted.

Source: https://github.com/modelscope/ms-swift, swift/dataset/preprocessor/core.py, RowPreprocessor,
swift/template/template_inputs.py, TemplateInputs, and docs/source_en/Customization/Custom-dataset.md; version 4.6.0,
whose loader and template read what is written here (benchmarks/compatibility/other_trainers.py)
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa

from label_data.files.rows_in import Row
from label_data.formats.pair_rows import (
    MESSAGES,
    Preferred,
    conversation,
    has_empty_system,
    is_by_turns,
    preferred,
    write_pairs,
)
from label_data.formats.pairs import NO_QUESTION, PART_EARLY
from label_data.formats.verdicts import Verdict, judged, messages_of, read_judged
from label_data.records import Group
from label_data.store.bare_groups import BareGroup

NAME = "ms-swift"
ENDINGS = (".jsonl", ".parquet")
SCHEMA = pa.schema({"messages": MESSAGES, "rejected_response": pa.string()})
NOT_BY_TURNS = "comparison whose prompt has not user and assistant by turns, whose turns ms-swift joins"
NO_SYSTEM = "comparison whose prompt has an empty system message, which ms-swift takes for none"


def says(fields: Mapping[str, Any]) -> str:
    """Say what a file is whose first row has these fields, or nothing if it is none of this format."""
    return "ms-swift pairs" if isinstance(fields.get("messages"), list) and "rejected_response" in fields else ""


def read(path: Path, left_out: Counter[str] | None = None) -> Iterator[Group]:
    """Yield a group a row; see `read_judged`. A margin is a gap asked of rewards, and is not kept."""
    return read_judged(path, left_out, SCHEMA.names, _groups)


def _groups(row: Row, source: str, left_out: Counter[str]) -> Iterator[Group]:
    rejected = _rejected(row, left_out)
    *asked, chosen = messages_of(row, "messages", left_out)
    if rejected is None or chosen.role != "assistant":
        left_out[PART_EARLY if rejected is None else NO_QUESTION] += 1
        return iter(())
    order = ((0,), tuple(range(1, len(rejected) + 1)))
    answers = [(text, "") for text in (chosen.content, *rejected)]
    return judged(asked, answers, [Verdict(NAME, order)], left_out, source)


def _rejected(row: Row, left_out: Counter[str]) -> list[str] | None:
    """Return the rejected completions; None if what is rejected is no one turn of the assistant's."""
    given = row.fields.get("rejected_response")
    if not isinstance(given, list):
        return [row.text("rejected_response")]
    if not any(isinstance(one, dict) for one in given):
        return row.texts("rejected_response")
    turns = messages_of(row, "rejected_response", left_out)
    return [turns[0].content] if [turn.role for turn in turns] == ["assistant"] else None


def write(
    path: Path, groups: Iterable[Group | BareGroup], left_out: Counter[str] | None = None, with_margin: bool = False
) -> int:
    """Write a row for each comparison and return how many; what there is no place for is counted in `left_out`."""
    left_out = Counter() if left_out is None else left_out
    return write_preferred(path, preferred(groups, left_out), left_out, with_margin)


def write_preferred(
    path: Path, pairs: Iterable[Preferred], left_out: Counter[str] | None = None, with_margin: bool = False
) -> int:
    """Write a row for each pair, with its margin if asked, and return how many."""
    return write_pairs(path, pairs, left_out, SCHEMA, _row, with_margin, ENDINGS)


def _row(pair: Preferred, left_out: Counter[str]) -> dict[str, Any] | None:
    asked = orjson.loads(pair.prompt)
    if not is_by_turns(asked):
        left_out[NOT_BY_TURNS] += 1
        return None
    left_out[NO_SYSTEM] += has_empty_system(asked)
    return {"messages": conversation(pair.prompt, pair.chosen), "rejected_response": pair.rejected}

"""What ms-swift trains on: a conversation that ends with the chosen completion, the rejected one, and a margin.

{"messages": [{"role": "user", "content": "Can pigs fly?"}, {"role": "assistant", "content": "No."}],
 "rejected_response": "Yes.", "margin": 2.0}

JSON lines (.jsonl) or Parquet. ms-swift takes one text or a list as `rejected_response`; a list is read as several
completions that the chosen one is better than, and written is one text.

Source: https://github.com/modelscope/ms-swift, swift/dataset/preprocessor/core.py, RowPreprocessor (commit 05a12dc84d),
and docs/source_en/Customization/Custom-dataset.md
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from label_data.bare_groups import BareGroup
from label_data.formats.judged import Verdict, judged, messages_of, read_judged
from label_data.formats.pairs import NO_QUESTION
from label_data.formats.pairs_out import MESSAGES, Preferred, conversation, preferred, write_pairs
from label_data.formats.rows_in import Row
from label_data.records import Group

NAME = "ms-swift"
ENDINGS = (".jsonl", ".parquet")
SCHEMA = pa.schema({"messages": MESSAGES, "rejected_response": pa.string()})


def says(fields: Mapping[str, Any]) -> str:
    """Say what a file is whose first row has these fields, or nothing if it is none of this format."""
    return "ms-swift pairs" if isinstance(fields.get("messages"), list) and "rejected_response" in fields else ""


def read(path: Path, left_out: Counter[str] | None = None) -> Iterator[Group]:
    """Yield a group a row; see `read_judged`. A margin is a gap asked of rewards, and is not kept."""
    return read_judged(path, left_out, SCHEMA.names, _groups)


def _groups(row: Row, source: str, left_out: Counter[str]) -> Iterator[Group]:
    several = isinstance(row.fields.get("rejected_response"), list)
    rejected = row.texts("rejected_response") if several else [row.text("rejected_response")]
    *asked, chosen = messages_of(row, "messages", left_out)
    if chosen.role != "assistant":
        left_out[NO_QUESTION] += 1
        return iter(())
    order = ((0,), tuple(range(1, len(rejected) + 1)))
    answers = [(text, "") for text in (chosen.content, *rejected)]
    return judged(asked, answers, [Verdict(NAME, order)], left_out, source)


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


def _row(pair: Preferred, left_out: Counter[str]) -> dict[str, Any]:
    return {"messages": conversation(pair.prompt, pair.chosen), "rejected_response": pair.rejected}

"""What LLaMA-Factory trains on: pairs in its sharegpt form, with the entry that its dataset_info.json needs.

{"conversations": [{"from": "human", "value": "Can pigs fly?"}],
 "chosen":   {"from": "gpt", "value": "No."},
 "rejected": {"from": "gpt", "value": "Yes."}}
{"instruction": "Can pigs fly?", "input": "", "chosen": "No.", "rejected": "Yes."}

JSON lines (.jsonl) or Parquet. Beside the file, dataset_info.json gets an entry named like the file, and keeps those it
has: `dataset_dir` is the folder, `dataset` the file's name without its ending. After a system message LLaMA-Factory
wants the human and the assistant by turns, and skips a conversation that is otherwise; those are left out here, with a
count. An empty system message it takes for none. It has no margin. Its alpaca form is read as well.

Source: https://github.com/hiyouga/LLaMA-Factory, src/llamafactory/data/converter.py, AlpacaDatasetConverter,
SharegptDatasetConverter, parser.py, DatasetAttr, and data/README.md; version 0.9.5, whose loader read what is written
here (benchmarks/compatibility/other_trainers.py)
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa

from label_data.errors import InputError
from label_data.files.rows_in import Row, described
from label_data.files.whole import check_ending, replacing
from label_data.formats.pair_rows import Preferred, has_empty_system, is_by_turns, preferred, write_pairs
from label_data.formats.pairs import count_unknown
from label_data.formats.verdicts import Verdict, judged, leaning, read_judged
from label_data.records import Group, Message
from label_data.store.bare_groups import BareGroup

NAME = "llama-factory"
ENDINGS = (".jsonl", ".parquet")
FROM = {"system": "system", "user": "human", "assistant": "gpt"}
ROLES = {spoken: role for role, spoken in FROM.items()}
ALPACA = ("instruction", "input", "system", "history", "chosen", "rejected")
TURN = pa.struct({"from": pa.string(), "value": pa.string()})
SCHEMA = pa.schema({"conversations": pa.list_(TURN), "chosen": TURN, "rejected": TURN})
INFO = "dataset_info.json"
ENTRY = {
    "formatting": "sharegpt",
    "ranking": True,
    "columns": {"messages": "conversations", "chosen": "chosen", "rejected": "rejected"},
}
NOT_BY_TURNS = "comparison whose prompt has not user and assistant by turns, which LLaMA-Factory skips"
NO_SYSTEM = "comparison whose prompt has an empty system message, which LLaMA-Factory takes for none"


def says(fields: Mapping[str, Any]) -> str:
    """Say what a file is whose first row has these fields, or nothing if it is none of this format."""
    sides = {type(fields.get(side)) for side in ("chosen", "rejected")}
    if sides == {dict} and isinstance(fields.get("conversations"), list):
        return "LLaMA-Factory pairs, sharegpt form"
    return "LLaMA-Factory pairs, alpaca form" if sides == {str} and isinstance(fields.get("instruction"), str) else ""


def read(path: Path, left_out: Counter[str] | None = None) -> Iterator[Group]:
    """Yield a group a row of the sharegpt or the alpaca form; see `read_judged`."""
    return read_judged(path, left_out, None, _groups)


def _groups(row: Row, source: str, left_out: Counter[str]) -> Iterator[Group]:
    if "instruction" in row.fields:
        count_unknown(row, ALPACA, left_out)
        asked, answers = _alpaca(row), [(row.text(side), "") for side in ("chosen", "rejected")]
    else:
        count_unknown(row, SCHEMA.names, left_out)
        asked = [_message(turn) for turn in row.inner("conversations")]
        answers = [(_message(row.object(side)).content, "") for side in ("chosen", "rejected")]
    return judged(asked, answers, [Verdict(NAME, **leaning(-1))], left_out, source)


def _alpaca(row: Row) -> list[Message]:
    """Return system, earlier turns, and what is asked: instruction and input, a line each, as LLaMA-Factory does."""
    system = row.text("system", "")
    turns = [Message("system", system)] if system else []
    for past in row.items("history"):
        match past:
            case [str(asked), str(answered)]:
                turns += [Message("user", asked), Message("assistant", answered)]
            case _:
                row.refuse("history", described(past), "Write pairs of texts: [what was asked, what was answered].")
    asked = [text for text in (row.text("instruction"), row.text("input", "")) if text]
    return [*turns, Message("user", "\n".join(asked))]


def _message(turn: Row) -> Message:
    spoken = turn.text("from")
    if spoken not in ROLES:
        turn.refuse("from", repr(spoken), f"Use one of {', '.join(ROLES)}.")
    return Message(ROLES[spoken], turn.text("value"))


def write(path: Path, groups: Iterable[Group | BareGroup], left_out: Counter[str] | None = None) -> int:
    """Write a row for each comparison and return how many; what there is no place for is counted in `left_out`."""
    left_out = Counter() if left_out is None else left_out
    return write_preferred(path, preferred(groups, left_out), left_out)


def write_preferred(path: Path, pairs: Iterable[Preferred], left_out: Counter[str] | None = None) -> int:
    """Write a row for each pair, and the file's entry in dataset_info.json, and return how many rows."""
    check_ending(path, ENDINGS)
    info = _info(path)
    rows = write_pairs(path, pairs, left_out, SCHEMA, _row, endings=ENDINGS)
    with replacing(path.with_name(INFO)) as file:
        entry = {path.stem: {"file_name": path.name, **ENTRY}}
        file.write(f"{json.dumps(info | entry, indent=2, ensure_ascii=False)}\n".encode())
    return rows


def _info(path: Path) -> dict[str, Any]:
    """Return what dataset_info.json beside the path holds."""
    try:
        known = json.loads(path.with_name(INFO).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError):
        known = None
    if not isinstance(known, dict):
        raise InputError(f"{path.with_name(INFO)}: found no JSON object in it. Mend it, or write into another folder.")
    return known


def _row(pair: Preferred, left_out: Counter[str]) -> dict[str, Any] | None:
    asked = orjson.loads(pair.prompt)
    if not is_by_turns(asked):
        left_out[NOT_BY_TURNS] += 1
        return None
    left_out[NO_SYSTEM] += has_empty_system(asked)
    return {
        "conversations": [{"from": FROM[turn["role"]], "value": turn["content"]} for turn in asked],
        "chosen": {"from": "gpt", "value": pair.chosen},
        "rejected": {"from": "gpt", "value": pair.rejected},
    }

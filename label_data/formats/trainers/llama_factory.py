"""Pairs for LLaMA-Factory in its sharegpt form, with the entry that its dataset_info.json needs.

{"conversations": [{"from": "human", "value": "Can pigs fly?"}],
 "chosen":   {"from": "gpt", "value": "No."},
 "rejected": {"from": "gpt", "value": "Yes."}}
{"instruction": "Can pigs fly?", "input": "", "chosen": "No.", "rejected": "Yes."}

JSON lines (.jsonl) or Parquet. dataset_info.json beside the file gets an entry named like the file, and keeps its other
entries: `dataset_dir` is the folder, `dataset` the file's name without its ending. After a system message the human and
the assistant must alternate: LLaMA-Factory skips other conversations, so they are left out here, with a count. It
treats an empty system message as none. There is no margin. The alpaca form is read as well.

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
from label_data.formats.pair_rows import Pair, PairFormat, alternates, has_empty_system
from label_data.formats.pairs import count_unknown
from label_data.formats.ranked_rows import RowRanking, preference, ranked_group, read_groups
from label_data.records import Group, Message, Role
from label_data.sentences import Sentence, say

NAME = "llama-factory"
SPEAKERS: dict[Role, str] = {"system": "system", "user": "human", "assistant": "gpt"}
ROLES = {speaker: role for role, speaker in SPEAKERS.items()}
ALPACA = ("instruction", "input", "system", "history", "chosen", "rejected")
TURN = pa.struct({"from": pa.string(), "value": pa.string()})
SCHEMA = pa.schema({"conversations": pa.list_(TURN), "chosen": TURN, "rejected": TURN})
INFO = "dataset_info.json"
ENTRY = {
    "formatting": "sharegpt",
    "ranking": True,
    "columns": {"messages": "conversations", "chosen": "chosen", "rejected": "rejected"},
}
NOT_ALTERNATING = say("label_data.trainers.not_alternating_skipped", trainer="LLaMA-Factory")
EMPTY_SYSTEM = say("label_data.trainers.empty_system", trainer="LLaMA-Factory")


def recognise(fields: Mapping[str, Any]) -> Sentence | None:
    """Return what a file is whose first row has these fields, or None if it is not in this format."""
    sides = {type(fields.get(side)) for side in ("chosen", "rejected")}
    if sides == {dict} and isinstance(fields.get("conversations"), list):
        return say("label_data.trainers.is_llama_factory_sharegpt")
    if sides == {str} and isinstance(fields.get("instruction"), str):
        return say("label_data.trainers.is_llama_factory_alpaca")
    return None


def read(path: Path, left_out: Counter[Sentence] | None = None) -> Iterator[Group]:
    """Yield one group a row of the sharegpt or the alpaca form; see `read_groups`."""
    return read_groups(path, left_out, None, _groups)


def _groups(row: Row, source: str, left_out: Counter[Sentence]) -> Iterator[Group]:
    if "instruction" in row.fields:
        count_unknown(row, ALPACA, left_out)
        messages = _alpaca(row)
        completions = [(row.text(side), "") for side in ("chosen", "rejected")]
    else:
        count_unknown(row, SCHEMA.names, left_out)
        messages = [_message(turn) for turn in row.inner("conversations")]
        completions = [(_message(row.object(side)).content, "") for side in ("chosen", "rejected")]
    return ranked_group(messages, completions, [RowRanking(NAME, **preference(-1))], left_out, source)


def _alpaca(row: Row) -> list[Message]:
    """Return system, earlier turns, and the question: instruction and input, a line each, as LLaMA-Factory does."""
    system = row.text("system", "")
    turns = [Message("system", system)] if system else []
    for past in row.items("history"):
        match past:
            case [str(question), str(answer)]:
                turns += [Message("user", question), Message("assistant", answer)]
            case _:
                row.refuse("history", say("label_data.trainers.history", found=described(past)))
    parts = [text for text in (row.text("instruction"), row.text("input", "")) if text]
    return [*turns, Message("user", "\n".join(parts))]


def _message(turn: Row) -> Message:
    speaker = turn.text("from")
    if speaker not in ROLES:
        turn.refuse("from", say("label_data.datasets.not_one_of", value=speaker[:60], values=", ".join(ROLES)))
    return Message(ROLES[speaker], turn.text("value"))


def _info(path: Path) -> dict[str, Any]:
    """Return the content of dataset_info.json beside the path."""
    try:
        info = json.loads(path.with_name(INFO).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError):
        info = None
    if not isinstance(info, dict):
        raise InputError("label_data.trainers.dataset_info", file=path.with_name(INFO))
    return info


def _row(pair: Pair, left_out: Counter[Sentence]) -> dict[str, Any] | None:
    prompt = orjson.loads(pair.prompt)
    if not alternates(prompt):
        left_out[NOT_ALTERNATING] += 1
        return None
    left_out[EMPTY_SYSTEM] += has_empty_system(prompt)
    return {
        "conversations": [{"from": SPEAKERS[turn["role"]], "value": turn["content"]} for turn in prompt],
        "chosen": {"from": "gpt", "value": pair.chosen},
        "rejected": {"from": "gpt", "value": pair.rejected},
    }


class _PairFormat(PairFormat):
    def write_pairs(
        self, path: Path, pairs: Iterable[Pair], left_out: Counter[Sentence] | None = None, with_margin: bool = False
    ) -> int:
        """Write the row of each pair, and the file's entry in dataset_info.json; return how many rows."""
        check_ending(path, self.endings)
        info = _info(path)
        rows = super().write_pairs(path, pairs, left_out, with_margin)
        with replacing(path.with_name(INFO)) as file:
            entry = {path.stem: {"file_name": path.name, **ENTRY}}
            file.write(f"{json.dumps(info | entry, indent=2, ensure_ascii=False)}\n".encode())
        return rows


PAIRS = _PairFormat(NAME, SCHEMA, _row, endings=(".jsonl", ".parquet"))

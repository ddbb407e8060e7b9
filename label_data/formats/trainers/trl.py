r"""What TRL trains on: one comparison a row, in JSON lines (.jsonl, .jsonl.gz) or Parquet (.parquet).

{"prompt":   [{"role": "user", "content": "Can pigs fly?"}],
 "chosen":   [{"role": "assistant", "content": "No, they have no wings."}],
 "rejected": [{"role": "assistant", "content": "Yes."}]}

Read as well: the same three as strings; and without `prompt`, whole conversations, either lists of messages or
hh-rlhf transcripts. TRL asks for no more than this; its RewardTrainer drops other columns, save `margin`.

Left out is a row of two plain texts without `prompt`. TRL takes the words that both begin with for the prompt; but they
are no question that anybody asked, only what two answers have in common.

Source: https://huggingface.co/docs/trl/dataset_formats, preference type; TRL 1.16, trainer/reward_trainer.py
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from label_data.files.rows_in import Row, located, read_rows
from label_data.formats.datasets.hh_rlhf import TURN, turns
from label_data.formats.pair_rows import MESSAGES, Preferred, as_is, preferred, said, write_pairs
from label_data.formats.pairs import count_unknown, pair_group
from label_data.records import Group, Message, messages_from
from label_data.store.bare_groups import BareGroup

NAME = "trl"
NO_TURNS = (
    "no prompt, and plain texts that do not tell where it ends (add a field 'prompt', say which field it is with "
    "--format table --name prompt=FIELD, or write whole conversations as lists of messages)"
)
SCHEMA = pa.schema(dict.fromkeys(("prompt", "chosen", "rejected"), MESSAGES))


def says(fields: Mapping[str, Any]) -> str:
    """Say what a file is whose first row has these fields, or nothing if it is none of this format."""
    if not {"chosen", "rejected"} <= fields.keys():
        return ""
    shape = "conversational" if isinstance(fields["chosen"], list) else "standard"
    return f"TRL or OpenRLHF preference, {shape}, prompt {'explicit' if fields.get('prompt') else 'implicit'}"


def read(path: Path, left_out: Counter[str] | None = None) -> Iterator[Group]:
    """Yield a group a row; rows that hold no preference, and fields that no record has, are counted in `left_out`.

    `margin` is such a field: it is a gap asked of rewards, in whatever unit the file's author trained with, and not
    somebody's word of how much better one completion is. Raises InputError, with file, line and field, at a row
    that is no preference row.
    """
    left_out = Counter() if left_out is None else left_out
    for row in read_rows(path):
        count_unknown(row, SCHEMA.names, left_out)
        chosen, rejected = (_conversation(row, side, left_out) for side in ("chosen", "rejected"))
        if chosen is None or rejected is None:
            left_out[NO_TURNS] += 1
            continue
        with located(row.where):
            group = pair_group(chosen, rejected, NAME, path.name, left_out)
        if group is not None:
            yield group


def _conversation(row: Row, side: str, left_out: Counter[str]) -> tuple[Message, ...] | None:
    """Return the whole conversation that ends in this side's completion; None if nothing tells where that begins."""
    prompt, end = row.fields.get("prompt"), row.fields.get(side)
    if isinstance(end, list) and (prompt is None or isinstance(prompt, list)):
        before = () if prompt is None else _messages(row, "prompt", prompt, left_out)
        return before + _messages(row, side, end, left_out)
    end, prompt = row.text(side), row.text("prompt", "")
    if TURN.match(prompt + end):
        return turns(row, side, prompt + end)
    if not prompt:
        return None
    with located(f"{row.where}, field {side}"):
        return Message("user", prompt), Message("assistant", end)


def _messages(row: Row, name: str, value: list[Any], left_out: Counter[str]) -> tuple[Message, ...]:
    with located(f"{row.where}, field {name}"):
        return messages_from(value, "The list", left_out)


def write(
    path: Path, groups: Iterable[Group | BareGroup], left_out: Counter[str] | None = None, with_margin: bool = False
) -> int:
    """Write a row for each comparison and return how many; what TRL has no place for is counted in `left_out`."""
    left_out = Counter() if left_out is None else left_out
    return write_preferred(path, preferred(groups, left_out), left_out, with_margin)


def write_preferred(
    path: Path, pairs: Iterable[Preferred], left_out: Counter[str] | None = None, with_margin: bool = False
) -> int:
    """Write a row for each pair and return how many.

    `with_margin` adds its margin, by which RewardTrainer's loss is -log sigmoid(r - r' - margin).
    """
    return write_pairs(path, pairs, left_out, SCHEMA, _row, with_margin)


def _row(pair: Preferred, left_out: Counter[str]) -> dict[str, Any]:
    return {"prompt": as_is(pair.prompt), "chosen": [said(pair.chosen)], "rejected": [said(pair.rejected)]}

r"""What TRL trains on: one comparison a row, in JSON lines (.jsonl, .jsonl.gz) or Parquet (.parquet).

{"prompt":   [{"role": "user", "content": "Can pigs fly?"}],
 "chosen":   [{"role": "assistant", "content": "No, they have no wings."}],
 "rejected": [{"role": "assistant", "content": "Yes."}]}

Read as well: the same three as strings; and without `prompt`, whole conversations, either lists of messages or
hh-rlhf transcripts. TRL asks for no more than this; its RewardTrainer drops other columns, save `margin`.

Source: https://huggingface.co/docs/trl/dataset_formats, preference type; TRL 1.16, trainer/reward_trainer.py
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from label_data.comparisons import comparisons, group_comparisons
from label_data.formats.hh_rlhf import TURN, turns
from label_data.formats.pairs import count_unknown, pair_group
from label_data.formats.rows_in import Row, located, read_rows
from label_data.formats.rows_out import write_rows
from label_data.records import Group, Message, messages_from

NAME = "trl"
MESSAGES = pa.list_(pa.struct({"role": pa.string(), "content": pa.string()}))
SCHEMA = pa.schema(dict.fromkeys(("prompt", "chosen", "rejected"), MESSAGES))
WITH_MARGIN = SCHEMA.append(pa.field("margin", pa.float64()))


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
        chosen, rejected = _conversation(row, "chosen"), _conversation(row, "rejected")
        with located(row.where):
            group = pair_group(chosen, rejected, NAME, path.name, left_out)
        if group is not None:
            yield group


def _conversation(row: Row, side: str) -> tuple[Message, ...]:
    """Return the whole conversation that ends in this side's completion."""
    prompt, end = row.fields.get("prompt"), row.fields.get(side)
    if isinstance(end, list) and (prompt is None or isinstance(prompt, list)):
        before = () if prompt is None else _messages(row, "prompt", prompt)
        return before + _messages(row, side, end)
    end, prompt = row.text(side), row.text("prompt", "")
    if TURN.match(prompt + end):
        return turns(row, side, prompt + end)
    if not prompt:
        row.refuse(
            "prompt",
            f"none, and in {side} no turns that tell where the prompt ends",
            "Add a prompt, or write whole conversations as lists of messages.",
        )
    with located(f"{row.where}, field {side}"):
        return Message("user", prompt), Message("assistant", end)


def _messages(row: Row, name: str, value: list[Any]) -> tuple[Message, ...]:
    with located(f"{row.where}, field {name}"):
        return messages_from(value, "The list")


def write(path: Path, groups: Iterable[Group], left_out: Counter[str] | None = None, with_margin: bool = False) -> int:
    """Write a row for each comparison and return how many; what TRL has no place for is counted in `left_out`.

    `with_margin` adds the strength between the two as `margin`, for RewardTrainer's -log sigmoid(r - r' - margin).
    TRL wants it in every row or in none, so a comparison whose strength nobody gave has 0, which asks for no gap.
    """
    left_out = Counter() if left_out is None else left_out
    return write_rows(path, _rows(groups, left_out, with_margin), WITH_MARGIN if with_margin else SCHEMA)


def _rows(groups: Iterable[Group], left_out: Counter[str], with_margin: bool) -> Iterator[dict[str, Any]]:
    for group in groups:
        text = {completion.id: completion.text for completion in group.completions}
        told_apart = group_comparisons(group)
        implied = sum(len(comparisons(ranking)) for ranking in group.rankings if not ranking.tests_annotator)
        _count_silent(group, implied - len(told_apart), left_out)
        for comparison in told_apart:
            row = {
                "prompt": group.prompt.as_dicts,
                "chosen": [{"role": "assistant", "content": text[comparison.chosen]}],
                "rejected": [{"role": "assistant", "content": text[comparison.rejected]}],
            }
            if with_margin:
                row["margin"] = float(comparison.strength or 0)
                left_out["comparison without a strength has margin 0"] += comparison.strength is None
            yield row


def _count_silent(group: Group, twins: int, left_out: Counter[str]) -> None:
    """Count what gives no row: prompts and rankings without an order, ties, and texts alike but for white space."""
    left_out["prompt without a ranking"] += not group.rankings
    left_out["comparison of two texts alike but for white space"] += twins
    for ranking in group.rankings:
        if ranking.tests_annotator:
            left_out[f"ranking that tests its annotator ({ranking.purpose})"] += 1
            continue
        if ranking.outcome != "ranked":
            left_out[f"ranking with outcome {ranking.outcome}"] += 1
        left_out["tie"] += sum(len(tied) * (len(tied) - 1) // 2 for tied in ranking.order)
        left_out["completion that was shown and not placed"] += len(ranking.unranked) * (ranking.outcome == "ranked")

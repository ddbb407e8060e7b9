r"""Pairs for TRL: one comparison a row, in JSON lines (.jsonl, .jsonl.gz) or Parquet (.parquet).

{"prompt":   [{"role": "user", "content": "Can pigs fly?"}],
 "chosen":   [{"role": "assistant", "content": "No, they have no wings."}],
 "rejected": [{"role": "assistant", "content": "Yes."}]}

The same three fields as strings are read as well, and whole conversations without `prompt`, either lists of messages or
hh-rlhf transcripts. TRL needs no more; its RewardTrainer drops all other columns except `margin`.

A row of two plain texts without `prompt` is left out. TRL takes the words that both texts begin with as the prompt, but
they are only what two answers have in common, not a question.

Source: https://huggingface.co/docs/trl/dataset_formats, preference type; TRL 1.16, trainer/reward_trainer.py
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from label_data.files.places import located
from label_data.files.rows_in import Row, read_rows
from label_data.formats.datasets.hh_rlhf import TURN, turns
from label_data.formats.pair_rows import MESSAGES, Pair, PairFormat, assistant_message, prompt_messages
from label_data.formats.pairs import count_unknown, pair_group
from label_data.records import Group, Message, messages_from
from label_data.sentences import Sentence, say

NAME = "trl"
NO_PROMPT = say("label_data.trainers.no_prompt")
SCHEMA = pa.schema(dict.fromkeys(("prompt", "chosen", "rejected"), MESSAGES))


def recognise(fields: Mapping[str, Any]) -> Sentence | None:
    """Return what a file is whose first row has these fields, or None if it is not in this format."""
    if not {"chosen", "rejected"} <= fields.keys():
        return None
    if isinstance(fields["chosen"], list):
        return say(
            "label_data.trainers.is_trl_explicit" if fields.get("prompt") else "label_data.trainers.is_trl_implicit"
        )
    return say(
        "label_data.trainers.is_text_explicit" if fields.get("prompt") else "label_data.trainers.is_text_implicit"
    )


def read(path: Path, left_out: Counter[Sentence] | None = None) -> Iterator[Group]:
    """Yield one group a row; count in `left_out` rows without a preference, and fields that no record has.

    `margin` is such a field: it is a gap between rewards, in the unit that the file's author trained with, not an
    annotator's strength of preference. Raises InputError, with file, line and field, at a row that is no preference.
    """
    left_out = Counter() if left_out is None else left_out
    for row in read_rows(path):
        count_unknown(row, SCHEMA.names, left_out)
        chosen, rejected = (_conversation(row, side, left_out) for side in ("chosen", "rejected"))
        if chosen is None or rejected is None:
            left_out[NO_PROMPT] += 1
            continue
        with located(row.where):
            group = pair_group(chosen, rejected, NAME, path.name, left_out)
        if group is not None:
            yield group


def _conversation(row: Row, side: str, left_out: Counter[Sentence]) -> tuple[Message, ...] | None:
    """Return the whole conversation that ends in this side's completion; None if its prompt can't be told."""
    prompt, end = row.fields.get("prompt"), row.fields.get(side)
    if isinstance(end, list) and (prompt is None or isinstance(prompt, list)):
        before = () if prompt is None else _messages(row, "prompt", prompt, left_out)
        return before + _messages(row, side, end, left_out)
    end, prompt = row.text(side), row.text("prompt", "")
    if TURN.match(prompt + end):
        return turns(row, side, prompt + end)
    if not prompt:
        return None
    with located(row.where, side):
        return Message("user", prompt), Message("assistant", end)


def _messages(row: Row, name: str, value: list[Any], left_out: Counter[Sentence]) -> tuple[Message, ...]:
    with located(row.where, name):
        return messages_from(value, say("label_data.formats.the_list"), left_out)


def _row(pair: Pair, left_out: Counter[Sentence]) -> dict[str, Any]:
    return {
        "prompt": prompt_messages(pair.prompt),
        "chosen": [assistant_message(pair.chosen)],
        "rejected": [assistant_message(pair.rejected)],
    }


PAIRS = PairFormat(NAME, SCHEMA, _row, takes_margin=True)
"""The margin is used by RewardTrainer, whose loss is -log sigmoid(r - r' - margin)."""

"""TRL's preference rows as plain texts, for models without a chat template. JSON lines or Parquet.

{"prompt": "Can pigs fly?", "chosen": "No.", "rejected": "Yes."}

A text has no turns, so only prompts of one user message are written; others are left out with a count. trl.py reads
these rows.

Source: https://huggingface.co/docs/trl/dataset_formats, preference type, standard format; TRL 1.16
"""

from collections import Counter
from typing import Any

import orjson
import pyarrow as pa

from label_data.formats.datasets.hh_rlhf import TURN
from label_data.formats.pair_rows import Pair, PairFormat
from label_data.sentences import Sentence, say

NAME = "trl-text"
SCHEMA = pa.schema(dict.fromkeys(("prompt", "chosen", "rejected"), pa.string()))
TURNS = say("label_data.trainers.turns_in_text")


def _row(pair: Pair, left_out: Counter[Sentence]) -> dict[str, Any] | None:
    *before, question = orjson.loads(pair.prompt)
    if before or TURN.match(question["content"]):
        left_out[TURNS] += 1
        return None
    return {"prompt": question["content"], "chosen": pair.chosen, "rejected": pair.rejected}


PAIRS = PairFormat(NAME, SCHEMA, _row, takes_margin=True)

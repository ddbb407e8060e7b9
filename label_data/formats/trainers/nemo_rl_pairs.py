"""Pairs for NVIDIA NeMo-RL's reward and DPO trainers: two completions, ranks 0 and 1. JSON lines or Parquet.

{"context": [{"role": "user", "content": "Can pigs fly?"}],
 "completions": [{"rank": 0, "completion": [{"role": "assistant", "content": "No."}]},
                 {"rank": 1, "completion": [{"role": "assistant", "content": "Yes."}]}]}

nemo_rl.py reads these rows, and reads and writes rankings of any length. There is no margin.

Source: https://github.com/NVIDIA-NeMo/RL, nemo_rl/data/processors.py, preference_preprocessor (commit 006a7dadfd): it
fails at more than two completions and at ties
"""

from collections import Counter
from typing import Any

from label_data.formats.pair_rows import Pair, PairFormat, assistant_message, prompt_messages
from label_data.formats.trainers.nemo_rl import SCHEMA
from label_data.sentences import Sentence

NAME = "nemo-rl-pairs"


def _row(pair: Pair, left_out: Counter[Sentence]) -> dict[str, Any]:
    sides = enumerate((pair.chosen, pair.rejected))
    return {
        "context": prompt_messages(pair.prompt),
        "completions": [{"rank": rank, "completion": [assistant_message(completion)]} for rank, completion in sides],
    }


PAIRS = PairFormat(NAME, SCHEMA, _row)

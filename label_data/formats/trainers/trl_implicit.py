r"""TRL's preference rows without a prompt: two whole conversations that begin alike. JSON lines or Parquet.

{"chosen":   [{"role": "user", "content": "Can pigs fly?"}, {"role": "assistant", "content": "No."}],
 "rejected": [{"role": "user", "content": "Can pigs fly?"}, {"role": "assistant", "content": "Yes."}]}

TRL recommends this shape for reward models, and the explicit one for DPO. trl.py reads both.

Source: https://huggingface.co/docs/trl/dataset_formats, preference type, implicit prompt; TRL 1.16
"""

from collections import Counter
from typing import Any

import pyarrow as pa

from label_data.formats.pair_rows import MESSAGES, Pair, PairFormat, conversation
from label_data.sentences import Sentence

NAME = "trl-implicit"
SCHEMA = pa.schema(dict.fromkeys(("chosen", "rejected"), MESSAGES))


def _row(pair: Pair, left_out: Counter[Sentence]) -> dict[str, Any]:
    return {
        "chosen": conversation(pair.prompt, pair.chosen),
        "rejected": conversation(pair.prompt, pair.rejected),
    }


PAIRS = PairFormat(NAME, SCHEMA, _row, takes_margin=True)

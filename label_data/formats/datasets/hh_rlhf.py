r"""Anthropic's hh-rlhf: pairs of whole transcripts, JSON lines (.jsonl, .jsonl.gz) or Parquet.

{"chosen":   "\n\nHuman: Can pigs fly?\n\nAssistant: No, they have no wings.",
 "rejected": "\n\nHuman: Can pigs fly?\n\nAssistant: Yes."}

A turn's text is what follows "Human: " or "Assistant: ", with its outer white space. Nothing is written in this format,
because it has a place only for a pair.

Source: Bai et al. 2022, arXiv:2204.05862; https://github.com/anthropics/hh-rlhf
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from label_data.files.places import located
from label_data.files.rows_in import Row, read_rows
from label_data.formats.pairs import count_unknown, pair_group
from label_data.records import Group, Message, Role
from label_data.sentences import Sentence, say

NAME = "hh-rlhf"
TURN = re.compile(r"\n\n(Human|Assistant):")
ROLES: dict[str, Role] = {"Human": "user", "Assistant": "assistant"}


def recognise(fields: Mapping[str, Any]) -> Sentence | None:
    """Return what a file is whose first row has these fields, or None if it is not in this format."""
    sides = [fields.get("chosen"), fields.get("rejected")]
    transcripts = all(isinstance(side, str) and TURN.match(side) for side in sides)
    if transcripts and "prompt" not in fields:
        return say("label_data.datasets.is_hh_rlhf")
    return None


def read(path: Path, left_out: Counter[Sentence] | None = None) -> Iterator[Group]:
    """Yield one group a row; count in `left_out`, by reason, the rows without a preference.

    Raises InputError, with file, line and field, at a row that is not a pair of transcripts.
    """
    left_out = Counter() if left_out is None else left_out
    for row in read_rows(path):
        count_unknown(row, ("chosen", "rejected"), left_out)
        chosen, rejected = turns(row, "chosen", row.text("chosen")), turns(row, "rejected", row.text("rejected"))
        with located(row.where):
            group = pair_group(chosen, rejected, NAME, path.name, left_out)
        if group is not None:
            yield group


def turns(row: Row, name: str, transcript: str) -> tuple[Message, ...]:
    """Return the transcript's messages; `row` and the field `name` are the place that an error names."""
    before, *parts = TURN.split(transcript)
    if before.strip() or not parts:
        row.refuse(name, say("label_data.datasets.no_transcript"))
    with located(row.where, name):
        spoken = zip(parts[::2], parts[1::2], strict=True)
        return tuple([Message(ROLES[speaker], text.removeprefix(" ")) for speaker, text in spoken])

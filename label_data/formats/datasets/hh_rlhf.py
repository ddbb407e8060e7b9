r"""Anthropic's hh-rlhf: pairs of whole transcripts, JSON lines (.jsonl, .jsonl.gz) or Parquet.

{"chosen":   "\n\nHuman: Can pigs fly?\n\nAssistant: No, they have no wings.",
 "rejected": "\n\nHuman: Can pigs fly?\n\nAssistant: Yes."}

A turn's text is what stands after "Human: " or "Assistant: ", outer white space kept. Nothing is written in this
format: it has no place for more than a pair.

Source: Bai et al. 2022, arXiv:2204.05862; https://github.com/anthropics/hh-rlhf
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from label_data.files.rows_in import Row, located, read_rows
from label_data.formats.pairs import count_unknown, pair_group
from label_data.records import Group, Message

NAME = "hh-rlhf"
TURN = re.compile(r"\n\n(Human|Assistant):")
ROLES = {"Human": "user", "Assistant": "assistant"}


def says(fields: Mapping[str, Any]) -> str:
    """Say what a file is whose first row has these fields, or nothing if it is none of this format."""
    sides = [fields.get("chosen"), fields.get("rejected")]
    transcripts = all(isinstance(side, str) and TURN.match(side) for side in sides)
    return "hh-rlhf, whole transcripts" if transcripts and "prompt" not in fields else ""


def read(path: Path, left_out: Counter[str] | None = None) -> Iterator[Group]:
    """Yield a group a row; rows that hold no preference are counted in `left_out` by reason.

    Raises InputError, with file, line and field, at a row that is no pair of transcripts.
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
    """Return the transcript's messages; `row` and `name` say where it stands, for the error if it is none."""
    before, *parts = TURN.split(transcript)
    if before.strip() or not parts:
        row.refuse(name, "a text that does not begin with a turn", r'Begin it with "\n\nHuman: ".')
    with located(f"{row.where}, field {name}"):
        said = zip(parts[::2], parts[1::2], strict=True)
        return tuple([Message(ROLES[speaker], text.removeprefix(" ")) for speaker, text in said])

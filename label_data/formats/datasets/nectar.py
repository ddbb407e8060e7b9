r"""Nectar: seven completions of a prompt, ranked by GPT-4.

{"prompt": "\n\nHuman: Can pigs fly? \n\nAssistant: ", "source": ["lmsys-chat-1m"], "turns": 1,
 "answers": [{"answer": "No.", "model": "gpt-4", "rank": 1.0}, {"answer": "Yes.", "model": "llama-2-7b", "rank": 2.0}]}

The judge was a model, so each ranking has the source "model". Equal ranks are ties.

Source: https://huggingface.co/datasets/berkeley-nest/Nectar
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from label_data.files.rows_in import Row
from label_data.formats.datasets.hh_rlhf import turns
from label_data.formats.pairs import count_unknown
from label_data.formats.verdicts import Verdict, by_rank, judged, number_of, read_judged
from label_data.records import Group, Message

NAME = "nectar"
JUDGE = "GPT-4's ranks (Nectar)"
KNOWN = ("prompt", "answers", "source")


def says(fields: Mapping[str, Any]) -> str:
    """Say what a file is whose first row has these fields, or nothing if it is none of this format."""
    return "Nectar, ranked by GPT-4" if {"prompt", "answers"} <= fields.keys() else ""


def read(path: Path, left_out: Counter[str] | None = None) -> Iterator[Group]:
    """Yield a group a row; see `read_judged`."""
    return read_judged(path, left_out, KNOWN, _groups)


def _groups(row: Row, source: str, left_out: Counter[str]) -> Iterator[Group]:
    asked = turns(row, "prompt", row.text("prompt"))
    if asked[-1].role == "assistant" and not asked[-1].content.strip():
        asked = asked[:-1]
    asked = tuple(Message(turn.role, turn.content.removesuffix(" ")) for turn in asked)
    answers = row.inner("answers")
    for answer in answers:
        count_unknown(answer, ("answer", "model", "rank"), left_out, "an answer")
    order = by_rank([number_of(answer, "rank") for answer in answers])
    texts = [(answer.text("answer"), answer.text("model", "")) for answer in answers]
    category = ", ".join(str(one) for one in row.items("source"))
    return judged(asked, texts, [Verdict(JUDGE, order, said={"source": "model"})], left_out, source, category)

r"""Nectar: seven completions of a prompt, ranked by GPT-4.

{"prompt": "\n\nHuman: Can pigs fly? \n\nAssistant: ", "source": ["lmsys-chat-1m"], "turns": 1,
 "answers": [{"answer": "No.", "model": "gpt-4", "rank": 1.0}, {"answer": "Yes.", "model": "llama-2-7b", "rank": 2.0}]}

A model ranked the completions, so each ranking has the source "model". Equal ranks are ties.

Source: https://huggingface.co/datasets/berkeley-nest/Nectar
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from label_data.files.rows_in import Row
from label_data.formats.datasets.hh_rlhf import turns
from label_data.formats.pairs import count_unknown
from label_data.formats.ranked_rows import RowRanking, order_by_rank, ranked_group, read_groups
from label_data.records import Group, Message
from label_data.sentences import Sentence, say

NAME = "nectar"
ANNOTATOR = "GPT-4's ranks (Nectar)"
AN_ANSWER = say("label_data.datasets.an_answer")
KNOWN = ("prompt", "answers", "source")


def recognise(fields: Mapping[str, Any]) -> Sentence | None:
    """Return what a file is whose first row has these fields, or None if it is not in this format."""
    if {"prompt", "answers"} <= fields.keys():
        return say("label_data.datasets.is_nectar")
    return None


def read(path: Path, left_out: Counter[Sentence] | None = None) -> Iterator[Group]:
    """Yield one group a row; see `read_groups`."""
    return read_groups(path, left_out, KNOWN, _groups)


def _groups(row: Row, source: str, left_out: Counter[Sentence]) -> Iterator[Group]:
    messages = turns(row, "prompt", row.text("prompt"))
    if messages[-1].role == "assistant" and not messages[-1].content.strip():
        messages = messages[:-1]
    messages = tuple(Message(message.role, message.content.removesuffix(" ")) for message in messages)
    answers = row.inner("answers")
    for answer in answers:
        count_unknown(answer, ("answer", "model", "rank"), left_out, AN_ANSWER)
    order = order_by_rank([answer.required_number("rank") for answer in answers])
    completions = [(answer.text("answer"), answer.text("model", "")) for answer in answers]
    category = ", ".join(map(str, row.items("source")))
    ranking = RowRanking(ANNOTATOR, order, extra={"source": "model"})
    return ranked_group(messages, completions, [ranking], left_out, source, category)

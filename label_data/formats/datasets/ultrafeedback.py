"""UltraFeedback: four completions of an instruction, rated by GPT-4; and its binarized forms, the best and another.

{"source": "evol_instruct", "instruction": "Can pigs fly?", "models": ["a", "b"],
 "completions": [{"model": "a", "response": "No.", "overall_score": 8.5, "fine-grained_score": 4.5},
                 {"model": "b", "response": "Yes.", "overall_score": 2.0, "fine-grained_score": 1.5}]}
{"prompt": "Can pigs fly?", "prompt_id": "…", "score_chosen": 8.5, "score_rejected": 2.0,
 "chosen":   [{"role": "user", "content": "Can pigs fly?"}, {"role": "assistant", "content": "No."}],
 "rejected": [{"role": "user", "content": "Can pigs fly?"}, {"role": "assistant", "content": "Yes."}]}

Nobody ranked these completions: the order follows the overall scores of GPT-4, so each ranking has the source "model",
and its annotator's name says so. Equal scores are a tie. In the first release some completions that deserved 1 were
given 10. A completion with overall_score 10 and a fine-grained score of at most 2 is therefore not placed, but counted.

Source: Cui et al. 2023, arXiv:2310.01377; https://huggingface.co/datasets/openbmb/UltraFeedback, and for the binarized
forms https://huggingface.co/datasets/HuggingFaceH4/ultrafeedback_binarized and trl-lib/ultrafeedback_binarized
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from label_data.files.rows_in import Row
from label_data.formats.pairs import NO_QUESTION, NOT_LAST_TURN, count_unknown
from label_data.formats.ranked_rows import RowRanking, messages_of, order_by_rank, ranked_group, read_groups
from label_data.records import Group, Message
from label_data.sentences import Sentence, say

NAME = "ultrafeedback"
ANNOTATOR = "GPT-4's overall_score (UltraFeedback)"
TEN_FOR_ONE = say("label_data.datasets.ten_for_one")
A_COMPLETION = say("label_data.datasets.a_completion")
KNOWN = (
    *("source", "instruction", "models", "completions"),
    *("prompt", "chosen", "rejected", "score_chosen", "score_rejected"),
)

COMPLETION_FIELDS = ("model", "response", "custom_system_prompt", "overall_score", "fine-grained_score")


def recognise(fields: Mapping[str, Any]) -> Sentence | None:
    """Return what a file is whose first row has these fields, or None if it is not in this format."""
    if {"instruction", "completions"} <= fields.keys():
        return say("label_data.datasets.is_ultrafeedback")
    scored = {"chosen", "rejected", "score_chosen", "score_rejected"} <= fields.keys()
    if scored:
        return say("label_data.datasets.is_ultrafeedback_binarized")
    return None


def read(path: Path, left_out: Counter[Sentence] | None = None) -> Iterator[Group]:
    """Yield one group a row; see `read_groups`."""
    return read_groups(path, left_out, KNOWN, _groups)


def _groups(row: Row, source: str, left_out: Counter[Sentence]) -> Iterator[Group]:
    if "completions" not in row.fields:
        return _binarized(row, source, left_out)
    completions, scores = [], []
    for answer in row.inner("completions"):
        count_unknown(answer, COMPLETION_FIELDS, left_out, A_COMPLETION)
        system = answer.text("custom_system_prompt", "")
        sampling = {"system_prompt": system} if system else {}
        completions.append((answer.text("response"), answer.text("model", ""), sampling))
        score, fine = answer.number("overall_score"), answer.number("fine-grained_score")
        is_mistake = score == 10 and fine is not None and fine <= 2
        left_out[TEN_FOR_ONE] += is_mistake
        scores.append(None if is_mistake else score)
    order = order_by_rank(scores, highest_first=True)
    rankings = [RowRanking(ANNOTATOR, order, extra={"source": "model"})] if sum(map(len, order)) >= 2 else []
    messages = [Message("user", row.text("instruction"))]
    return ranked_group(messages, completions, rankings, left_out, source, row.text("source", ""))


def _binarized(row: Row, source: str, left_out: Counter[Sentence]) -> Iterator[Group]:
    """Yield the group of a binarized row: both conversations begin with the prompt, which `prompt` may repeat."""
    chosen, rejected = (messages_of(row, side, left_out) for side in ("chosen", "rejected"))
    if chosen[:-1] != rejected[:-1] or {chosen[-1].role, rejected[-1].role} != {"assistant"}:
        left_out[NOT_LAST_TURN if chosen[:-1] else NO_QUESTION] += 1
        return iter(())
    scores = [row.required_number("score_chosen"), row.required_number("score_rejected")]
    ranking = RowRanking(ANNOTATOR, order_by_rank(scores, highest_first=True), extra={"source": "model"})
    completions = [(chosen[-1].content, ""), (rejected[-1].content, "")]
    return ranked_group(chosen[:-1], completions, [ranking], left_out, source)

"""UltraFeedback: four completions of an instruction, rated by GPT-4; and its binarized forms, best against another.

{"source": "evol_instruct", "instruction": "Can pigs fly?", "models": ["a", "b"],
 "completions": [{"model": "a", "response": "No.", "overall_score": 8.5, "fine-grained_score": 4.5},
                 {"model": "b", "response": "Yes.", "overall_score": 2.0, "fine-grained_score": 1.5}]}
{"prompt": "Can pigs fly?", "prompt_id": "…", "score_chosen": 8.5, "score_rejected": 2.0,
 "chosen":   [{"role": "user", "content": "Can pigs fly?"}, {"role": "assistant", "content": "No."}],
 "rejected": [{"role": "user", "content": "Can pigs fly?"}, {"role": "assistant", "content": "Yes."}]}

Nobody ranked these completions: the order is made of the judge model's overall scores, so each ranking has the source
"model" and an annotator that says so. Equal scores are a tie. In the first release some completions that deserved 1
were given 10; one with overall_score 10 whose fine-grained score is at most 2 is therefore not placed, with a count.

Source: Cui et al. 2023, arXiv:2310.01377; https://huggingface.co/datasets/openbmb/UltraFeedback, and for the binarized
forms https://huggingface.co/datasets/HuggingFaceH4/ultrafeedback_binarized and trl-lib/ultrafeedback_binarized
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from label_data.files.rows_in import Row
from label_data.formats.pairs import NO_QUESTION, PART_EARLY, count_unknown
from label_data.formats.verdicts import Verdict, by_rank, judged, messages_of, number_of, read_judged
from label_data.records import Group, Message

NAME = "ultrafeedback"
JUDGE = "GPT-4's overall_score (UltraFeedback)"
TEN_FOR_ONE = "completion with overall_score 10 and a fine-grained score of at most 2, a known mistake, is not placed"
KNOWN = (
    *("source", "instruction", "models", "completions"),
    *("prompt", "chosen", "rejected", "score_chosen", "score_rejected"),
)

OF_COMPLETION = ("model", "response", "custom_system_prompt", "overall_score", "fine-grained_score")


def says(fields: Mapping[str, Any]) -> str:
    """Say what a file is whose first row has these fields, or nothing if it is none of this format."""
    if {"instruction", "completions"} <= fields.keys():
        return "UltraFeedback, ordered by GPT-4's scores"
    scored = {"chosen", "rejected", "score_chosen", "score_rejected"} <= fields.keys()
    return "UltraFeedback binarized, ordered by GPT-4's scores" if scored else ""


def read(path: Path, left_out: Counter[str] | None = None) -> Iterator[Group]:
    """Yield a group a row; see `read_judged`."""
    return read_judged(path, left_out, KNOWN, _groups)


def _groups(row: Row, source: str, left_out: Counter[str]) -> Iterator[Group]:
    if "completions" not in row.fields:
        return _binarized(row, source, left_out)
    answers, scores = [], []
    for answer in row.inner("completions"):
        count_unknown(answer, OF_COMPLETION, left_out, "a completion")
        system = answer.text("custom_system_prompt", "")
        answers.append((answer.text("response"), answer.text("model", ""), {"system_prompt": system} if system else {}))
        score, fine = answer.number("overall_score"), answer.number("fine-grained_score")
        mistaken = score == 10 and fine is not None and fine <= 2
        left_out[TEN_FOR_ONE] += mistaken
        scores.append(None if mistaken else score)
    order = by_rank(scores, highest_first=True)
    said = [Verdict(JUDGE, order, said={"source": "model"})] if sum(map(len, order)) >= 2 else []
    return judged([Message("user", row.text("instruction"))], answers, said, left_out, source, row.text("source", ""))


def _binarized(row: Row, source: str, left_out: Counter[str]) -> Iterator[Group]:
    """Both conversations begin with the prompt, which `prompt` repeats as a text or not at all."""
    chosen, rejected = (messages_of(row, side, left_out) for side in ("chosen", "rejected"))
    if chosen[:-1] != rejected[:-1] or {chosen[-1].role, rejected[-1].role} != {"assistant"}:
        left_out[PART_EARLY if chosen[:-1] else NO_QUESTION] += 1
        return iter(())
    scores = [number_of(row, "score_chosen"), number_of(row, "score_rejected")]
    verdict = Verdict(JUDGE, by_rank(scores, highest_first=True), said={"source": "model"})
    answers = [(chosen[-1].content, ""), (rejected[-1].content, "")]
    return judged(chosen[:-1], answers, [verdict], left_out, source)

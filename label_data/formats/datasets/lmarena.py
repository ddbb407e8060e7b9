"""LMArena (Chatbot Arena), 33k, 55k, 100k and 140k: a visitor's vote between two models, ties and both-bad included.

{"question_id": "q1", "model_a": "x", "model_b": "y", "winner": "tie (bothbad)", "judge": "arena_user_1", "turn": 1,
 "conversation_a": [{"role": "user", "content": "Can pigs fly?"}, {"role": "assistant", "content": "No."}],
 "conversation_b": [{"role": "user", "content": "Can pigs fly?"}, {"role": "assistant", "content": "Yes."}],
 "language": "English", "tstamp": 1682351591.1}
{"id": 1, "model_a": "x", "model_b": "y", "prompt": "[\\"Can pigs fly?\\"]", "response_a": "[\\"No.\\"]",
 "response_b": "[\\"Yes.\\"]", "winner_model_a": 1, "winner_model_b": 0, "winner_tie": 0}

"tie (bothbad)" and "both_bad" are the outcome all_bad. Where both models answered several turns, their earlier answers
differ, so the last answers are no two completions of one prompt: such rows are left out with a count, and so are rows
with pictures. Model A was shown on the left. The 55k votes are published as CSV.

Source: Chiang et al. 2024, arXiv:2403.04132; https://huggingface.co/lmarena-ai and huggingface.co/lmsys
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from label_data.files.csv_in import csv_rows
from label_data.files.rows_in import Row, parsed
from label_data.formats.pairs import NO_QUESTION, NOT_LAST_TURN
from label_data.formats.ranked_rows import PictureError, RowRanking, messages_of, preference, ranked_group, read_groups
from label_data.records import Group, Message
from label_data.sentences import Sentence, say

NAME = "lmarena"
VISITOR = "a visitor of LMArena"
ROW_WITH_PICTURE = say("label_data.datasets.row_with_picture")
VOTES = ("winner_model_a", "winner_tie", "winner_model_b")
"""The three fields of a 55k row, exactly one of which is 1, in the order of the values -1, 0 and 1."""
WINNERS = {"model_a": -1, "model_b": 1, "tie": 0, "tie (bothbad)": None, "both_bad": None}
KNOWN = (
    *("model_a", "model_b", "winner", "judge", "judge_hash", "conversation_a", "conversation_b", "language", "tstamp"),
    *("prompt", "response_a", "response_b", "winner_model_a", "winner_model_b", "winner_tie", "evaluation_session_id"),
)


def recognise(fields: Mapping[str, Any]) -> Sentence | None:
    """Return what a file is whose first row has these fields, or None if it is not in this format."""
    if {"model_a", "model_b", "winner", "conversation_a", "conversation_b"} <= fields.keys():
        if "evaluation_session_id" in fields:
            return say("label_data.datasets.is_lmarena_140k")
        return say("label_data.datasets.is_lmarena_33k")
    if {"response_a", "response_b", "winner_model_a", "winner_tie"} <= fields.keys():
        return say("label_data.datasets.is_lmarena_55k")
    return None


def read(path: Path, left_out: Counter[Sentence] | None = None) -> Iterator[Group]:
    """Yield one group a row of JSON, Parquet or CSV; see `read_groups`."""
    csv = path.name.lower().removesuffix(".gz").endswith(".csv")
    return read_groups(path, left_out, KNOWN, _groups, _numbered(csv_rows(path, str(path))) if csv else None)


def _numbered(rows: Iterable[Row]) -> Iterator[Row]:
    """Yield the rows of a CSV file, whose cells are texts, with the votes as numbers."""
    for row in rows:
        votes = {name: int(row.fields[name]) for name in VOTES if row.fields.get(name) in ("0", "1")}
        yield Row(row.where, {**row.fields, **votes}, row.within)


def _groups(row: Row, source: str, left_out: Counter[Sentence]) -> Iterator[Group]:
    if "winner" in row.fields:
        winner = row.text("winner")
        if winner not in WINNERS:
            row.refuse("winner", say("label_data.datasets.not_one_of", value=winner[:60], values=", ".join(WINNERS)))
        value = WINNERS[winner]
        try:
            sides = [messages_of(row, f"conversation_{side}", left_out) for side in "ab"]
        except PictureError:
            left_out[ROW_WITH_PICTURE] += 1
            return iter(())
    else:
        votes = [row.whole(name) for name in VOTES]
        if sorted(vote or 0 for vote in votes) != [0, 0, 1]:
            row.refuse("winner_tie", say("label_data.datasets.no_single_winner"))
        value = votes.index(1) - 1
        sides = [_conversation(row, side, left_out) for side in "ab"]
    first, second = sides
    if first[:-1] != second[:-1]:
        left_out[NOT_LAST_TURN] += 1
        return iter(())
    if {first[-1].role, second[-1].role} != {"assistant"}:
        left_out[NO_QUESTION] += 1
        return iter(())
    session = row.text("evaluation_session_id", "")
    annotator = row.text("judge", "") or row.text("judge_hash", "") or (f"session {session}" if session else VISITOR)
    seconds = row.number("tstamp")
    submitted = None if seconds is None else round(seconds * 1e6)
    if value is None:
        ranking = RowRanking(annotator, shown=(0, 1), extra={"submitted": submitted, "outcome": "all_bad"})
    else:
        ranking = RowRanking(annotator, **preference(value), shown=(0, 1), extra={"submitted": submitted})
    completions = [(end[-1].content, row.text(f"model_{side}", "")) for end, side in zip(sides, "ab", strict=True)]
    return ranked_group(first[:-1], completions, [ranking], left_out, source, row.text("language", ""))


def _conversation(row: Row, side: str, left_out: Counter[Sentence]) -> tuple[Message, ...]:
    """Return the turns of a 55k row, whose fields are JSON lists with one text for each turn."""
    questions, answers = (_texts(row, name) for name in ("prompt", f"response_{side}"))
    if not questions or len(questions) != len(answers):
        problem = say("label_data.datasets.answers_missing", answers=len(answers), questions=len(questions))
        row.refuse(f"response_{side}", problem)
    messages: list[Message] = []
    for question, answer in zip(questions, answers, strict=True):
        messages += [Message("user", question), Message("assistant", answer)]
    return tuple(messages)


def _texts(row: Row, name: str) -> list[str]:
    """Return a JSON list of texts; a missing answer is null, and is kept as an empty text."""
    texts = parsed(row.text(name), row.where, name)
    if not isinstance(texts, list) or not all(isinstance(text, str | None) for text in texts):
        row.refuse(name, say("label_data.datasets.no_texts"))
    return [text or "" for text in texts]

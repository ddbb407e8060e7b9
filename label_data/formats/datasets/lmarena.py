"""LMArena (Chatbot Arena), 33k, 55k, 100k and 140k: a visitor's vote between two models, ties and both-bad included.

{"question_id": "q1", "model_a": "x", "model_b": "y", "winner": "tie (bothbad)", "judge": "arena_user_1", "turn": 1,
 "conversation_a": [{"role": "user", "content": "Can pigs fly?"}, {"role": "assistant", "content": "No."}],
 "conversation_b": [{"role": "user", "content": "Can pigs fly?"}, {"role": "assistant", "content": "Yes."}],
 "language": "English", "tstamp": 1682351591.1}
{"id": 1, "model_a": "x", "model_b": "y", "prompt": "[\\"Can pigs fly?\\"]", "response_a": "[\\"No.\\"]",
 "response_b": "[\\"Yes.\\"]", "winner_model_a": 1, "winner_model_b": 0, "winner_tie": 0}

"tie (bothbad)" and "both_bad" are the outcome all_bad. Where both models answered several turns, their answers before
the last differ, and so did what they were asked last: such rows hold no two completions of one prompt and are left out
with a count. So are rows with pictures. Model A was shown on the left. The 55k votes are published as CSV.

Source: Chiang et al. 2024, arXiv:2403.04132; https://huggingface.co/lmarena-ai and huggingface.co/lmsys
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from label_data.errors import InputError
from label_data.files.csv_in import csv_rows
from label_data.files.rows_in import Row, parsed
from label_data.formats.pairs import NO_QUESTION, PART_EARLY
from label_data.formats.verdicts import PICTURE, Verdict, judged, leaning, messages_of, read_judged
from label_data.records import Group, Message

NAME = "lmarena"
VISITOR = "a visitor of LMArena"
VOTES = ("winner_model_a", "winner_tie", "winner_model_b")
"""The fields of a 55k row of which one is 1, in the order of -1, 0 and 1."""
WINNERS = {"model_a": -1, "model_b": 1, "tie": 0, "tie (bothbad)": None, "both_bad": None}
KNOWN = (
    *("model_a", "model_b", "winner", "judge", "judge_hash", "conversation_a", "conversation_b", "language", "tstamp"),
    *("prompt", "response_a", "response_b", "winner_model_a", "winner_model_b", "winner_tie", "evaluation_session_id"),
)


def says(fields: Mapping[str, Any]) -> str:
    """Say what a file is whose first row has these fields, or nothing if it is none of this format."""
    if {"model_a", "model_b", "winner", "conversation_a", "conversation_b"} <= fields.keys():
        return "LMArena 140k votes" if "evaluation_session_id" in fields else "LMArena 33k or 100k votes"
    return "LMArena 55k votes" if {"response_a", "response_b", "winner_model_a", "winner_tie"} <= fields.keys() else ""


def read(path: Path, left_out: Counter[str] | None = None) -> Iterator[Group]:
    """Yield a group a row of JSON, Parquet or CSV; see `read_judged`."""
    csv = path.name.lower().removesuffix(".gz").endswith(".csv")
    return read_judged(path, left_out, KNOWN, _groups, _numbered(csv_rows(path, str(path))) if csv else None)


def _numbered(rows: Iterable[Row]) -> Iterator[Row]:
    """Yield rows of CSV with the votes as numbers: its cells are texts."""
    for row in rows:
        votes = {name: int(row.fields[name]) for name in VOTES if row.fields.get(name) in ("0", "1")}
        yield Row(row.where, {**row.fields, **votes}, row.within)


def _groups(row: Row, source: str, left_out: Counter[str]) -> Iterator[Group]:
    if "winner" in row.fields:
        winner = row.text("winner")
        if winner not in WINNERS:
            row.refuse("winner", repr(winner), f"Write one of {', '.join(WINNERS)}.")
        value = WINNERS[winner]
        try:
            sides = [messages_of(row, f"conversation_{side}", left_out) for side in "ab"]
        except InputError as error:
            if PICTURE not in str(error):
                raise
            left_out[f"row: {PICTURE}"] += 1
            return iter(())
    else:
        votes = [row.whole(name) for name in VOTES]
        if sorted(vote or 0 for vote in votes) != [0, 0, 1]:
            row.refuse("winner_tie", "not one 1 and two 0 in the three fields of the winner", "Mend the row.")
        value = votes.index(1) - 1
        sides = [_conversation(row, side, left_out) for side in "ab"]
    one, other = sides
    if one[:-1] != other[:-1]:
        left_out[PART_EARLY] += 1
        return iter(())
    if {one[-1].role, other[-1].role} != {"assistant"}:
        left_out[NO_QUESTION] += 1
        return iter(())
    session = row.text("evaluation_session_id", "")
    annotator = row.text("judge", "") or row.text("judge_hash", "") or (f"session {session}" if session else VISITOR)
    seconds = row.number("tstamp")
    said = {"submitted": None if seconds is None else round(seconds * 1e6)}
    if value is None:
        verdict = Verdict(annotator, shown=(0, 1), said=said | {"outcome": "all_bad"})
    else:
        verdict = Verdict(annotator, **leaning(value), shown=(0, 1), said=said)
    answers = [(end[-1].content, row.text(f"model_{side}", "")) for end, side in zip(sides, "ab", strict=True)]
    return judged(one[:-1], answers, [verdict], left_out, source, row.text("language", ""))


def _conversation(row: Row, side: str, left_out: Counter[str]) -> tuple[Message, ...]:
    """Return the turns of a 55k row, whose fields are JSON lists of texts, one for each turn."""
    asked, answered = (_texts(row, name) for name in ("prompt", f"response_{side}"))
    if not asked or len(asked) != len(answered):
        row.refuse(f"response_{side}", f"{len(answered)} answers to {len(asked)} questions", "Mend the row.")
    pairs = zip(asked, answered, strict=True)
    return tuple(Message(role, text) for pair in pairs for role, text in zip(("user", "assistant"), pair, strict=True))


def _texts(row: Row, name: str) -> list[str]:
    """Return a JSON list of texts; an answer that never came is null, and is kept as an empty text."""
    found = parsed(row.text(name), row.where, name)
    if not isinstance(found, list) or not all(isinstance(one, str | None) for one in found):
        row.refuse(name, "no list of texts", 'Write JSON: ["first turn", "second turn"].')
    return [one or "" for one in found]

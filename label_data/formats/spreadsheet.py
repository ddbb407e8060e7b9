"""A table of rankings for Excel, LibreOffice, R or pandas: a row for each completion of each ranking (.csv).

{"prompt": "Can pigs fly?", "annotator": "ana", "outcome": "ranked", "rank": "1", "completion": "No.", "shown": "2",
 "ranking": "3f0c…", "policy": "tiny", "category": "facts"}

The rows of one ranking follow one another and share the id in `ranking`. `rank` is 1 for the best completion, equal for
ties, empty for a completion that was not placed. `strength` is how much better it is than the next rank: 1 slightly, 3
much. `conversation` holds the messages, as JSON, if the prompt is more than one user message; `prompt` is then its last
message.

A cell that begins with = + - @, a tab, a carriage return or an apostrophe gets an apostrophe in front, so that no
program runs model text as a formula; reading removes it. The file is UTF-8 with a byte order mark, without which Excel
assumes another encoding. Excel shows at most 32,767 characters of a cell.

Source: https://owasp.org/www-community/attacks/CSV_Injection; RFC 4180
"""

import csv
import gzip
import io
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import groupby
from pathlib import Path
from typing import Any, BinaryIO

from label_data.canonical import canonical
from label_data.files.csv_in import csv_rows
from label_data.files.lines_in import LONGEST_LINE
from label_data.files.places import located
from label_data.files.rows_in import Row, parsed
from label_data.files.rows_out import check_filled
from label_data.files.whole import check_ending, replacing
from label_data.formats.pair_rows import DEMONSTRATION, NOT_RANKED
from label_data.formats.ranked_rows import RowRanking, order_by_rank, ranked_group, read_groups
from label_data.records import Completion, Group, Message, Ranking, messages_from
from label_data.sentences import Sentence, say

NAME = "spreadsheet"
ENDINGS = (".csv", ".csv.gz")
LACKS = say("label_data.formats.spreadsheet_lacks")
COLUMNS = (
    *("ranking", "annotator", "prompt", "conversation", "category", "outcome", "rank", "completion", "policy"),
    *("strength", "shown", "flags", "rating", "reason", "seconds", "submitted", "source"),
)
RANKING_COLUMNS = ("ranking", "annotator", "prompt", "conversation")
MAX_ROWS = 1_000
"""Rows of one ranking."""
FORMULA = ("=", "+", "-", "@", "\t", "\r", "'")
EPOCH = datetime(1970, 1, 1)
MICROSECOND = timedelta(microseconds=1)
FIRST, LAST = ((end - EPOCH) // MICROSECOND for end in (datetime.min, datetime.max))
NO_DATE = say("label_data.formats.no_date")
NOT_SHOWN = say("label_data.formats.not_shown")
SPAN = say("label_data.formats.span")


def recognise(fields: Mapping[str, Any]) -> Sentence | None:
    """Return what a file is whose first row has these fields, or None if it is not in this format.

    An empty cell counts as a missing field, so only columns that are never empty are checked.
    """
    if {"ranking", "annotator", "outcome", "shown", "source"} <= fields.keys():
        return say("label_data.formats.is_spreadsheet")
    return None


def read(path: Path, left_out: Counter[Sentence] | None = None) -> Iterator[Group]:
    """Yield one group a ranking, from the neighbouring rows with its id; see `read_groups`."""
    return read_groups(path, left_out, (*COLUMNS, "rows"), _groups, _rankings(path))


def _rankings(path: Path) -> Iterator[Row]:
    """Yield one row for each ranking: its first row, with all its rows in the field `rows`."""
    table = (
        Row(row.where, {name: _unescaped(cell) for name, cell in row.fields.items()})
        for row in csv_rows(path, str(path))
    )
    for _, same in groupby(table, lambda row: [row.fields.get(name) for name in RANKING_COLUMNS]):
        rows: list[Row] = []
        characters = 0
        for row in same:
            rows.append(row)
            characters += sum(map(len, row.fields.values()))
            if len(rows) > MAX_ROWS or characters > LONGEST_LINE:
                size = LONGEST_LINE // 2**20
                rows[0].refuse("ranking", say("label_data.formats.long_ranking", rows=MAX_ROWS, characters=size))
        yield Row(rows[0].where, rows[0].fields | {"rows": rows})


def _groups(row: Row, source: str, left_out: Counter[Sentence]) -> Iterator[Group]:
    rows: list[Row] = row.fields["rows"]
    shown = sorted(range(len(rows)), key=lambda place: _whole(rows[place], "shown") or 0)
    ranks = [_whole(row_of_completion, "rank") for row_of_completion in rows]
    order = order_by_rank(ranks)
    steps = [_whole(rows[tied[0]], "strength") for tied in order[:-1]]
    prompt = _messages(row, left_out)
    completions = [(each.text("completion", ""), each.text("policy", "")) for each in rows]
    submitted = row.text("submitted", "")
    extra = {
        "outcome": row.text("outcome"),
        "reason": row.text("reason", ""),
        "seconds": _number(row, "seconds"),
        "submitted": _microseconds(row, submitted) if submitted else None,
        "submission": row.text("ranking"),
        "source": row.text("source"),
    }
    strength = tuple(steps) if any(steps) else ()
    row_ranking = RowRanking(row.text("annotator"), order, strength, shown, extra)
    category = row.text("category", "")
    for group in ranked_group(prompt, completions, [row_ranking], left_out, source, category):
        (ranking,) = group.rankings
        yield Group(group.prompt, group.completions, (_with_marks(ranking, group.completions, rows),))


def _with_marks(ranking: Ranking, completions: tuple[Completion, ...], rows: list[Row]) -> Ranking:
    """Return the ranking with the flags and the rating of each completion."""
    flags, ratings = {}, {}
    for completion, row in zip(completions, rows, strict=True):
        cell = row.text("flags", "")
        if cell:
            names = parsed(cell, row.where, "flags")
            if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
                row.refuse("flags", say("label_data.formats.cell_not_texts", cell=cell[:40]))
            flags[completion.id] = tuple(names)
        rating = _whole(row, "rating")
        if rating is not None:
            ratings[completion.id] = rating
    return replace(ranking, flags=flags, ratings=ratings)


def _messages(row: Row, left_out: Counter[Sentence]) -> tuple[Message, ...]:
    conversation = row.text("conversation", "")
    if not conversation:
        return (Message("user", row.text("prompt")),)
    with located(row.where, "conversation"):
        messages = parsed(conversation, row.where, "conversation")
        return messages_from(messages, say("label_data.formats.the_cell"), left_out)


def _whole(row: Row, name: str) -> int | None:
    cell = row.text(name, "")
    if cell and not (cell.isascii() and cell.isdigit() and len(cell) < 10):
        row.refuse(name, say("label_data.formats.cell_not_whole", cell=cell[:40]))
    return int(cell) if cell else None


def _number(row: Row, name: str) -> float | None:
    cell = row.text(name, "")
    try:
        return float(cell) if cell else None
    except ValueError:
        row.refuse(name, say("label_data.formats.cell_not_number", cell=cell[:40]))


def _microseconds(row: Row, cell: str) -> int:
    try:
        return (datetime.fromisoformat(cell).replace(tzinfo=None) - EPOCH) // MICROSECOND
    except ValueError:
        row.refuse("submitted", say("label_data.formats.cell_not_time", cell=cell[:40]))


def write(path: Path, groups: Iterable[Group], left_out: Counter[Sentence] | None = None) -> int:
    """Write a row for each completion of each ranking and return how many; count in `left_out` what has no place."""
    left_out = Counter() if left_out is None else left_out
    check_ending(path, ENDINGS)
    with replacing(path) as file:
        if path.suffix == ".gz":
            with gzip.GzipFile("", "wb", fileobj=file, mtime=0) as packed:
                number = _write(packed, groups, left_out)
        else:
            number = _write(file, groups, left_out)
        check_filled(path, number)
    return number


def _write(file: BinaryIO | gzip.GzipFile, groups: Iterable[Group], left_out: Counter[Sentence]) -> int:
    text = io.TextIOWrapper(file, encoding="utf-8-sig", newline="")
    table = csv.DictWriter(text, COLUMNS, lineterminator="\r\n")
    table.writeheader()
    number = 0
    for number, row in enumerate(_rows(groups, left_out), start=1):  # noqa: B007 - the last number is the count
        table.writerow({name: _escaped(value) for name, value in row.items()})
    text.flush()
    text.detach()
    return number


def _rows(groups: Iterable[Group], left_out: Counter[Sentence]) -> Iterator[dict[str, Any]]:
    for group in groups:
        left_out[NOT_RANKED] += not group.rankings
        left_out[DEMONSTRATION] += len(group.demonstrations)
        shown = {completion for ranking in group.rankings for completion in ranking.shown}
        left_out[NOT_SHOWN] += len(group.completions) - len(shown) if group.rankings else 0
        for ranking in group.rankings:
            left_out[SPAN] += len(ranking.spans)
            yield from _ranking_rows(group, ranking, left_out)


def _ranking_rows(group: Group, ranking: Ranking, left_out: Counter[Sentence]) -> Iterator[dict[str, Any]]:
    completions = {completion.id: completion for completion in group.completions}
    rank = {id: number for number, tied in enumerate(ranking.order, start=1) for id in tied}
    is_conversation = len(group.prompt.messages) > 1
    submitted = _time(ranking.submitted, left_out)
    for id in [*(id for tied in ranking.order for id in tied), *ranking.unranked]:
        step = ranking.strength[rank[id] - 1] if id in rank and rank[id] <= len(ranking.strength) else None
        yield {
            "ranking": ranking.submission,
            "annotator": ranking.annotator,
            "prompt": group.prompt.messages[-1].content,
            "conversation": canonical(group.prompt.as_dicts) if is_conversation else None,
            "category": group.prompt.category,
            "outcome": ranking.outcome,
            "rank": rank.get(id),
            "completion": completions[id].text,
            "policy": completions[id].policy,
            "strength": step,
            "shown": ranking.shown.index(id) + 1,
            "flags": json.dumps(ranking.flags[id], ensure_ascii=False) if ranking.flags.get(id) else None,
            "rating": ranking.ratings.get(id),
            "reason": ranking.reason,
            "seconds": ranking.seconds,
            "submitted": submitted,
            "source": ranking.source,
        }


def _time(microseconds: int | None, left_out: Counter[Sentence]) -> str | None:
    if microseconds is None:
        return None
    if not FIRST <= microseconds <= LAST:
        left_out[NO_DATE] += 1
        return None
    return (EPOCH + microseconds * MICROSECOND).isoformat(" ")


def _escaped(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA) else value


def _unescaped(cell: str) -> str:
    return cell[1:] if cell.startswith("'") and cell[1:].startswith(FORMULA) else cell

"""A table of rankings to look at in Excel, LibreOffice, R or pandas: a row a completion that somebody judged (.csv).

{"prompt": "Can pigs fly?", "annotator": "ana", "outcome": "ranked", "rank": "1", "completion": "No.", "shown": "2",
 "ranking": "3f0c…", "policy": "tiny", "category": "facts"}

The rows of one ranking stand together and share the id in `ranking`; `rank` is 1 for the best, equal for ties, empty
for a completion that was not placed. `strength` is how much better it is than the next rank: 1 slightly, 3 much.
`conversation` holds the messages, as JSON, where the prompt is more than one user's message; `prompt` is then the last.

A cell that begins with = + - @, a tab, a carriage return or an apostrophe gets an apostrophe before it, so that no
program takes model text for a formula; reading takes it away. UTF-8 with a byte order mark, without which Excel reads
another encoding; Excel shows 32,767 characters of a cell and no more.

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
from label_data.files.rows_in import Row, located, parsed
from label_data.files.rows_out import check_filled
from label_data.files.whole import check_ending, replacing
from label_data.formats.verdicts import Verdict, judged, read_judged
from label_data.records import Completion, Group, Message, Ranking, messages_from

NAME = "spreadsheet"
ENDINGS = (".csv", ".csv.gz")
LACKS = "completions that nobody was shown, revisions of policies, sampling, marked parts, and a project's settings"
COLUMNS = (
    *("ranking", "annotator", "prompt", "conversation", "category", "outcome", "rank", "completion", "policy"),
    *("strength", "shown", "flags", "rating", "reason", "seconds", "submitted", "source"),
)
OF_RANKING = ("ranking", "annotator", "prompt", "conversation")
MOST_ROWS = 1_000
"""Of one ranking."""
FORMULA = ("=", "+", "-", "@", "\t", "\r", "'")
EPOCH = datetime(1970, 1, 1)
MICROSECOND = timedelta(microseconds=1)
FIRST, LAST = ((end - EPOCH) // MICROSECOND for end in (datetime.min, datetime.max))
NO_DATE = "time of a ranking outside the years 1 to 9999"


def says(fields: Mapping[str, Any]) -> str:
    """Say what a file is whose first row has these fields, or nothing if it is none of this format.

    A cell that is empty counts as no field, so only those that are never empty are looked for.
    """
    return "table of rankings" if {"ranking", "annotator", "outcome", "shown", "source"} <= fields.keys() else ""


def read(path: Path, left_out: Counter[str] | None = None) -> Iterator[Group]:
    """Yield a group a ranking, of the rows that stand together with its id; see `read_judged`."""
    return read_judged(path, left_out, (*COLUMNS, "rows"), _groups, _rankings(path))


def _rankings(path: Path) -> Iterator[Row]:
    """Yield one row for those of a ranking: its first, with all of them in the field `rows`."""
    found = (
        Row(row.where, {name: _unescaped(cell) for name, cell in row.fields.items()})
        for row in csv_rows(path, str(path))
    )
    for _, same in groupby(found, lambda row: [row.fields.get(name) for name in OF_RANKING]):
        rows: list[Row] = []
        characters = 0
        for row in same:
            rows.append(row)
            characters += sum(map(len, row.fields.values()))
            if len(rows) > MOST_ROWS or characters > LONGEST_LINE:
                most = f"{MOST_ROWS:,} rows, or {LONGEST_LINE // 2**20} Mi characters"
                rows[0].refuse("ranking", f"the same in more than {most}", "Give each ranking its own.")
        yield Row(rows[0].where, rows[0].fields | {"rows": rows})


def _groups(row: Row, source: str, left_out: Counter[str]) -> Iterator[Group]:
    rows: list[Row] = row.fields["rows"]
    shown = sorted(range(len(rows)), key=lambda place: _whole(rows[place], "shown") or 0)
    ranks = [_whole(one, "rank") for one in rows]
    known = sorted({rank for rank in ranks if rank is not None})
    order = tuple(tuple(place for place, rank in enumerate(ranks) if rank == best) for best in known)
    steps = [_whole(rows[tied[0]], "strength") for tied in order[:-1]]
    prompt = _messages(row, left_out)
    answers = [(one.text("completion", ""), one.text("policy", "")) for one in rows]
    submitted, outcome = row.text("submitted", ""), row.text("outcome")
    said = {
        "outcome": outcome,
        "reason": row.text("reason", ""),
        "seconds": _number(row, "seconds"),
        "submitted": _microseconds(row, submitted) if submitted else None,
        "submission": row.text("ranking"),
        "source": row.text("source"),
    }
    strength = tuple(steps) if any(steps) else ()
    verdict = Verdict(row.text("annotator"), order, strength, shown, said)
    for group in judged(prompt, answers, [verdict], left_out, source, row.text("category", "")):
        (ranking,) = group.rankings
        yield Group(group.prompt, group.completions, (_with_marks(ranking, group.completions, rows),))


def _with_marks(ranking: Ranking, completions: tuple[Completion, ...], rows: list[Row]) -> Ranking:
    """Return the ranking with what the rows say of each completion by itself."""
    flags, ratings = {}, {}
    for completion, row in zip(completions, rows, strict=True):
        marked = row.text("flags", "")
        if marked:
            names = parsed(marked, row.where, "flags")
            if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
                row.refuse("flags", marked[:40], 'Write a JSON list of texts: ["untrue"].')
            flags[completion.id] = tuple(names)
        rating = _whole(row, "rating")
        if rating is not None:
            ratings[completion.id] = rating
    return replace(ranking, flags=flags, ratings=ratings)


def _messages(row: Row, left_out: Counter[str]) -> tuple[Message, ...]:
    conversation = row.text("conversation", "")
    if not conversation:
        return (Message("user", row.text("prompt")),)
    with located(f"{row.where}, field conversation"):
        return messages_from(parsed(conversation, row.where, "conversation"), "The cell", left_out)


def _whole(row: Row, name: str) -> int | None:
    cell = row.text(name, "")
    if cell and not (cell.isascii() and cell.isdigit() and len(cell) < 10):
        row.refuse(name, repr(cell[:40]), "Write a whole number, or leave the cell empty.")
    return int(cell) if cell else None


def _number(row: Row, name: str) -> float | None:
    cell = row.text(name, "")
    try:
        return float(cell) if cell else None
    except ValueError:
        row.refuse(name, repr(cell[:40]), "Write a number, or leave the cell empty.")


def _microseconds(row: Row, cell: str) -> int:
    try:
        return (datetime.fromisoformat(cell).replace(tzinfo=None) - EPOCH) // MICROSECOND
    except ValueError:
        row.refuse("submitted", repr(cell[:40]), "Write a time as 2026-11-22 13:00:00, in UTC.")


def write(path: Path, groups: Iterable[Group], left_out: Counter[str] | None = None) -> int:
    """Write a row for each completion of each ranking and return how many; what has no place is counted."""
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


def _write(file: BinaryIO | gzip.GzipFile, groups: Iterable[Group], left_out: Counter[str]) -> int:
    text = io.TextIOWrapper(file, encoding="utf-8-sig", newline="")
    table = csv.DictWriter(text, COLUMNS, lineterminator="\r\n")
    table.writeheader()
    number = 0
    for number, row in enumerate(_rows(groups, left_out), start=1):  # noqa: B007 - the last number is the count
        table.writerow({name: _escaped(value) for name, value in row.items()})
    text.flush()
    text.detach()
    return number


def _rows(groups: Iterable[Group], left_out: Counter[str]) -> Iterator[dict[str, Any]]:
    for group in groups:
        left_out["prompt without a ranking"] += not group.rankings
        left_out["demonstration, which trl-sft writes"] += len(group.demonstrations)
        seen = {completion for ranking in group.rankings for completion in ranking.shown}
        left_out["completion that nobody was shown"] += len(group.completions) - len(seen) if group.rankings else 0
        for ranking in group.rankings:
            left_out["marked part of a completion"] += len(ranking.spans)
            yield from _ranking_rows(group, ranking, left_out)


def _ranking_rows(group: Group, ranking: Ranking, left_out: Counter[str]) -> Iterator[dict[str, Any]]:
    completions = {completion.id: completion for completion in group.completions}
    rank = {id: number for number, tied in enumerate(ranking.order, start=1) for id in tied}
    several = len(group.prompt.messages) > 1
    submitted = _time(ranking.submitted, left_out)
    for id in [id for tied in ranking.order for id in tied] + list(ranking.unranked):
        step = ranking.strength[rank[id] - 1] if id in rank and rank[id] <= len(ranking.strength) else None
        yield {
            "ranking": ranking.submission,
            "annotator": ranking.annotator,
            "prompt": group.prompt.messages[-1].content,
            "conversation": canonical(group.prompt.as_dicts) if several else None,
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


def _time(microseconds: int | None, left_out: Counter[str]) -> str | None:
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

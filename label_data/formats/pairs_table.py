"""Any table of pairs, CSV above all: a column for the prompt, for the chosen and for the rejected completion.

{"prompt": "Can pigs fly?", "chosen": "No.", "rejected": "Yes.", "annotator": "ana", "category": "facts"}

Columns of other names are mapped: {"chosen": "better"} says that the column called better holds the chosen one. A table
without annotators has the format's name in their place. Which of the two was shown first is not known.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from label_data.files.csv_in import csv_rows
from label_data.files.rows_in import Row, read_rows
from label_data.formats.verdicts import Verdict, judged, leaning, read_judged
from label_data.records import Group, Message

NAME = "table"
COLUMNS = ("prompt", "chosen", "rejected", "annotator", "category", "policy_chosen", "policy_rejected")


def says(fields: Mapping[str, Any], names: Mapping[str, str] | None = None) -> str:
    """Say what a file is whose first row has these fields, or nothing if it is none of this format."""
    needed = [(names or {}).get(column, column) for column in COLUMNS[:3]]
    return "table of pairs" if all(isinstance(fields.get(name), str) for name in needed) else ""


def read(path: Path, left_out: Counter[str] | None = None, names: Mapping[str, str] | None = None) -> Iterator[Group]:
    """Yield a group a row of CSV, JSON or Parquet; `names` maps `COLUMNS` to the file's. See `read_judged`."""
    column = dict(zip(COLUMNS, COLUMNS, strict=True)) | dict(names or {})

    def groups_of(row: Row, source: str, left_out: Counter[str]) -> Iterator[Group]:
        verdict = Verdict(row.text(column["annotator"], NAME), **leaning(-1))
        answers = [(row.text(column[side]), row.text(column[f"policy_{side}"], "")) for side in ("chosen", "rejected")]
        asked = [Message("user", row.text(column["prompt"]))]
        return judged(asked, answers, [verdict], left_out, source, row.text(column["category"], ""))

    csv = path.name.lower().removesuffix(".gz").endswith(".csv")
    rows = csv_rows(path, str(path)) if csv else read_rows(path)
    return read_judged(path, left_out, tuple(column.values()), groups_of, rows)

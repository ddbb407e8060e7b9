"""A table of pairs, usually CSV: a column each for the prompt, the chosen and the rejected completion.

{"prompt": "Can pigs fly?", "chosen": "No.", "rejected": "Yes.", "annotator": "ana", "category": "facts"}

Columns of other names can be mapped: {"chosen": "better"} means that the column better has the chosen completion. In a
table without annotators the annotator is the format's name. Which completion was shown first is not known.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from label_data.files.csv_in import csv_rows
from label_data.files.rows_in import Row, read_rows
from label_data.formats.ranked_rows import RowRanking, preference, ranked_group, read_groups
from label_data.records import Group, Message
from label_data.sentences import Sentence, say

NAME = "table"
COLUMNS = ("prompt", "chosen", "rejected", "annotator", "category", "policy_chosen", "policy_rejected")


def recognise(fields: Mapping[str, Any], names: Mapping[str, str] | None = None) -> Sentence | None:
    """Return what a file is whose first row has these fields, or None if it is not in this format."""
    needed = [(names or {}).get(column, column) for column in COLUMNS[:3]]
    if all(isinstance(fields.get(name), str) for name in needed):
        return say("label_data.formats.is_pairs_table")
    return None


def read(
    path: Path, left_out: Counter[Sentence] | None = None, names: Mapping[str, str] | None = None
) -> Iterator[Group]:
    """Yield one group a row of CSV, JSON or Parquet; `names` maps `COLUMNS` to the file's names. See `read_groups`."""
    columns = dict(zip(COLUMNS, COLUMNS, strict=True)) | dict(names or {})

    def groups_of(row: Row, source: str, left_out: Counter[Sentence]) -> Iterator[Group]:
        ranking = RowRanking(row.text(columns["annotator"], NAME), **preference(-1))
        completions = [
            (row.text(columns[side]), row.text(columns[f"policy_{side}"], "")) for side in ("chosen", "rejected")
        ]
        messages = [Message("user", row.text(columns["prompt"]))]
        return ranked_group(messages, completions, [ranking], left_out, source, row.text(columns["category"], ""))

    csv = path.name.lower().removesuffix(".gz").endswith(".csv")
    rows = csv_rows(path, str(path)) if csv else read_rows(path)
    return read_groups(path, left_out, tuple(columns.values()), groups_of, rows)

"""Rows of a CSV file that somebody else wrote: a header, then a row a record, commas between and UTF-8."""

import csv
from collections.abc import Iterator
from pathlib import Path

from label_data.errors import InputError
from label_data.files.lines_in import read_lines
from label_data.files.rows_in import MOST_VALUES, Row, listed


def csv_rows(path: Path, name: str) -> Iterator[Row]:
    """Yield the rows under the header, an empty cell as no field; a cell may have 131,072 characters.

    Raises InputError, with the line, at what is no sound CSV.
    """
    reader = csv.reader(_csv_lines(path, name), strict=True)
    header: list[str] = []
    rows = 0
    try:
        for cells in reader:
            where = f"{name}, line {reader.line_num}"
            if not header:
                header = [cell.strip() for cell in cells]
                if len(set(header)) < len(header):
                    raise InputError(f"{where}: found two columns of one name among {listed(header)}. Rename one.")
                if len(header) == 1 and any(sign in cells[0] for sign in ";\t"):
                    raise InputError(
                        f"{where}: found no comma among {listed(header)}. Save the table with commas between columns."
                    )
            elif cells:
                if len(cells) != len(header):
                    raise InputError(
                        f"{where}: found {len(cells)} cells under {len(header)} columns. "
                        "Put quotes around a cell that holds a comma or a line end."
                    )
                rows += 1
                yield Row(where, {column: cell for column, cell in zip(header, cells, strict=True) if cell})
    except csv.Error as error:
        raise InputError(f"{name}, line {reader.line_num}: found no sound CSV ({error}). Mend the row.") from None
    if not rows:
        raise InputError(f"{name}: found no row under the columns {listed(header)}. Check that it was written whole.")


def _csv_lines(path: Path, name: str) -> Iterator[str]:
    for number, line in read_lines(path, name):
        if line.count(",") > MOST_VALUES:
            raise InputError(f"{name}, line {number}: found more than {MOST_VALUES:,} commas. Write shorter rows.")
        yield line

"""Rows of a CSV file from outside: a header, one record a row, commas between cells, UTF-8."""

import csv
from collections.abc import Generator, Iterator
from pathlib import Path

from label_data.files.lines_in import read_lines
from label_data.files.places import at_line, fault
from label_data.files.rows_in import MAX_VALUES, Row, listed
from label_data.sentences import say


def csv_rows(path: Path, name: str) -> Generator[Row, None, None]:
    """Yield the rows below the header; an empty cell counts as a missing field.

    A cell may have 131,072 characters. Raises InputError, with the line, at invalid CSV.
    """
    reader = csv.reader(_csv_lines(path, name), strict=True)
    header: list[str] = []
    rows = 0
    try:
        for cells in reader:
            where = at_line(name, reader.line_num)
            if not header:
                header = [cell.strip() for cell in cells]
                if len(set(header)) < len(header):
                    raise fault(where, say("label_data.files.csv_columns_twice", names=listed(header)))
                if len(header) == 1 and any(separator in cells[0] for separator in ";\t"):
                    raise fault(where, say("label_data.files.csv_no_comma", names=listed(header)))
            elif cells:
                if len(cells) != len(header):
                    raise fault(where, say("label_data.files.csv_cells", cells=len(cells), columns=len(header)))
                rows += 1
                yield Row(where, {column: cell for column, cell in zip(header, cells, strict=True) if cell})
    except csv.Error as error:
        raise fault(at_line(name, reader.line_num), say("label_data.files.csv_invalid", error=str(error))) from None
    if not rows:
        raise fault(name, say("label_data.files.csv_empty", names=listed(header)))


def _csv_lines(path: Path, name: str) -> Iterator[str]:
    for number, line in read_lines(path, name):
        if line.count(",") > MAX_VALUES:
            raise fault(at_line(name, number), say("label_data.files.csv_commas", limit=MAX_VALUES))
        yield line

"""Places in a file: "pairs.jsonl, line 3, field prompt", and the errors that name them."""

from types import TracebackType

from label_data.errors import InputError
from label_data.sentences import Sentence, say


def at_line(file: str, line: int) -> Sentence:
    """Return the place of a line, from 1."""
    return say("label_data.files.line", file=file, line=line)


def at_row(file: str, row: int) -> Sentence:
    """Return the place of a row of a Parquet file, from 1."""
    return say("label_data.files.row", file=file, row=row)


def at_element(file: str, element: int) -> Sentence:
    """Return the place of an element of a JSON list, from 1."""
    return say("label_data.files.element", file=file, element=element)


def after_line(file: str, line: int) -> Sentence:
    """Return the place after the last line that could be read; 0 is the start of the file."""
    return say("label_data.files.after_line", file=file, line=line)


def after_row(file: str, row: int) -> Sentence:
    """Return the place after the last row that could be read; 0 is the start of the file."""
    return say("label_data.files.after_row", file=file, row=row)


def after_element(file: str, element: int) -> Sentence:
    """Return the place after the last whole element; 0 is the start of the list."""
    return say("label_data.files.after_element", file=file, element=element)


def fault(where: Sentence | str, problem: Sentence, field: str = "") -> InputError:
    """Return the error that names the place, and the field if there is one, and then the problem.

    `where` is a text if it is only the name of a file.
    """
    if field:
        return InputError("label_data.files.in_field", where=where, field=field, problem=problem)
    return InputError("label_data.files.at", where=where, problem=problem)


class located:  # noqa: N801 - reads as what it does; contextlib's takes three times as long, and a row needs three
    """Put the place in front of the message of an InputError raised inside, unless the error names that place."""

    __slots__ = ("_field", "_where")

    def __init__(self, where: Sentence, field: str = "") -> None:
        self._where, self._field = where, field

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if isinstance(error, InputError) and error.values.get("where") != self._where:
            raise fault(self._where, error.sentence, self._field) from None

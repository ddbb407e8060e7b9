"""What one writer asked of the store and was told: a file of its own, on the disk before and after each call."""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from label_data.canonical import canonical


@dataclass(slots=True)
class Call:
    """One call: all that it takes to make it again, and what came of it."""

    what: str
    fields: dict[str, Any]
    by: str
    answers: list[Any] = field(default_factory=list)
    """What the store said; empty as long as nobody knows whether it was done."""
    refused: str = ""
    """The InputError's message."""

    @property
    def is_in_doubt(self) -> bool:
        """Was neither an answer nor a refusal heard?"""
        return not self.answers and not self.refused


class History:
    """The calls of one writer, in order; those of its earlier lives, which were killed, are read again."""

    def __init__(self, path: Path, annotator: str) -> None:
        self.calls = calls_in(path.read_bytes()) if path.exists() else []
        self.folder = path.parent
        self._annotator = annotator
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def asks(self, what: str, fields: dict[str, Any]) -> Call:
        """Write down what is asked next."""
        call = Call(what, fields, self._annotator)
        self.calls.append(call)
        self._write({"asks": what, "fields": fields, "by": self._annotator})
        return call

    def was_told(self, answer: Any) -> None:
        """Write down what the last call was answered; only the first answer is heard."""
        if self.calls[-1].is_in_doubt:
            self.calls[-1].answers.append(answer)
            self._write({"told": answer})

    def was_refused(self, why: str) -> None:
        """Write down that the last call was refused."""
        self.calls[-1].refused = why
        self._write({"refused": why})

    def _write(self, line: dict[str, Any]) -> None:
        os.write(self._file, f"{canonical(line)}\n".encode())
        os.fsync(self._file)


def calls_in(content: bytes) -> list[Call]:
    """Return the calls that a history's content tells of; a last line without an end was not written whole."""
    calls: list[Call] = []
    for line in content.split(b"\n")[:-1]:
        said = json.loads(line)
        if "asks" in said:
            calls.append(Call(said["asks"], said["fields"], said["by"]))
        elif "told" in said:
            calls[-1].answers.append(said["told"])
        else:
            calls[-1].refused = said["refused"]
    return calls


def histories_in(folder: Path) -> Sequence[Call]:
    """Return the calls of all writers that kept their histories in the folder."""
    return [call for path in sorted(folder.glob("*.history")) for call in calls_in(path.read_bytes())]

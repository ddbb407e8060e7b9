"""The history of one writer: a file with its calls and their results, synced before and after each call."""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from label_data.canonical import canonical


@dataclass(slots=True)
class Call:
    """One call: what is needed to repeat it, and its result."""

    what: str
    fields: dict[str, Any]
    by: str
    answers: list[Any] = field(default_factory=list)
    """Results of the call; empty while it is unknown whether it took effect."""
    refused: str = ""
    """Message of the InputError."""

    @property
    def is_in_doubt(self) -> bool:
        """Say whether the call had neither an answer nor a refusal."""
        return not self.answers and not self.refused


class History:
    """The calls of one writer in order, including those of its earlier, killed lives."""

    def __init__(self, path: Path, annotator: str) -> None:
        self.calls = calls_in(path.read_bytes()) if path.exists() else []
        self.folder = path.parent
        self._annotator = annotator
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def asks(self, label: str, fields: dict[str, Any]) -> Call:
        """Record the next call."""
        call = Call(label, fields, self._annotator)
        self.calls.append(call)
        self._write({"asks": label, "fields": fields, "by": self._annotator})
        return call

    def was_told(self, answer: Any) -> None:
        """Record the answer to the last call; only the first answer counts."""
        if self.calls[-1].is_in_doubt:
            self.calls[-1].answers.append(answer)
            self._write({"told": answer})

    def was_refused(self, why: str) -> None:
        """Record that the last call was refused."""
        self.calls[-1].refused = why
        self._write({"refused": why})

    def _write(self, line: dict[str, Any]) -> None:
        os.write(self._file, f"{canonical(line)}\n".encode())
        os.fsync(self._file)


def calls_in(content: bytes) -> list[Call]:
    """Return the calls in the content of a history; a last line without a line end is incomplete and ignored."""
    calls: list[Call] = []
    for line in content.split(b"\n")[:-1]:
        entry = json.loads(line)
        if "asks" in entry:
            calls.append(Call(entry["asks"], entry["fields"], entry["by"]))
        elif "told" in entry:
            calls[-1].answers.append(entry["told"])
        else:
            calls[-1].refused = entry["refused"]
    return calls


def histories_in(folder: Path) -> Sequence[Call]:
    """Return the calls of all writers whose histories are in the folder."""
    return [call for path in sorted(folder.glob("*.history")) for call in calls_in(path.read_bytes())]

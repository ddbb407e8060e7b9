"""Logs: a JSON object a line, with no text of a prompt or completion and no secret in it.

    {"time": "2026-01-02T03:04:05.678Z", "level": "INFO", "logger": "workbench.worker", "event": "job started",
     "job": "5f…", "kind": "sample"}

An error is its kind and its frames: what it says may quote a prompt, and SQLAlchemy's the values of a statement.
"""

import json
import logging
import os
import traceback
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from label_data.data_folder import data_folder

TAIL_BYTES = 512 * 1024
"""Read from the end of a log: the lines of a job that ended long ago are not looked for."""
_OWN = set(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}


class JsonLines(logging.Formatter):
    """Writes a record as one line; `extra` fields become fields."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, without its end."""
        time = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        line: dict[str, Any] = {"time": time, "level": record.levelname, "logger": record.name}
        line["event"] = record.getMessage()
        line |= {name: value for name, value in record.__dict__.items() if name not in _OWN}
        if record.exc_info and record.exc_info[0] is not None:
            kind, _, frames = record.exc_info
            line |= {"error": kind.__name__, "frames": [frame.strip() for frame in traceback.format_tb(frames)]}
        return json.dumps(line, ensure_ascii=False, default=str)


def log_as_json() -> None:
    """Let every logger of this process that there is write such lines to standard error, warnings and worse.

    Streamlit and uvicorn give theirs handlers of their own, which write an error with all that it says. Libraries that
    load or convert networks would draw bars between the lines: they are told not to, if they are imported later.
    """
    os.environ.setdefault("TQDM_DISABLE", "1")
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines())
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    for logger in logging.root.manager.loggerDict.values():
        if isinstance(logger, logging.Logger):
            logger.handlers.clear()
            logger.propagate = True


def job_lines(job: str, limit: int = 100) -> list[dict[str, Any]]:
    """Return the last lines about the job in the log of this data folder's worker, oldest first; none without a log.

    Lines that are no JSON, such as those of a library that writes for itself, are left out.
    """
    return [line for line in _objects(data_folder() / "worker.log") if line.get("job") == job][-limit:]


def _objects(path: Path) -> list[dict[str, Any]]:
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - TAIL_BYTES))
            lines = file.read().decode(errors="replace").splitlines()
    except FileNotFoundError:
        return []
    found = []
    for line in lines:
        try:
            value = json.loads(line)
        except ValueError:
            continue
        if isinstance(value, dict):
            found.append(value)
    return found

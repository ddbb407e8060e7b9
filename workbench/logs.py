"""Write and read the logs: one JSON object per line, without texts of prompts or completions and without secrets.

    {"time": "2026-01-02T03:04:05.678Z", "level": "INFO", "logger": "workbench.worker", "event": "job started",
     "job": "5f…", "kind": "sample"}

An error is logged as its type and stack frames. Its message is left out: it may quote a prompt, and SQLAlchemy's
messages quote the values of a statement.
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
"""How much of the end of a log is read. Lines of jobs that ended long ago are not searched."""
_OWN = set(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}


class JsonLines(logging.Formatter):
    """Formats a record as one JSON line. Fields passed as `extra` become fields of the object."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, without a line break."""
        time = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        line: dict[str, Any] = {"time": time, "level": record.levelname, "logger": record.name}
        line["event"] = record.getMessage()
        line |= {name: value for name, value in record.__dict__.items() if name not in _OWN}
        if record.exc_info and record.exc_info[0] is not None:
            kind, _, frames = record.exc_info
            line |= {"error": kind.__name__, "frames": [frame.strip() for frame in traceback.format_tb(frames)]}
        return json.dumps(line, ensure_ascii=False, default=str)


def log_as_json() -> None:
    """Make every existing logger of this process write JSON lines to standard error, from level WARNING up.

    Streamlit's and uvicorn's loggers have handlers of their own, which would log error messages in full: these handlers
    are removed. Progress bars are switched off in libraries that are imported later.
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
    """Return the last log lines of a job of this data folder's worker, oldest first; an empty list without a log.

    Lines that are not JSON, such as those a library prints, are skipped.
    """
    return [line for line in _objects(data_folder() / "worker.log") if line.get("job") == job][-limit:]


def _objects(path: Path) -> list[dict[str, Any]]:
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - TAIL_BYTES))
            lines = file.read().decode(errors="replace").splitlines()
    except FileNotFoundError:
        return []
    objects = []
    for line in lines:
        try:
            value = json.loads(line)
        except ValueError:
            continue
        if isinstance(value, dict):
            objects.append(value)
    return objects

"""Logs have one JSON object per line, with stack frames but without texts of people or models."""

import json
import logging
import subprocess
import sys

import pytest

from workbench.logs import JsonLines, job_lines


def line_of(**values):
    return json.loads(JsonLines().format(logging.makeLogRecord({"created": 1_767_323_045.678} | values)))


def test_a_line_has_time_level_logger_and_event():
    assert line_of(levelname="WARNING", name="workbench.worker", msg="%d jobs", args=(3,)) == {
        "time": "2026-01-02T03:04:05.678Z",
        "level": "WARNING",
        "logger": "workbench.worker",
        "event": "3 jobs",
    }


def test_extra_values_are_fields_of_their_own():
    line = line_of(msg="job started", job="5f", kind="sample")
    assert (line["event"], line["job"], line["kind"]) == ("job started", "5f", "sample")


def test_an_event_with_line_breaks_is_one_line_of_the_log():
    assert "\n" not in JsonLines().format(logging.makeLogRecord({"msg": "one\ntwo"}))


def test_an_error_is_logged_as_type_and_frames_without_its_message():
    """SQLAlchemy's messages hold the values of a statement, json's the text that could not be parsed."""
    text = "a private text"
    try:
        raise ValueError(f"could not insert\n[parameters: ({text!r},)]")
    except ValueError:
        record = logging.makeLogRecord({"msg": "job failed", "exc_info": sys.exc_info()})
    line = json.loads(JsonLines().format(record))
    assert line["error"] == "ValueError"
    assert "test_an_error_is_logged" in line["frames"][0]
    assert text not in json.dumps(line)


def test_every_logger_of_a_process_writes_json_lines_including_streamlits():
    """Streamlit's loggers have handlers of their own, which write errors in full."""
    program = """
import logging, streamlit.logger
from workbench.logs import log_as_json
theirs, silent = streamlit.logger.get_logger("streamlit.x"), logging.getLogger("library")
log_as_json()
silent.info("Not this.")
silent.warning("This.")
try:
    raise KeyError("a private text")
except KeyError as error:
    theirs.error("Uncaught app execution", exc_info=error)
"""
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    lines = [json.loads(line) for line in ran.stderr.splitlines()]
    assert [(line["logger"], line["event"]) for line in lines] == [
        ("library", "This."),
        ("streamlit.x", "Uncaught app execution"),
    ]
    assert lines[1]["error"] == "KeyError"
    assert "private" not in ran.stderr


def test_no_library_draws_a_progress_bar_into_the_log():
    program = """
from workbench.logs import log_as_json
log_as_json()
from tqdm.auto import tqdm
from transformers.utils import logging
assert [list(bar(range(3))) for bar in (tqdm, logging.tqdm)] == [[0, 1, 2]] * 2
"""
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ran.stderr == ""


@pytest.fixture
def log(tmp_path, monkeypatch):
    monkeypatch.setenv("WORKBENCH_DATA", str(tmp_path))
    return tmp_path / "worker.log"


def test_without_a_log_a_job_has_no_lines(log):
    assert job_lines("a") == []


def test_the_lines_of_a_job_are_selected_and_lines_that_are_not_json_are_skipped(log):
    lines = [json.dumps({"event": number, "job": "ab"[number % 2]}) for number in range(6)]
    log.write_text("\n".join(["Traceback (most recent call last):", *lines, "[1, 2]", '{"event": 9, "jo']))
    assert [line["event"] for line in job_lines("a")] == [0, 2, 4]
    assert [line["event"] for line in job_lines("a", limit=2)] == [2, 4]


def test_only_the_end_of_a_long_log_is_read(log):
    early, late = (json.dumps({"event": when, "job": "a"}) for when in ("early", "late"))
    log.write_text(f"{early}\n{'x' * 600_000}\n{late}\n")
    assert [line["event"] for line in job_lines("a")] == ["late"]

"""List the training runs of this data folder and choose the current one. Reads the runs' folders, loads no model."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from label_data.data_folder import data_folder
from label_data.files.whole import replacing
from reward.file_names import LOG_FILE, PROVENANCE_FILE, REPORT_FILE, SETTINGS_FILE, UNFINISHED
from reward.report.report import Report, read_report

CURRENT = "current"
"""Folder with one file per project whose current run was chosen by hand; the file holds the run's name.

The choice is a file beside the runs, not a row in the store, because runs are folders on this machine: a store may
serve several machines, each with its own runs, and a copy of the folder includes the choice. Every process reads the
file anew. There is one file per project, replaced as a whole, so that two people who choose for two projects at once do
not overwrite each other.
"""
ID_LENGTH = 8
"""How many characters of the job's id the name of its run ends with."""


@dataclass(frozen=True, slots=True)
class Run:
    """A trained reward model."""

    folder: Path
    report: Report
    project: str | None
    """The project it was trained on; None if the folder, of an earlier version, does not say."""

    @property
    def when(self) -> str:
        """When training started (UTC, to the minute); the folder's name if it does not start with a time."""
        day, _, time = self.folder.name.partition("-")
        if not (day + time[:4]).isdigit() or len(day) != 8:
            return self.folder.name
        return f"{day[:4]}-{day[4:6]}-{day[6:]} {time[:2]}:{time[2:4]}"

    @property
    def method(self) -> str:
        """The training method: head, top, lora or full."""
        return self.report.tuning.method if self.report.tuning else "head"

    @property
    def is_good(self) -> bool:
        """Whether it beats its best baseline significantly on its held-out comparisons."""
        held_out = self.report.held_out
        return held_out is not None and held_out.over_baseline.low > 0


def runs(project: str) -> list[Run]:
    """Return the project's runs, and those whose project is unknown, newest first."""
    reports = sorted(_folder().glob(f"*/{REPORT_FILE}"), reverse=True)
    all_runs = (Run(path.parent, read_report(path.parent), _project(path.parent)) for path in reports)
    return [run for run in all_runs if run.project in (project, None)]


def _folder() -> Path:
    return data_folder() / "runs"


def _project(folder: Path) -> str | None:
    try:
        provenance = json.loads((folder / PROVENANCE_FILE).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    project: str | None = provenance.get("project")
    return project


def new_run(job: str) -> Path:
    """Return the folder for the model that this job trains."""
    return _folder() / f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{job[:ID_LENGTH]}"


def unfinished_run(job: str) -> Path | None:
    """Return the folder for the model of a job that was interrupted; None if the job left nothing to resume."""
    unfinished = next(_folder().glob(f"*-{job[:ID_LENGTH]}{UNFINISHED}"), None)
    return None if unfinished is None else unfinished.with_name(unfinished.name.removesuffix(UNFINISHED))


def unfinished_runs(project: str) -> list[Path]:
    """Return the folders of the project's unfinished runs, which hold their checkpoints, oldest first."""
    folders = []
    for folder in sorted(_folder().glob(f"*{UNFINISHED}")):
        try:
            settings = json.loads((folder / SETTINGS_FILE).read_text(encoding="utf-8"))
        except FileNotFoundError:  # the run finishes, or is deleted, at this moment
            continue
        if settings["project"] == project:
            folders.append(folder)
    return folders


# The current run


def current_run(project: str, all_runs: list[Run]) -> Run | None:
    """Return the run that the project uses: the run chosen by hand, else the newest good run, else the newest run.

    `all_runs` is the result of `runs`.
    """
    chosen = chosen_run(project)
    for run in all_runs:
        if run.folder.name == chosen:
            return run
    return next((run for run in all_runs if run.is_good), None) or next(iter(all_runs), None)


def chosen_run(project: str) -> str | None:
    """Return the name of the run that a person set as the project's current run, or None."""
    try:
        return (_folder() / CURRENT / project).read_text(encoding="utf-8")
    except FileNotFoundError:
        return None


def choose_run(project: str, run: Run | None) -> None:
    """Set the project's current run; with None, use the newest good run again.

    Raises InputError if the disk is full; the previous choice then stays.
    """
    path = _folder() / CURRENT / project
    if run is None:
        path.unlink(missing_ok=True)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as file:
        file.write(run.folder.name.encode())


# Training logs


def log_of(folder: Path) -> list[dict[str, Any]]:
    """Return the lines of a run's log, finished or not; an empty list before the first step, or if it has no steps."""
    for place in (folder.with_name(folder.name + UNFINISHED), folder):
        try:  # checking first is not enough: the unfinished folder disappears when training ends
            lines = (place / LOG_FILE).read_text(encoding="utf-8").splitlines(keepends=True)
        except FileNotFoundError:
            continue
        return [json.loads(line) for line in lines if line.endswith("\n")]
    return []

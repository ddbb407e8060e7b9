"""The reward models trained in this data folder, as pages list them: what lies in their folders, no model loaded."""

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
"""Folder with a file for each project in which a person chose the current run: in it, that run's name.

A file beside the runs and no row in the store, because runs are folders on this machine: a store may serve several
machines with runs of their own, and a copy of the folder takes the choice with it. Every process reads it anew. One
file a project, replaced as a whole: two people who choose for two projects at once do not undo one another.
"""
ID_LENGTH = 8
"""Characters of a job's id that the name of its run ends with."""


@dataclass(frozen=True, slots=True)
class Run:
    """One trained reward model."""

    folder: Path
    report: Report
    project: str | None
    """Whose rankings it learned from; None if its folder does not say, as of old."""

    @property
    def when(self) -> str:
        """When its training began, to the minute, UTC; the folder's name if that says nothing of it."""
        day, _, time = self.folder.name.partition("-")
        if not (day + time[:4]).isdigit() or len(day) != 8:
            return self.folder.name
        return f"{day[:4]}-{day[4:6]}-{day[6:]} {time[:2]}:{time[2:4]}"

    @property
    def method(self) -> str:
        """How it was trained: head, top, lora or full."""
        return self.report.tuning.method if self.report.tuning else "head"

    @property
    def is_good(self) -> bool:
        """Is it better than its best baseline, as far as its held-out comparisons can tell?"""
        held_out = self.report.held_out
        return held_out is not None and held_out.over_baseline.low > 0


def runs(project: str) -> list[Run]:
    """Return the models trained for the project, or for who knows which, newest first."""
    reports = sorted(_folder().glob(f"*/{REPORT_FILE}"), reverse=True)
    found = (Run(path.parent, read_report(path.parent), _project(path.parent)) for path in reports)
    return [run for run in found if run.project in (project, None)]


def _folder() -> Path:
    return data_folder() / "runs"


def _project(folder: Path) -> str | None:
    try:
        return json.loads((folder / PROVENANCE_FILE).read_text(encoding="utf-8")).get("project")
    except FileNotFoundError:
        return None


def new_run(job: str) -> Path:
    """Return the folder that the training of this job is to make."""
    return _folder() / f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{job[:ID_LENGTH]}"


def unfinished_run(job: str) -> Path | None:
    """Return the folder that the training of this job was to make when it was cut off, if it left anything."""
    found = next(_folder().glob(f"*-{job[:ID_LENGTH]}{UNFINISHED}"), None)
    return None if found is None else found.with_name(found.name.removesuffix(UNFINISHED))


def unfinished_runs(project: str) -> list[Path]:
    """Return the folders of the project's runs that did not finish, checkpoints and all, oldest first."""
    found = []
    for folder in sorted(_folder().glob(f"*{UNFINISHED}")):
        try:
            said = json.loads((folder / SETTINGS_FILE).read_text(encoding="utf-8"))
        except FileNotFoundError:  # it ends, or is removed, at this moment
            continue
        if said["project"] == project:
            found.append(folder)
    return found


# The current one


def current_run(project: str, made: list[Run]) -> Run | None:
    """Return the run that the project uses: the one a person chose, else the newest good one, else the newest.

    `made`: what `runs` returned.
    """
    chosen = chosen_run(project)
    by_choice = (run for run in made if run.folder.name == chosen)
    return next(by_choice, None) or next((run for run in made if run.is_good), None) or next(iter(made), None)


def chosen_run(project: str) -> str | None:
    """Return the name of the run that a person made the project's current one, or None."""
    try:
        return (_folder() / CURRENT / project).read_text(encoding="utf-8")
    except FileNotFoundError:
        return None


def choose_run(project: str, run: Run | None) -> None:
    """Make the run the project's current one, until another is chosen; with None, the newest good one again.

    Raises InputError if the disk does not take it; the choice before stays.
    """
    path = _folder() / CURRENT / project
    if run is None:
        path.unlink(missing_ok=True)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as file:
        file.write(run.folder.name.encode())


# Training as it goes


def log_of(folder: Path) -> list[dict[str, Any]]:
    """Return the lines of the log of a run, finished or not; none before its first step, or if it has no steps."""
    for place in (folder.with_name(folder.name + UNFINISHED), folder):
        try:  # asking first would not do: training that ends takes the unfinished folder away
            lines = (place / LOG_FILE).read_text(encoding="utf-8").splitlines(keepends=True)
        except FileNotFoundError:
            continue
        return [json.loads(line) for line in lines if line.endswith("\n")]
    return []

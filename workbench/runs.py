"""The reward models trained in this data folder, as pages list them: their reports, no model loaded."""

from dataclasses import dataclass
from pathlib import Path

from label_data.data_folder import data_folder
from reward.evaluate import REPORT_FILE, Report, read_report


@dataclass(frozen=True, slots=True)
class Run:
    """One trained reward model."""

    folder: Path
    report: Report

    @property
    def when(self) -> str:
        """When its training began, to the minute, UTC."""
        day, time, _ = self.folder.name.split("-")
        return f"{day[:4]}-{day[4:6]}-{day[6:]} {time[:2]}:{time[2:4]}"


def runs() -> list[Run]:
    """Return the trained models, newest first."""
    reports = sorted((data_folder() / "runs").glob(f"*/{REPORT_FILE}"), reverse=True)
    return [Run(path.parent, read_report(path.parent)) for path in reports]

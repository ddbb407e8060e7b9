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
    def label(self) -> str:
        """How a list names it: when it was trained, and how good it is as far as that is known."""
        day, time, _ = self.folder.name.split("-")
        when = f"{day[:4]}-{day[4:6]}-{day[6:]} {time[:2]}:{time[2:4]} UTC"
        held_out = self.report.held_out
        if held_out is None:
            return f"{when}, {self.report.counts.train_prompts:,} prompts, accuracy unknown"
        model = held_out.accuracy
        return (
            f"{when}, {self.report.counts.train_prompts:,} prompts, "
            f"accuracy {model.value:.3f} ({model.low:.3f} to {model.high:.3f})"
        )


def runs() -> list[Run]:
    """Return the trained models, newest first."""
    reports = sorted((data_folder() / "runs").glob(f"*/{REPORT_FILE}"), reverse=True)
    return [Run(path.parent, read_report(path.parent)) for path in reports]

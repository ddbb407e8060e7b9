"""The two plots of a report, as SVG that is legible on light and dark pages."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from label_data.sentences import say
from reward.report.report import HeldOut, Report

GREY, BLUE = "#808080", "#3b82c4"
CALIBRATION_FILE, LEARNING_CURVE_FILE = "calibration.svg", "learning_curve.svg"


@contextmanager
def plot_style() -> Iterator[None]:
    """Draw in grey without a background, so that the same report gives the same file on every machine."""
    with matplotlib.rc_context(
        {
            "svg.hashsalt": "reward",  # the same report gives the same ids
            "axes.edgecolor": GREY,
            "axes.labelcolor": GREY,
            "xtick.color": GREY,
            "ytick.color": GREY,
            "text.color": GREY,
            "font.size": 11,
            "axes.spines.top": False,
            "axes.spines.right": False,
        }
    ):
        yield


def write_plots(report: Report, folder: Path) -> list[Path]:
    """Draw the plots that the report has numbers for into the folder; return the files."""
    files = []
    with plot_style():
        if report.held_out is not None and report.held_out.bins:
            files.append(calibration_plot(report.held_out, folder / CALIBRATION_FILE))
        if report.curve:
            files.append(_save(_learning_curve(report), folder / LEARNING_CURVE_FILE))
    return files


def calibration_plot(held_out: HeldOut, path: Path) -> Path:
    """Draw the observed accuracy against the predicted probability; return the file."""
    figure, axes = _figure()
    bins = held_out.bins
    axes.plot([0.5, 1], [0.5, 1], color=GREY, linestyle="--", linewidth=1)
    axes.plot([each.confidence for each in bins], [each.accuracy for each in bins], "o-", color=BLUE)
    axes.set(xlim=(0.48, 1.02), ylim=(-0.02, 1.02))
    axes.set_xlabel(str(say("reward.report.confidence")))
    axes.set_ylabel(str(say("reward.report.observed_accuracy")))
    axes.set_title(str(say("reward.report.calibration", comparisons=held_out.accuracy.count)), fontsize=11)
    return _save(figure, path)


def _learning_curve(report: Report) -> Figure:
    figure, axes = _figure()
    prompts = [point.train_prompts for point in report.curve]
    accuracies = [point.accuracy for point in report.curve]
    lows, highs = [accuracy.low for accuracy in accuracies], [accuracy.high for accuracy in accuracies]
    axes.fill_between(prompts, lows, highs, color=BLUE, alpha=0.2, lw=0)
    axes.plot(prompts, [accuracy.value for accuracy in accuracies], "o-", color=BLUE)
    axes.axhline(0.5, color=GREY, linestyle="--", linewidth=1)
    axes.set(xlim=(0, None))
    axes.set_xlabel(str(say("reward.report.train_prompts")))
    axes.set_ylabel(str(say("reward.report.held_out_accuracy")))
    axes.set_title(str(say("reward.report.learning_curve")), fontsize=11)
    return figure


def _figure() -> tuple[Figure, Axes]:
    figure = Figure(figsize=(5.2, 3.4), layout="constrained")
    return figure, figure.add_subplot()


def _save(figure: Figure, path: Path) -> Path:
    figure.savefig(path, transparent=True, metadata={"Date": None})
    return path

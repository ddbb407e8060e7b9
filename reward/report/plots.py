"""The two plots of a report, as SVG that reads on a light page and on a dark one."""

from pathlib import Path

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from reward.report.report import HeldOut, Report

GREY, BLUE = "#808080", "#3b82c4"
STYLE = {
    "svg.hashsalt": "reward",  # the same report gives the same file
    "axes.edgecolor": GREY,
    "axes.labelcolor": GREY,
    "xtick.color": GREY,
    "ytick.color": GREY,
    "text.color": GREY,
    "font.size": 11,
    "axes.spines.top": False,
    "axes.spines.right": False,
}
CALIBRATION_FILE, LEARNING_CURVE_FILE = "calibration.svg", "learning_curve.svg"


def write_plots(report: Report, folder: Path) -> list[Path]:
    """Draw what the report has numbers for into the folder; return the files."""
    drawn = []
    with matplotlib.rc_context(STYLE):
        if report.held_out is not None and report.held_out.bins:
            drawn.append(calibration_plot(report.held_out, folder / CALIBRATION_FILE))
        if report.curve:
            drawn.append(_saved(_learning_curve(report), folder / LEARNING_CURVE_FILE))
    return drawn


def calibration_plot(held_out: HeldOut, path: Path) -> Path:
    """Draw how often the model was right against how sure it was."""
    figure, axes = _figure()
    bins = held_out.bins
    axes.plot([0.5, 1], [0.5, 1], color=GREY, linestyle="--", linewidth=1)
    axes.plot([one.confidence for one in bins], [one.accuracy for one in bins], "o-", color=BLUE)
    axes.set(xlabel="probability the model gave", ylabel="share it got right", xlim=(0.48, 1.02), ylim=(-0.02, 1.02))
    axes.set_title(f"Calibration, {held_out.accuracy.count:,} comparisons", fontsize=11)
    return _saved(figure, path)


def _learning_curve(report: Report) -> Figure:
    figure, axes = _figure()
    prompts = [point.train_prompts for point in report.curve]
    found = [point.accuracy for point in report.curve]
    axes.fill_between(prompts, [one.low for one in found], [one.high for one in found], color=BLUE, alpha=0.2, lw=0)
    axes.plot(prompts, [one.value for one in found], "o-", color=BLUE)
    axes.axhline(0.5, color=GREY, linestyle="--", linewidth=1)
    axes.set(xlabel="training prompts", ylabel="held-out accuracy", xlim=(0, None))
    axes.set_title("Learning curve, with 95 % intervals", fontsize=11)
    return figure


def _figure() -> tuple[Figure, Axes]:
    figure = Figure(figsize=(5.2, 3.4), layout="constrained")
    return figure, figure.add_subplot()


def _saved(figure: Figure, path: Path) -> Path:
    figure.savefig(path, transparent=True, metadata={"Date": None})
    return path

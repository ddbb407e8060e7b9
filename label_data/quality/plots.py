"""Draw the plots of a quality report as SVG files that are legible on light and on dark pages."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from label_data.files.whole import replacing
from label_data.intervals import Estimate
from label_data.quality.bias import Bias
from label_data.quality.report import Quality
from label_data.sentences import Sentence, say

GREY, BLUE = "#808080", "#3b82c4"
# Any: the names of matplotlib's parameters are literals that are not exported.
STYLE: dict[Any, Any] = {
    "svg.hashsalt": "quality",  # the same report gives the same file
    "axes.edgecolor": GREY,
    "axes.labelcolor": GREY,
    "xtick.color": GREY,
    "ytick.color": GREY,
    "text.color": GREY,
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
}
Draw = Callable[[Figure], bool]
"""Draws into the figure, and returns whether there was anything to draw."""
MOST_ROWS = 40
"""Annotators in a plot: those with the most judgements. The tables have all."""


def write_plots(report: Quality, folder: Path) -> list[tuple[Sentence, Path]]:
    """Draw every plot that has data into the folder; return (title, file) in the order of the report."""
    overall_speed = report.speeds[""].seconds.value if "" in report.speeds else float("nan")
    share, by_annotator = say("label_data.quality.axis_share"), report.by_annotator
    plots = [
        (
            "agreement",
            say("label_data.quality.plot_agreement"),
            _forest(
                {name: own.alpha for name, own in by_annotator.items()},
                say("label_data.quality.axis_alpha"),
                report.agreement.alpha.value,
            ),
        ),
        (
            "position",
            say("label_data.quality.plot_position"),
            _forest(_rates(report.position.by_annotator), share, 0.5),
        ),
        ("places", say("label_data.quality.plot_places"), _places(report.places)),
        ("length", say("label_data.quality.plot_length"), _forest(_rates(report.length.by_annotator), share, 0.5)),
        (
            "speed",
            say("label_data.quality.plot_speed"),
            _forest(
                {name: own.seconds for name, own in report.speeds.items() if name},
                say("label_data.quality.axis_seconds"),
                overall_speed,
                logarithmic=True,
            ),
        ),
        (
            "leaderboard",
            say("label_data.quality.plot_leaderboard"),
            _forest(
                {standing.policy: standing.strength for standing in report.leaderboard.standings},
                say("label_data.quality.axis_strength"),
                0.0,
            ),
        ),
        ("wins", say("label_data.quality.plot_wins"), _wins(report)),
    ]
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    with matplotlib.rc_context(STYLE):
        for name, title, draw in plots:
            figure = Figure(layout="constrained")
            if draw(figure):
                path = folder / f"{name}.svg"
                with replacing(path) as file:
                    figure.savefig(file, format="svg", transparent=True, metadata={"Date": None})
                written.append((title, path))
    return written


def _rates(biases: Mapping[str, Bias]) -> dict[str, Estimate]:
    return {name: bias.rate for name, bias in biases.items()}


def _forest(rows: Mapping[str, Estimate], label: Sentence, line: float, logarithmic: bool = False) -> Draw:
    """Return a forest plot: a point with its interval per row, highest value on top, and a line for comparison."""

    def draw(figure: Figure) -> bool:
        known = {name: estimate for name, estimate in rows.items() if np.isfinite(estimate.value)}
        most = sorted(known, key=lambda name: -known[name].count)[:MOST_ROWS]
        names = sorted(most, key=lambda name: known[name].value)
        if not names:
            return False
        figure.set_size_inches(6, 1.2 + 0.24 * len(names))
        axes = figure.add_subplot()
        for row, name in enumerate(names):
            estimate = known[name]
            if np.isfinite(estimate.low):
                axes.plot([estimate.low, estimate.high], [row, row], color=BLUE, linewidth=1.5)
            axes.plot(estimate.value, row, "o", color=BLUE, markersize=5)
        if np.isfinite(line):
            axes.axvline(line, color=GREY, linestyle="--", linewidth=1)
        axes.set_yticks(range(len(names)), [_shortened(name) + f" ({known[name].count:,})" for name in names])
        axes.set(xlabel=str(label), ylim=(-0.7, len(names) - 0.3))
        if logarithmic:
            axes.set_xscale("log")
        if len(known) > len(names):
            title = say("label_data.quality.plot_most", shown=len(names), total=len(known))
            axes.set_title(str(title), fontsize=9)
        return True

    return draw


def _places(places: Mapping[tuple[int, int], Estimate]) -> Draw:
    """Return a plot of the mean rank by place, one line per number of completions shown."""

    def draw(figure: Figure) -> bool:
        sizes = sorted({size for size, _ in places})
        if not sizes:
            return False
        figure.set_size_inches(6, 3)
        axes = figure.add_subplot()
        for size, marker in zip(sizes, "os^DvP*X", strict=False):
            ranks = {
                place: rank for (shown, place), rank in places.items() if shown == size and np.isfinite(rank.value)
            }
            x = np.array(list(ranks)) + 0.06 * (size - np.mean(sizes))
            label = str(say("label_data.quality.legend_shown", shown=size))
            axes.plot(x, [rank.value for rank in ranks.values()], marker + "-", color=BLUE, label=label)
            axes.vlines(x, [rank.low for rank in ranks.values()], [rank.high for rank in ranks.values()], color=BLUE)
        axes.axhline(0.5, color=GREY, linestyle="--", linewidth=1)
        axes.set(xlabel=str(say("label_data.quality.axis_place")), ylabel=str(say("label_data.quality.axis_rank")))
        axes.set_xticks(range(1, max(sizes) + 1))
        axes.legend(frameon=False)
        return True

    return draw


def _wins(report: Quality) -> Draw:
    """Return a heat map of the share that the row won of its pairs with the column, a tie counting half."""

    def draw(figure: Figure) -> bool:
        board = report.leaderboard
        if not board.standings:
            return False
        pairs = board.wins + board.wins.T + board.ties
        with np.errstate(invalid="ignore"):
            share = (board.wins + board.ties / 2) / pairs
        names = [_shortened(standing.policy) for standing in board.standings]
        figure.set_size_inches(2.5 + 0.6 * len(names), 1.8 + 0.5 * len(names))
        axes = figure.add_subplot()
        axes.imshow(share, cmap="RdBu", vmin=0, vmax=1, alpha=0.75)
        for row, column in _cells(len(names)):
            if pairs[row, column]:
                text = f"{share[row, column]:.2f}\n{int(pairs[row, column]):,}"
                axes.text(column, row, text, ha="center", va="center", fontsize=8, color="black")
        axes.set_xticks(range(len(names)), names, rotation=45, ha="right")
        axes.set_yticks(range(len(names)), names)
        axes.set(xlabel=str(say("label_data.quality.axis_against")), ylabel=str(say("label_data.quality.head_won")))
        return True

    return draw


def _cells(size: int) -> Iterable[tuple[int, int]]:
    return ((row, column) for row in range(size) for column in range(size) if row != column)


def _shortened(name: str) -> str:
    """Return at most 24 characters of the name, without what a plot would typeset as mathematics."""
    plain = name.replace("$", "")
    return plain if len(plain) <= 24 else plain[:23] + "…"

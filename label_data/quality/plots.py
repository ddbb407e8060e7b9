"""The plots of a quality report: one shape for each question, as SVG that reads on a light page and on a dark one."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from label_data.files.whole import replacing
from label_data.intervals import Estimate
from label_data.quality.bias import Leaning
from label_data.quality.report import Quality

GREY, BLUE = "#808080", "#3b82c4"
STYLE = {
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
"""Draws into the figure and says whether there was anything to draw."""
MOST_ROWS = 40
"""Annotators drawn, those with the most judgements; the tables have all."""


def write_plots(found: Quality, folder: Path) -> list[tuple[str, Path]]:
    """Draw what there are numbers for into the folder; return (what it shows, file), in the order of the report."""
    drawn = [
        (
            "agreement",
            "Agreement of each annotator with the others (line: all together)",
            _forest(
                {name: one.alpha for name, one in found.by_annotator.items()},
                "Krippendorff's alpha; 1 perfect, 0 chance",
                found.agreement.alpha.value,
            ),
        ),
        (
            "position",
            "How often the completion shown earlier wins (line: no leaning)",
            _forest(_rates(found.position.by_annotator), "share of preferences", 0.5),
        ),
        ("places", "Mean rank of each place shown (line: no leaning)", _places(found.places)),
        (
            "length",
            "How often the longer completion wins (line: no leaning)",
            _forest(_rates(found.length.by_annotator), "share of preferences", 0.5),
        ),
        (
            "speed",
            "Pace of each annotator (line: everybody)",
            _forest(
                {name: one.seconds for name, one in found.speeds.items() if name},
                "seconds for 1,000 characters, logarithmic",
                found.speeds[""].seconds.value if "" in found.speeds else float("nan"),
                logarithmic=True,
            ),
        ),
        (
            "leaderboard",
            "Policies by Bradley-Terry (line: the average policy)",
            _forest(
                {one.policy: one.strength for one in found.leaderboard.standings}, "log-odds against the average", 0.0
            ),
        ),
        ("wins", "Who beats whom: share won of each two policies' pairs, a tie half", _wins(found)),
    ]
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    with matplotlib.rc_context(STYLE):
        for name, title, draw in drawn:
            figure = Figure(layout="constrained")
            if draw(figure):
                path = folder / f"{name}.svg"
                with replacing(path) as file:
                    figure.savefig(file, format="svg", transparent=True, metadata={"Date": None})
                written.append((title, path))
    return written


def _rates(leanings: Mapping[str, Leaning]) -> dict[str, Estimate]:
    return {name: one.rate for name, one in leanings.items()}


def _forest(rows: Mapping[str, Estimate], label: str, line: float, logarithmic: bool = False) -> Draw:
    """Return what draws a point and an interval a row, lowest value at the bottom."""

    def draw(figure: Figure) -> bool:
        known = {name: one for name, one in rows.items() if np.isfinite(one.value)}
        most = sorted(known, key=lambda name: -known[name].count)[:MOST_ROWS]
        names = sorted(most, key=lambda name: known[name].value)
        if not names:
            return False
        figure.set_size_inches(6, 1.2 + 0.24 * len(names))
        axes = figure.add_subplot()
        for at, name in enumerate(names):
            one = known[name]
            if np.isfinite(one.low):
                axes.plot([one.low, one.high], [at, at], color=BLUE, linewidth=1.5)
            axes.plot(one.value, at, "o", color=BLUE, markersize=5)
        if np.isfinite(line):
            axes.axvline(line, color=GREY, linestyle="--", linewidth=1)
        axes.set_yticks(range(len(names)), [_shortened(name) + f" ({known[name].count:,})" for name in names])
        axes.set(xlabel=label, ylim=(-0.7, len(names) - 0.3))
        if logarithmic:
            axes.set_xscale("log")
        if len(known) > len(names):
            axes.set_title(f"{len(names)} of {len(known)}: those with the most judgements", fontsize=9)
        return True

    return draw


def _places(places: Mapping[tuple[int, int], Estimate]) -> Draw:
    def draw(figure: Figure) -> bool:
        sizes = sorted({size for size, _ in places})
        if not sizes:
            return False
        figure.set_size_inches(6, 3)
        axes = figure.add_subplot()
        for size, marker in zip(sizes, "os^DvP*X", strict=False):
            of_size = {place: one for (shown, place), one in places.items() if shown == size and np.isfinite(one.value)}
            at = np.array(list(of_size)) + 0.06 * (size - np.mean(sizes))
            axes.plot(at, [one.value for one in of_size.values()], marker + "-", color=BLUE, label=f"{size} shown")
            axes.vlines(at, [one.low for one in of_size.values()], [one.high for one in of_size.values()], color=BLUE)
        axes.axhline(0.5, color=GREY, linestyle="--", linewidth=1)
        axes.set(xlabel="place on the screen", ylabel="mean rank, 0 best, 1 worst")
        axes.set_xticks(range(1, max(sizes) + 1))
        axes.legend(frameon=False)
        return True

    return draw


def _wins(found: Quality) -> Draw:
    def draw(figure: Figure) -> bool:
        board = found.leaderboard
        if not board.standings:
            return False
        pairs = board.wins + board.wins.T + board.ties
        with np.errstate(invalid="ignore"):
            share = (board.wins + board.ties / 2) / pairs
        names = [_shortened(one.policy) for one in board.standings]
        figure.set_size_inches(2.5 + 0.6 * len(names), 1.8 + 0.5 * len(names))
        axes = figure.add_subplot()
        axes.imshow(share, cmap="RdBu", vmin=0, vmax=1, alpha=0.75)
        for row, column in _cells(len(names)):
            if pairs[row, column]:
                text = f"{share[row, column]:.2f}\n{int(pairs[row, column]):,}"
                axes.text(column, row, text, ha="center", va="center", fontsize=8, color="black")
        axes.set_xticks(range(len(names)), names, rotation=45, ha="right")
        axes.set_yticks(range(len(names)), names)
        axes.set(xlabel="against", ylabel="share won")
        return True

    return draw


def _cells(size: int) -> Iterable[tuple[int, int]]:
    return ((row, column) for row in range(size) for column in range(size) if row != column)


def _shortened(name: str) -> str:
    """Return the name without what a plot would read as mathematics, at most 24 characters of it."""
    plain = name.replace("$", "")
    return plain if len(plain) <= 24 else plain[:23] + "…"

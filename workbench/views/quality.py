"""How much to believe the rankings, as a person looks at it: what to do, the shapes, and the numbers behind them.

Only the points of a plot are told to screen readers, each with its numbers; lines and spans say nothing of their own.
"""

import math
from collections.abc import Mapping
from typing import Any

import altair as alt
import pandas as pd
import streamlit as st

from label_data.intervals import Estimate
from label_data.quality.agreement import Ceiling
from label_data.quality.bias import Leanings
from label_data.quality.leaderboard import Leaderboard
from label_data.quality.page import EVERYBODY, tables
from label_data.quality.report import Quality
from workbench.rendering import literal
from workbench.web.session import localised, words
from workbench.wording import filled

MOST_ROWS = 40
"""Annotators or policies that a plot draws, those with the most judgements; the tables have all."""
ROW = 26
"""Pixels of a row of a plot; an axis and its title take `AXIS` more."""
AXIS = 60
SHARE = alt.Scale(domain=[0, 1])

Names = Mapping[str, str]
"""Annotator -> the name to show."""


def show_quality(found: Quality, names: Names, model: Estimate | None = None) -> None:
    """Show the whole report: a few numbers, what to do, plots, and every table behind.

    `model`: accuracy of the reward model that the project uses, to be held against the best possible one's.
    """
    says = words("quality")
    show_numbers(found)
    st.subheader(says["to_do"])
    if not found.findings:
        st.success(says["nothing"])
    for one in found.findings:
        about = literal(names.get(one.about, one.about)) if one.about else says["everybody"]
        st.markdown(f"- **{about}**: {localised(one.what)} **{localised(one.todo)}**")
    beside = [] if model is None else [(says["plot_titles"]["model"], model_plot(found.ceiling, model))]
    plots = [plot for plot in [*beside, *plots_of(found, names)] if plot[1] is not None]
    if plots:
        st.subheader(says["plots"])
    for start in range(0, len(plots), 2):
        for column, (title, plot) in zip(st.columns(2), plots[start : start + 2], strict=False):
            column.markdown(f"**{title}**")
            column.altair_chart(plot, width="stretch")
    show_leaderboard(found.leaderboard)
    st.subheader(says["tables"])
    show_tables(found, names)
    for reason, times in found.left_out.most_common():
        st.caption(filled(words("export")["left_out"], count=f"{times:,}", reason=literal(reason)))


def show_numbers(found: Quality) -> None:
    """Show the numbers that everything else explains."""
    says, counts, ceiling = words("quality"), found.counts, found.ceiling
    first, second, third, fourth = st.columns(4)
    first.metric(says["rankings"], f"{counts['rankings']:,}", border=True)
    decided, alpha = found.agreement.decided, found.agreement.alpha
    second.metric(says["same_side"], share(decided.value), border=True, help=says["same_side_help"])
    third.metric(says["alpha"], number(alpha.value), border=True, help=says["alpha_help"])
    between = says["unknown"] if math.isnan(ceiling.low) else f"{ceiling.low:.0%} – {ceiling.high:.0%}"
    fourth.metric(says["ceiling"], between, border=True, help=says["ceiling_help"])
    told = {name: f"{counts[key]:,}" for name, key in COUNTS.items()}
    st.caption(filled(says["counts"], **told))
    if unseen := counts["rankings of no known order shown"]:
        st.caption(filled(says["unseen_order"], unseen=f"{unseen:,}", rankings=f"{counts['rankings']:,}"))
    if decided.count:
        intervals = {"same": interval(decided, "%"), "alpha": interval(alpha), "count": f"{decided.count:,}"}
        st.caption(filled(says["intervals"], **intervals, prompts=f"{decided.prompts:,}"))


COUNTS = {
    "prompts": "prompts",
    "annotators": "annotators",
    "pairs": "judged pairs",
    "tied": "tied pairs",
    "meetings": "meetings of two annotators on a pair",
}
"""Placeholder of the sentence -> count of the report."""


def number(value: float) -> str:
    """Return a measure with two digits, or that there is none."""
    return words("quality")["unknown"] if math.isnan(value) else f"{value:.2f}"


def share(value: float) -> str:
    """Return a rate as a percentage, or that there is none."""
    return words("quality")["unknown"] if math.isnan(value) else f"{value:.0%}"


def interval(one: Estimate, unit: str = "") -> str:
    """Return the ends of an interval, or that there are too few prompts for one."""
    if math.isnan(one.low):
        return words("quality")["cells"]["too few prompts"]
    low, high = (f"{end:.0%}" if unit else f"{end:.2f}" for end in (one.low, one.high))
    return filled(words("report")["to"], low=low, high=high)


# Plots


def plots_of(found: Quality, names: Names) -> list[tuple[str, alt.Chart | alt.LayerChart | None]]:
    """Return every plot with its title; None where there is nothing to draw."""
    axes, titles = words("quality")["axes"], words("quality")["plot_titles"]

    def people(rows: Mapping[str, Estimate]) -> dict[str, Estimate]:
        return {names.get(name, name): one for name, one in rows.items() if name}

    def rates(leanings: Leanings) -> dict[str, Estimate]:
        return people({name: one.rate for name, one in leanings.by_annotator.items()})

    agreement = people({name: one.alpha for name, one in found.by_annotator.items()})
    again = people({name: one.decided for name, one in found.self_consistency.items()})
    right = {name: one.right for name, one in found.reliability.items()}
    pace = people({name: one.seconds for name, one in found.speeds.items()})
    usual = found.speeds[""].seconds.value if "" in found.speeds else math.nan
    return [
        (titles["agreement"], forest(agreement, axes["alpha"], found.agreement.alpha.value)),
        (titles["reliability"], forest(people(right), axes["right"], 0.5, SHARE)),
        (titles["position"], forest(rates(found.position), axes["share"], 0.5, SHARE)),
        (titles["places"], places_plot(found.places)),
        (titles["length"], forest(rates(found.length), axes["share"], 0.5, SHARE)),
        (titles["markup"], forest(rates(found.markup), axes["share"], 0.5, SHARE)),
        (titles["speed"], forest(pace, axes["seconds"], usual, alt.Scale(type="log"))),
        (titles["again"], forest(again, axes["same"], 0.5, SHARE)),
        (titles["gold"], forest(people(found.gold), axes["right"], 0.5, SHARE)),
    ]


def forest(
    rows: Mapping[str, Estimate], axis: str, line: float, scale: alt.Scale | None = None
) -> alt.LayerChart | None:
    """Return a point with its interval a row, highest value on top, and a line to hold them against; None if empty."""
    says = words("quality")
    known = {name: one for name, one in rows.items() if math.isfinite(one.value)}
    most = sorted(known, key=lambda name: -known[name].count)[:MOST_ROWS]
    if not most:
        return None
    frame = pd.DataFrame(
        [
            {
                "name": name,
                "value": known[name].value,
                "low": known[name].value if math.isnan(known[name].low) else known[name].low,
                "high": known[name].value if math.isnan(known[name].high) else known[name].high,
                "interval": interval(known[name]),
                "count": known[name].count,
                "prompts": known[name].prompts,
            }
            for name in sorted(most, key=lambda name: -known[name].value)
        ]
    )
    scale = scale or alt.Scale(zero=False)
    base = alt.Chart(frame, height=ROW * len(frame) + AXIS).encode(
        y=alt.Y("name:N", sort=list(frame["name"]), title=None, axis=alt.Axis(labelLimit=180, labelOverlap=False))
    )
    tooltip = [
        alt.Tooltip("name:N", title=says["name"]),
        alt.Tooltip("value:Q", title=axis, format=".3f"),
        alt.Tooltip("interval:N", title=words("report")["interval"]),
        alt.Tooltip("count:Q", title=says["count"]),
        alt.Tooltip("prompts:Q", title=words("report")["prompts"]),
    ]
    span = base.mark_rule(size=3, opacity=0.4, aria=False).encode(
        x=alt.X("low:Q", scale=scale, title=axis), x2="high:Q"
    )
    dots = base.mark_point(filled=True, size=80, opacity=1).encode(x="value:Q", tooltip=tooltip)
    if math.isnan(line):
        return span + dots
    rule = alt.Chart(pd.DataFrame({"x": [line]})).mark_rule(strokeDash=[4, 4], opacity=0.6, aria=False).encode(x="x:Q")
    return rule + span + dots


def model_plot(ceiling: Ceiling, model: Estimate) -> alt.LayerChart | None:
    """Return the model's accuracy with its interval above what the best possible model could have; None if unknown."""
    if math.isnan(ceiling.low) or math.isnan(model.value):
        return None
    says, of_report = words("quality"), words("report")
    best = ceiling.low if math.isnan(ceiling.high) else ceiling.high
    frame = pd.DataFrame(
        [
            {"name": of_report["model"], "value": model.value, "low": model.low, "high": model.high},
            {"name": says["ceiling"], "value": math.nan, "low": ceiling.low, "high": best},
        ]
    )
    frame["interval"] = [
        filled(of_report["to"], low=f"{low:.0%}", high=f"{high:.0%}") for low, high in frame[["low", "high"]].to_numpy()
    ]
    frame["count"] = [f"{model.count:,}", ""]
    axis = of_report["accuracy"]
    base = alt.Chart(frame, height=ROW * 2 + AXIS).encode(
        y=alt.Y("name:N", sort=list(frame["name"]), title=None, axis=alt.Axis(labelLimit=180))
    )
    tooltip = [
        alt.Tooltip("name:N", title=says["name"]),
        alt.Tooltip("value:Q", title=axis, format=".3f"),
        alt.Tooltip("interval:N", title=of_report["interval"]),
        alt.Tooltip("count:N", title=of_report["comparisons"]),
    ]
    scale = alt.Scale(domain=[min(0.5, float(frame["low"].min())), 1])
    span = base.mark_rule(size=8, opacity=0.4).encode(
        x=alt.X("low:Q", scale=scale, title=axis), x2="high:Q", tooltip=tooltip
    )
    dots = (
        base.transform_filter("isValid(datum.value)")
        .mark_point(filled=True, size=80, opacity=1)
        .encode(x="value:Q", tooltip=tooltip)
    )
    coin = alt.Chart(pd.DataFrame({"x": [0.5]})).mark_rule(strokeDash=[4, 4], opacity=0.6, aria=False).encode(x="x:Q")
    return coin + span + dots


def places_plot(places: Mapping[tuple[int, int], Estimate]) -> alt.LayerChart | None:
    """Return the mean rank of what was shown at each place, a line for each number of completions shown."""
    says = words("quality")
    frame = pd.DataFrame(
        [
            {"place": place, "of": str(k), "value": one.value, "low": one.low, "high": one.high, "count": one.count}
            for (k, place), one in places.items()
            if math.isfinite(one.value)
        ]
    )
    if frame.empty:
        return None
    base = alt.Chart(frame, height=ROW * 6 + AXIS).encode(
        x=alt.X("place:O", title=says["axes"]["place"], axis=alt.Axis(labelAngle=0)),
        color=alt.Color("of:N", title=says["axes"]["of"]),
    )
    spans = base.mark_rule(size=3, opacity=0.4, aria=False).encode(
        y=alt.Y("low:Q", title=says["axes"]["rank"], scale=SHARE), y2="high:Q"
    )
    tooltip = ["place", "of", alt.Tooltip("value:Q", format=".3f"), "count"]
    points = base.mark_line(point=True).encode(y="value:Q", tooltip=tooltip)
    half = alt.Chart(pd.DataFrame({"y": [0.5]})).mark_rule(strokeDash=[4, 4], opacity=0.6, aria=False).encode(y="y:Q")
    return half + spans + points


# Policies


def show_leaderboard(board: Leaderboard) -> None:
    """Show which policy is preferred: strengths with intervals, and who beat whom."""
    says = words("quality")
    st.subheader(says["leaderboard"])
    if not board.standings:
        st.info(says["no_policies"])
        return
    st.caption(says["leaderboard_help"])
    strengths, matrix = st.columns(2)
    with strengths:
        st.markdown(says["strengths"])
        rows = {one.policy: one.strength for one in board.standings}
        plot = forest(rows, says["axes"]["strength"], 0.0)
        if plot is not None:
            st.altair_chart(plot, width="stretch")
    with matrix:
        st.markdown(says["matrix"])
        st.altair_chart(win_matrix(board), width="stretch")
    columns = says["standing_columns"]
    st.dataframe(
        [
            {
                columns["policy"]: one.policy,
                columns["strength"]: f"{one.strength.value:+.2f} ({interval(one.strength)})",
                columns["against_average"]: share(one.against_average),
                columns["wins"]: f"{share(one.wins.value)} ({interval(one.wins, '%')})",
                columns["ties"]: f"{share(one.ties.value)} ({interval(one.ties, '%')})",
                columns["pairs"]: one.strength.count,
                columns["prompts"]: one.strength.prompts,
            }
            for one in board.standings
        ],
        hide_index=True,
        width="stretch",
    )


def win_matrix(board: Leaderboard) -> alt.LayerChart:
    """Return who beat whom as a heat map: the share of the two policies' pairs that the row won, a tie half."""
    axes, names = words("quality")["axes"], [one.policy for one in board.standings[:MOST_ROWS]]
    cells: list[dict[str, Any]] = []
    for row, name in enumerate(names):
        for column, other in enumerate(names):
            ties = board.ties[row, column]
            pairs = board.wins[row, column] + board.wins[column, row] + ties
            if pairs:
                won = (board.wins[row, column] + ties / 2) / pairs
                counted = {"wins": int(board.wins[row, column]), "ties": int(ties), "pairs": int(pairs)}
                cells.append({"row": name, "column": other, "won": won, "shown": f"{won:.0%}", **counted})
    base = alt.Chart(pd.DataFrame(cells), height=ROW * len(names) + 3 * AXIS).encode(
        x=alt.X("column:N", sort=names, title=axes["loser"], axis=alt.Axis(labelLimit=120, labelOverlap=False)),
        y=alt.Y("row:N", sort=names, title=axes["winner"], axis=alt.Axis(labelLimit=120, labelOverlap=False)),
    )
    colour = alt.Color("won:Q", scale=alt.Scale(scheme="blueorange", domain=[1, 0]), legend=None)
    tooltip = [
        alt.Tooltip("row:N", title=axes["winner"]),
        alt.Tooltip("column:N", title=axes["loser"]),
        alt.Tooltip("shown:N", title=axes["won"]),
        *(alt.Tooltip(f"{name}:Q", title=axes[name]) for name in ("wins", "ties", "pairs")),
    ]
    squares = base.mark_rect().encode(color=colour, tooltip=tooltip)
    dark = alt.condition("datum.won > 0.8 || datum.won < 0.2", alt.value("white"), alt.value("black"))
    return squares + base.mark_text(fontSize=11, aria=False).encode(text="shown:N", color=dark)


# Tables


def show_tables(found: Quality, names: Names) -> None:
    """Show every table of the report, closed: each number with its interval and what it is counted on."""
    says = words("quality")
    cells = says["cells"]
    for table in tables(found):
        with st.expander(says["table_titles"][table.title]):
            head = [says["heads"].get(name, name) or " " for name in table.head]
            rows = [[_named(row[0], names, cells), *(cells.get(cell, cell) for cell in row[1:])] for row in table.rows]
            frame = pd.DataFrame(rows, columns=pd.Index(_distinct(head)))
            st.dataframe(frame, hide_index=True, width="stretch")


def _named(cell: str, names: Names, cells: Mapping[str, str]) -> str:
    """Return the first cell of a row as people know it: an annotator's name, two of them, or words of the report."""
    if cell == EVERYBODY or cell in cells:
        return cells[cell]
    return " / ".join(names.get(part, part) for part in cell.split(" / "))


def _distinct(head: list[str]) -> list[str]:
    """Return headings of which none is there twice, as a table of them must: policies may be named like a heading."""
    return [name if name not in head[:place] else f"{name} ({place})" for place, name in enumerate(head)]

"""Show a quality report: key figures, recommendations, plots, and tables.

Screen readers get only the points of a plot, each with its numbers; lines and intervals repeat the same information.
"""

import math
from collections.abc import Mapping
from typing import Any

import altair as alt
import pandas as pd
import streamlit as st

from label_data.intervals import Estimate
from label_data.quality.agreement import Ceiling
from label_data.quality.bias import BiasByAnnotator
from label_data.quality.leaderboard import Leaderboard
from label_data.quality.page import Cell, about, tables
from label_data.quality.report import Quality
from label_data.sentences import Sentence, say
from workbench.rendering import literal
from workbench.views.export import show_left_out
from workbench.web.session import language, localised, words
from workbench.wording import filled

MOST_ROWS = 40
"""Annotators or policies in a plot, those with the most comparisons; the tables have all of them."""
ROW = 26
"""Height of a plot's row in pixels; an axis and its title take `AXIS` more."""
AXIS = 60
SHARE = alt.Scale(domain=[0, 1])

Names = Mapping[str, str]
"""Annotator -> the name to show."""


def show_quality(report: Quality, names: Names, model: Estimate | None = None) -> None:
    """Show the whole report: key figures, recommendations, plots, and all tables.

    Args:
        report: on the project's rankings.
        names: annotator -> the name to show.
        model: held-out accuracy of the project's current reward model, shown beside the human ceiling.
    """
    says = words("quality")
    show_key_figures(report)
    st.subheader(_text(say("label_data.quality.recommendations")))
    if not report.findings:
        st.success(_text(say("label_data.quality.no_findings")))
    for finding in report.findings:
        who = literal(_named(about(finding.about), names))
        st.markdown(f"- **{who}**: {localised(finding.measurement)} **{localised(finding.recommendation)}**")
    plots = annotator_plots(report, names)
    if model is not None:
        plots.insert(0, (says["plot_titles"]["model"], model_plot(report.ceiling, model)))
    plots = [(title, plot) for title, plot in plots if plot is not None]
    if plots:
        st.subheader(says["plots"])
    for start in range(0, len(plots), 2):
        for column, (title, plot) in zip(st.columns(2), plots[start : start + 2], strict=False):
            column.markdown(f"**{title}**")
            if plot is not None:
                column.altair_chart(plot, width="stretch")
    show_leaderboard(report.leaderboard)
    st.subheader(says["tables"])
    show_tables(report, names)
    show_left_out(report.left_out)


def show_key_figures(report: Quality) -> None:
    """Show the number of rankings, the agreement of annotators, and the human ceiling."""
    says, counts, ceiling = words("quality"), report.counts, report.ceiling
    first, second, third, fourth = st.columns(4)
    first.metric(says["rankings"], f"{counts['rankings']:,}", border=True)
    decided, alpha = report.agreement.decided, report.agreement.alpha
    second.metric(says["same_side"], share(decided.value), border=True, help=says["same_side_help"])
    third.metric(says["alpha"], number(alpha.value), border=True, help=says["alpha_help"])
    ceiling_text = says["unknown"] if math.isnan(ceiling.low) else f"{ceiling.low:.0%} – {ceiling.high:.0%}"
    fourth.metric(says["ceiling"], ceiling_text, border=True, help=says["ceiling_help"])
    numbers = {name: f"{counts[key]:,}" for name, key in COUNTS.items()}
    st.caption(filled(says["counts"], **numbers))
    if report.unknown_order is not None:
        st.caption(localised(report.unknown_order))
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
"""Placeholder of the wording -> name of the count in the report."""


def number(value: float) -> str:
    """Return a measure with two digits, or the word for unknown."""
    return _unknown() if math.isnan(value) else f"{value:.2f}"


def share(value: float) -> str:
    """Return a rate as a percentage, or the word for unknown."""
    return _unknown() if math.isnan(value) else f"{value:.0%}"


def _unknown() -> str:
    return str(words("quality")["unknown"])


def interval(estimate: Estimate, unit: str = "") -> str:
    """Return the ends of an interval, or that there are too few prompts for an interval."""
    if math.isnan(estimate.low):
        return _text(say("label_data.quality.too_few_prompts"))
    low, high = (f"{end:.0%}" if unit else f"{end:.2f}" for end in (estimate.low, estimate.high))
    return filled(words("quality")["to"], low=low, high=high)


# Plots


def annotator_plots(report: Quality, names: Names) -> list[tuple[str, alt.Chart | alt.LayerChart | None]]:
    """Return the plots by annotator with their titles; None where there is nothing to draw."""
    axes, titles = words("quality")["axes"], words("quality")["plot_titles"]

    def people(rows: Mapping[str, Estimate]) -> dict[str, Estimate]:
        return {names.get(name, name): estimate for name, estimate in rows.items() if name}

    def rates(biases: BiasByAnnotator) -> dict[str, Estimate]:
        return people({name: row.rate for name, row in biases.by_annotator.items()})

    agreement = people({name: row.alpha for name, row in report.by_annotator.items()})
    self_agreement = people({name: row.decided for name, row in report.self_consistency.items()})
    reliability = {name: row.right for name, row in report.reliability.items()}
    pace = people({name: row.seconds for name, row in report.speeds.items()})
    usual = report.speeds[""].seconds.value if "" in report.speeds else math.nan
    alpha, preferred = _text(say("label_data.quality.axis_alpha")), _text(say("label_data.quality.axis_share"))
    seconds = _text(say("label_data.quality.axis_seconds"))
    return [
        (_text(say("label_data.quality.plot_agreement")), forest(agreement, alpha, report.agreement.alpha.value)),
        (titles["reliability"], forest(people(reliability), axes["right"], 0.5, SHARE)),
        (_text(say("label_data.quality.plot_position")), forest(rates(report.position), preferred, 0.5, SHARE)),
        (_text(say("label_data.quality.plot_places")), positions_plot(report.places)),
        (_text(say("label_data.quality.plot_length")), forest(rates(report.length), preferred, 0.5, SHARE)),
        (titles["markup"], forest(rates(report.markup), preferred, 0.5, SHARE)),
        (_text(say("label_data.quality.plot_speed")), forest(pace, seconds, usual, alt.Scale(type="log"))),
        (titles["again"], forest(self_agreement, axes["same"], 0.5, SHARE)),
        (titles["gold"], forest(people(report.gold), axes["right"], 0.5, SHARE)),
    ]


def forest(
    rows: Mapping[str, Estimate], axis: str, line: float, scale: alt.Scale | None = None
) -> alt.LayerChart | None:
    """Return a forest plot: a row per name with its value and interval, highest first. None if there are no rows.

    `line`: a reference value, drawn as a line unless it is NaN.
    """
    says = words("quality")
    known = {name: estimate for name, estimate in rows.items() if math.isfinite(estimate.value)}
    drawn = sorted(known, key=lambda name: -known[name].count)[:MOST_ROWS]
    if not drawn:
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
            for name in sorted(drawn, key=lambda name: -known[name].value)
        ]
    )
    scale = scale or alt.Scale(zero=False)
    base = alt.Chart(frame, height=ROW * len(frame) + AXIS).encode(
        y=alt.Y("name:N", sort=list(frame["name"]), title=None, axis=alt.Axis(labelLimit=180, labelOverlap=False))
    )
    tooltip = [
        alt.Tooltip("name:N", title=says["name"]),
        alt.Tooltip("value:Q", title=axis, format=".3f"),
        alt.Tooltip("interval:N", title=words("quality")["interval"]),
        alt.Tooltip("count:Q", title=says["count"]),
        alt.Tooltip("prompts:Q", title=words("quality")["prompts"]),
    ]
    span = base.mark_rule(size=3, opacity=0.4, aria=False).encode(
        x=alt.X("low:Q", scale=scale, title=axis), x2="high:Q"
    )
    dots = base.mark_point(filled=True, size=80, opacity=1).encode(x="value:Q", tooltip=tooltip)
    if math.isnan(line):
        return alt.LayerChart(layer=[span, dots])
    rule = alt.Chart(pd.DataFrame({"x": [line]})).mark_rule(strokeDash=[4, 4], opacity=0.6, aria=False).encode(x="x:Q")
    return alt.LayerChart(layer=[rule, span, dots])


def model_plot(ceiling: Ceiling, model: Estimate) -> alt.LayerChart | None:
    """Return a plot of the model's accuracy, with its interval, above the human ceiling; None if either is unknown."""
    if math.isnan(ceiling.low) or math.isnan(model.value):
        return None
    says = words("quality")
    best = ceiling.low if math.isnan(ceiling.high) else ceiling.high
    frame = pd.DataFrame(
        [
            {"name": says["model"], "value": model.value, "low": model.low, "high": model.high},
            {"name": says["ceiling"], "value": math.nan, "low": ceiling.low, "high": best},
        ]
    )
    frame["interval"] = [
        filled(says["to"], low=f"{low:.0%}", high=f"{high:.0%}") for low, high in frame[["low", "high"]].to_numpy()
    ]
    frame["count"] = [f"{model.count:,}", ""]
    axis = says["accuracy"]
    base = alt.Chart(frame, height=ROW * 2 + AXIS).encode(
        y=alt.Y("name:N", sort=list(frame["name"]), title=None, axis=alt.Axis(labelLimit=180))
    )
    tooltip = [
        alt.Tooltip("name:N", title=says["name"]),
        alt.Tooltip("value:Q", title=axis, format=".3f"),
        alt.Tooltip("interval:N", title=says["interval"]),
        alt.Tooltip("count:N", title=says["comparisons"]),
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
    chance = alt.Chart(pd.DataFrame({"x": [0.5]})).mark_rule(strokeDash=[4, 4], opacity=0.6, aria=False).encode(x="x:Q")
    return alt.LayerChart(layer=[chance, span, dots])


def positions_plot(ranks: Mapping[tuple[int, int], Estimate]) -> alt.LayerChart | None:
    """Return a plot of the mean rank by display position, with a line for each number of completions shown."""
    says = words("quality")
    frame = pd.DataFrame(
        [
            {
                "position": position,
                "shown": str(k),
                "value": estimate.value,
                "low": estimate.low,
                "high": estimate.high,
                "count": estimate.count,
            }
            for (k, position), estimate in ranks.items()
            if math.isfinite(estimate.value)
        ]
    )
    if frame.empty:
        return None
    base = alt.Chart(frame, height=ROW * 6 + AXIS).encode(
        x=alt.X("position:O", title=_text(say("label_data.quality.axis_place")), axis=alt.Axis(labelAngle=0)),
        color=alt.Color("shown:N", title=says["axes"]["shown"]),
    )
    spans = base.mark_rule(size=3, opacity=0.4, aria=False).encode(
        y=alt.Y("low:Q", title=_text(say("label_data.quality.axis_rank")), scale=SHARE), y2="high:Q"
    )
    tooltip = ["position", "shown", alt.Tooltip("value:Q", format=".3f"), "count"]
    points = base.mark_line(point=True).encode(y="value:Q", tooltip=tooltip)
    middle = alt.Chart(pd.DataFrame({"y": [0.5]})).mark_rule(strokeDash=[4, 4], opacity=0.6, aria=False).encode(y="y:Q")
    return alt.LayerChart(layer=[middle, spans, points])


# Policies


def show_leaderboard(board: Leaderboard) -> None:
    """Show which policy is preferred: strengths with intervals, and the head-to-head matrix."""
    says = words("quality")
    st.subheader(says["leaderboard"])
    if not board.standings:
        st.info(says["no_policies"])
        return
    st.caption(says["leaderboard_help"])
    strengths, matrix = st.columns(2)
    with strengths:
        st.markdown(says["strengths"])
        strengths_by_policy = {standing.policy: standing.strength for standing in board.standings}
        plot = forest(strengths_by_policy, _text(say("label_data.quality.axis_strength")), 0.0)
        if plot is not None:
            st.altair_chart(plot, width="stretch")
    with matrix:
        st.markdown(says["matrix"])
        st.altair_chart(win_matrix(board), width="stretch")
    columns = says["standing_columns"]
    st.dataframe(
        [
            {
                columns["policy"]: standing.policy,
                columns["strength"]: f"{standing.strength.value:+.2f} ({interval(standing.strength)})",
                columns["against_average"]: share(standing.against_average),
                columns["wins"]: f"{share(standing.wins.value)} ({interval(standing.wins, '%')})",
                columns["ties"]: f"{share(standing.ties.value)} ({interval(standing.ties, '%')})",
                columns["pairs"]: standing.strength.count,
                columns["prompts"]: standing.strength.prompts,
            }
            for standing in board.standings
        ],
        hide_index=True,
        width="stretch",
    )


def win_matrix(board: Leaderboard) -> alt.LayerChart:
    """Return the head-to-head matrix as a heat map: the share of two policies' pairs that the row won, a tie half."""
    axes, names = words("quality")["axes"], [standing.policy for standing in board.standings[:MOST_ROWS]]
    cells: list[dict[str, Any]] = []
    for row, name in enumerate(names):
        for column, other in enumerate(names):
            ties = board.ties[row, column]
            pairs = board.wins[row, column] + board.wins[column, row] + ties
            if pairs:
                won = (board.wins[row, column] + ties / 2) / pairs
                tooltip_values = {"wins": int(board.wins[row, column]), "ties": int(ties), "pairs": int(pairs)}
                cells.append({"row": name, "column": other, "won": won, "shown": f"{won:.0%}", **tooltip_values})
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
    text_colour = alt.condition("datum.won > 0.8 || datum.won < 0.2", alt.value("white"), alt.value("black"))
    return alt.LayerChart(
        layer=[squares, base.mark_text(fontSize=11, aria=False).encode(text="shown:N", color=text_colour)]
    )


# Tables


def show_tables(report: Quality, names: Names) -> None:
    """Show every table of the report, collapsed: each number with its interval and its count."""
    for table in tables(report):
        with st.expander(_text(table.title)):
            head = [_text(cell) or " " for cell in table.head]
            rows = [[_named(row[0], names), *map(_text, row[1:])] for row in table.rows]
            frame = pd.DataFrame(rows, columns=pd.Index(_distinct(head)))
            st.dataframe(frame, hide_index=True, width="stretch")


def _text(cell: Cell) -> str:
    """Return the cell in the language of the page."""
    return cell.render(language()) if isinstance(cell, Sentence) else cell


def _named(cell: Cell, names: Names) -> str:
    """Return a cell that names annotators, with the names to show instead of their ids."""
    if isinstance(cell, Sentence):
        return _text(cell)
    return " / ".join(names.get(part, part) for part in cell.split(" / "))


def _distinct(head: list[str]) -> list[str]:
    """Return unique headings, as a table needs them: a policy may have the name of another heading."""
    return [name if name not in head[:index] else f"{name} ({index})" for index, name in enumerate(head)]

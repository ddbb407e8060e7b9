"""Show a quality report: recommendations first, then the plots, and the tables behind them."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from math import isnan
from pathlib import Path

from label_data.files.whole import check_ending, replacing
from label_data.intervals import Estimate
from label_data.quality.agreement import Agreement
from label_data.quality.bias import BiasByAnnotator
from label_data.quality.findings import decimal
from label_data.quality.plots import write_plots
from label_data.quality.report import Quality
from label_data.sentences import Sentence, say

ENDINGS = (".html", ".json")
Cell = str | Sentence
"""A name or number, which is the same in every language, or a sentence."""


@dataclass(frozen=True, slots=True)
class Table:
    """A titled table."""

    title: Sentence
    head: tuple[Cell, ...]
    rows: Sequence[tuple[Cell, ...]]


def write_report(report: Quality, out: Path) -> list[Path]:
    """Write the report to a .html file, with its plots in a folder beside it, or to a .json file; return the files.

    Each file is replaced as a whole, the page itself last.

    Raises:
        InputError: if the file has another ending, or cannot be written.
    """
    check_ending(out, ENDINGS)
    out.parent.mkdir(parents=True, exist_ok=True)
    if out.suffix == ".html":
        plots = write_plots(report, out.with_suffix(".plots"))
        text = _html(report, [(title, path.relative_to(out.parent)) for title, path in plots])
    else:
        plots = []
        text = json.dumps(report.as_dict(), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    with replacing(out) as file:
        file.write(text.encode())
    return [out, *(path for _, path in plots)]


def headline(report: Quality) -> list[Sentence]:
    """Return the report in a few sentences."""
    counts, agreement = report.counts, report.agreement
    decided = agreement.decided
    names = ("prompts", "rankings", "annotators")
    totals = {name: counts[name] for name in names} | {"pairs": counts["judged pairs"], "tied": counts["tied pairs"]}
    sentences = [say("label_data.quality.counts", **totals)]
    if report.unknown_order is not None:
        sentences.append(report.unknown_order)
    if decided.count:
        alpha = {"count": agreement.alpha.count, "prompts": agreement.alpha.prompts}
        ends = {"low": report.ceiling.low, "high": report.ceiling.high}
        sentences += [
            say("label_data.quality.alpha", alpha=decimal(agreement.alpha), **alpha),
            say("label_data.quality.pairwise_agreement", share=decimal(decided), count=decided.count),
            say("label_data.quality.no_ceiling" if isnan(ends["high"]) else "label_data.quality.human_ceiling", **ends),
        ]
    repeats, gold = report.self_consistency[""].decided, report.gold[""]
    if repeats.count:
        sentences.append(say("label_data.quality.self_agreement", share=decimal(repeats), count=repeats.count))
    if gold.count:
        sentences.append(say("label_data.quality.gold_accuracy", share=decimal(gold), count=gold.count))
    for reason, count in report.left_out.most_common():
        sentences.append(say("label_data.quality.left_out", reason=reason, count=count))
    return sentences


def about(annotator: str) -> Cell:
    """Return who a finding or a row is about: the annotator, or all annotators together if the name is empty."""
    return annotator or say("label_data.quality.all_annotators")


# The tables


def tables(report: Quality) -> Iterator[Table]:
    """Yield every table of the report that has rows, in the order of the page."""
    for table in _all_tables(report):
        if table.rows:
            yield table


def _all_tables(report: Quality) -> Iterator[Table]:
    yield _agreements(say("label_data.quality.table_agreement"), {"": report.agreement, **report.by_annotator})
    by_two = {" / ".join(two): agreement for two, agreement in report.by_two.items()}
    yield _agreements(say("label_data.quality.table_by_two"), by_two)
    yield _agreements(say("label_data.quality.table_by_category"), report.by_category)
    yield _agreements(say("label_data.quality.table_by_policy"), report.by_policy)
    repeated = {name: own for name, own in report.self_consistency.items() if own.same.count}
    yield _agreements(say("label_data.quality.table_self_agreement"), repeated)
    gold = {name: accuracy for name, accuracy in report.gold.items() if accuracy.count}
    yield _estimates(say("label_data.quality.table_gold"), gold)
    yield _transitivity(report)
    yield _reliability(report)
    yield _biases(say("label_data.quality.table_position"), report.position)
    yield Table(
        say("label_data.quality.table_places"),
        ("", *VALUE),
        [
            (say("label_data.quality.place", place=place, shown=shown), *_cells(mean))
            for (shown, place), mean in report.places.items()
        ],
    )
    yield _biases(say("label_data.quality.table_length"), report.length)
    yield _biases(say("label_data.quality.table_markup"), report.markup)
    effects = (
        (say("label_data.quality.twice_as_long"), report.pull.length),
        (say("label_data.quality.twice_the_marks"), report.pull.markup),
        (say("label_data.quality.shown_earlier"), report.pull.shown_first),
    )
    rows = [(name, *_cells(effect)) for name, effect in effects if effect.count]
    yield Table(say("label_data.quality.table_effects"), ("", *VALUE), rows)
    timed = {name: speed for name, speed in report.speeds.items() if speed.seconds.count}
    yield _estimates(say("label_data.quality.table_speed"), {name: speed.seconds for name, speed in timed.items()})
    yield _estimates(say("label_data.quality.table_too_fast"), {name: speed.too_fast for name, speed in timed.items()})
    yield _straight_lining(report)
    outcomes = report.outcomes
    ties = {name: own.ties for name, own in outcomes.items() if own.ties.count}
    yield _estimates(say("label_data.quality.table_ties"), ties)
    yield _estimates(say("label_data.quality.table_no_order"), {name: own.no_order for name, own in outcomes.items()})
    yield from _leaderboard(report)


VALUE = (
    say("label_data.quality.head_value"),
    say("label_data.quality.head_interval"),
    say("label_data.quality.head_count"),
    say("label_data.quality.head_prompts"),
)
"""Headings of the cells of an estimate."""


def _number(value: float) -> Cell:
    return say("label_data.quality.no_data") if isnan(value) else f"{value:.3f}"


def _cells(estimate: Estimate) -> tuple[Cell, Cell, Cell, Cell]:
    if isnan(estimate.low):
        interval = say("label_data.quality.too_few_prompts")
    else:
        interval = say("label_data.quality.interval", low=estimate.low, high=estimate.high)
    return _number(estimate.value), interval, f"{estimate.count:,}", f"{estimate.prompts:,}"


def _estimates(title: Sentence, rows: Mapping[str, Estimate]) -> Table:
    return Table(title, ("", *VALUE), [(about(name), *_cells(estimate)) for name, estimate in rows.items()])


def _agreements(title: Sentence, rows: Mapping[str, Agreement]) -> Table:
    head = (
        "",
        "alpha",
        say("label_data.quality.head_alpha_ordered"),
        say("label_data.quality.head_same_answer"),
        say("label_data.quality.head_agreement"),
        "tau-b",
        say("label_data.quality.head_meetings"),
        say("label_data.quality.head_prompts"),
    )
    cells = []
    for name, row in rows.items():
        numbers = (decimal(estimate) for estimate in (row.alpha, row.alpha_ordered, row.same, row.decided, row.tau))
        cells.append((about(name), *numbers, f"{row.same.count:,}", f"{row.same.prompts:,}"))
    return Table(title, head, cells)


def _biases(title: Sentence, biases: BiasByAnnotator) -> Table:
    rows = {"": biases.overall, **biases.by_annotator} if biases.overall.rate.count else {}
    return Table(
        title,
        ("", *VALUE, say("label_data.quality.head_p_no_bias")),
        [(about(name), *_cells(bias.rate), f"{bias.p:.2g}") for name, bias in rows.items()],
    )


def _transitivity(report: Quality) -> Table:
    triples = report.transitivity
    head = ("", *VALUE, say("label_data.quality.head_by_chance"))
    row = ("", *_cells(triples.intransitive), f"{triples.by_chance:.3f}")
    return Table(say("label_data.quality.table_intransitive"), head, [row] if triples.intransitive.count else [])


def _reliability(report: Quality) -> Table:
    head = (
        say("label_data.quality.head_annotator"),
        *VALUE,
        say("label_data.quality.head_tie"),
        say("label_data.quality.head_true_tie"),
        say("label_data.quality.head_weight"),
    )
    rows = []
    for name, own in report.reliability.items():
        rows.append((name, *_cells(own.right), _number(own.tie), _number(own.true_tie), f"{report.weights[name]:.2f}"))
    return Table(say("label_data.quality.table_reliability"), head, rows)


def _straight_lining(report: Quality) -> Table:
    head = (
        say("label_data.quality.head_annotator"),
        *VALUE,
        say("label_data.quality.head_expected"),
        "p",
        say("label_data.quality.head_longest_run"),
        say("label_data.quality.head_run_p"),
    )
    rows = []
    for name, own in report.straight_lines.items():
        tests = f"{own.p:.2g}", str(own.longest_run), f"{own.run_p:.2g}"
        rows.append((name, *_cells(own.unchanged), _number(own.expected), *tests))
    return Table(say("label_data.quality.table_unchanged"), head, rows)


def _leaderboard(report: Quality) -> Iterator[Table]:
    board = report.leaderboard
    names = [standing.policy for standing in board.standings]
    head = (
        say("label_data.quality.head_policy"),
        *VALUE,
        say("label_data.quality.head_against_average"),
        say("label_data.quality.head_won"),
        say("label_data.quality.head_tied"),
    )
    rows: list[tuple[Cell, ...]] = [
        (row.policy, *_cells(row.strength), _number(row.against_average), decimal(row.wins), decimal(row.ties))
        for row in board.standings
    ]
    yield Table(say("label_data.quality.table_policies"), head, rows)
    matrix: list[tuple[Cell, ...]] = []
    for row, name in enumerate(names):
        cells = [f"{board.wins[row, column]:,.0f} / {board.ties[row, column]:,.0f}" for column in range(len(names))]
        cells[row] = ""
        matrix.append((name, *cells))
    yield Table(say("label_data.quality.table_wins"), ("", *names), matrix)


# The page

CSS = """
:root { color-scheme: light dark }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 72rem; margin: 2rem auto; padding: 0 1rem }
table { border-collapse: collapse; font-size: .85rem; font-variant-numeric: tabular-nums }
th, td { text-align: left; padding: .2rem .8rem .2rem 0; border-bottom: 1px solid #8884; vertical-align: top }
figure { display: inline-block; width: 33rem; max-width: 100%; margin: 1rem 1rem 1rem 0; vertical-align: top }
img { max-width: 100% }
.wide { overflow-x: auto } summary { cursor: pointer; margin: .6rem 0; font-weight: 600 }
"""


def _text(cell: Cell) -> str:
    """Return the cell in English, escaped for HTML."""
    return escape(str(cell))


def _html(report: Quality, plots: list[tuple[Sentence, Path]]) -> str:
    title = _text(say("label_data.quality.title"))
    parts = ["<!doctype html>", '<html lang="en">', '<meta charset="utf-8">', f"<title>{title}</title>"]
    parts += [f"<style>{CSS}</style>", f"<h1>{title}</h1>"]
    parts += [f"<p>{_text(sentence)}</p>" for sentence in headline(report)]
    parts.append(f"<h2>{_text(say('label_data.quality.recommendations'))}</h2>")
    parts.append("<ul>" if report.findings else f"<p>{_text(say('label_data.quality.no_findings'))}</p>")
    for finding in report.findings:
        sentences = f"{_text(finding.measurement)} <i>{_text(finding.recommendation)}</i>"
        parts.append(f"<li><b>{_text(about(finding.about))}</b>: {sentences}</li>")
    parts += ["</ul>"] if report.findings else []
    for caption, path in plots:
        image = f'<img src="{escape(path.as_posix())}" alt="{_text(caption)}">'
        parts.append(f"<figure><figcaption>{_text(caption)}</figcaption>{image}</figure>")
    parts.append(f"<h2>{_text(say('label_data.quality.tables'))}</h2>")
    parts.append(f"<p>{_text(say('label_data.quality.intervals'))}</p>")
    for table in tables(report):
        head = "".join(f"<th>{_text(cell)}</th>" for cell in table.head)
        rows = "".join("<tr>" + "".join(f"<td>{_text(cell)}</td>" for cell in row) + "</tr>" for row in table.rows)
        parts.append(
            f'<details><summary>{_text(table.title)}</summary><div class="wide"><table><thead><tr>{head}</tr></thead>'
            f"<tbody>{rows}</tbody></table></div></details>"
        )
    return "\n".join([*parts, "</html>"]) + "\n"

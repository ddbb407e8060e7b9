"""A quality report for people: what to do first, then the plots, and the tables behind them."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from html import escape
from pathlib import Path

from label_data.files.whole import check_ending, replacing
from label_data.intervals import Estimate
from label_data.quality.agreement import Agreement
from label_data.quality.bias import Leanings
from label_data.quality.plots import write_plots
from label_data.quality.report import Quality

EVERYBODY = "all together"
ENDINGS = (".html", ".json")


@dataclass(frozen=True, slots=True)
class Table:
    """A titled table, its cells as text."""

    title: str
    head: tuple[str, ...]
    rows: list[tuple[str, ...]]


def write_report(found: Quality, out: Path) -> list[Path]:
    """Write the report to a .html file, its plots in a folder beside it, or to a .json file; return the files.

    Each file is replaced as a whole, the page itself last.

    Raises:
        InputError: if the name ends otherwise, or the disk or the folder's permissions are in the way.
    """
    check_ending(out, ENDINGS)
    out.parent.mkdir(parents=True, exist_ok=True)
    is_page = out.suffix == ".html"
    plots = write_plots(found, out.with_suffix(".plots")) if is_page else []
    text = _html(found, [(title, path.relative_to(out.parent)) for title, path in plots]) if is_page else _pretty(found)
    with replacing(out) as file:
        file.write(text.encode())
    return [out, *(path for _, path in plots)]


def _pretty(found: Quality) -> str:
    return json.dumps(found.as_dict(), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


# The tables


def tables(found: Quality) -> Iterator[Table]:
    """Yield every table of the report that has rows, in the order of the page."""
    for table in _all_tables(found):
        if table.rows:
            yield table


def _all_tables(found: Quality) -> Iterator[Table]:
    all_of = {"": found.agreement}
    yield _agreements("Agreement", {**all_of, **found.by_annotator})
    yield _agreements("Agreement of every two annotators", {" / ".join(two): one for two, one in found.by_two.items()})
    yield _agreements("Agreement by category", found.by_category)
    yield _agreements("Agreement by policy", found.by_policy)
    again = {name: one for name, one in found.self_consistency.items() if one.same.count}
    yield _agreements("Agreement with oneself, asked again", again)
    right = {name: one for name, one in found.gold.items() if one.count}
    yield _estimates("Gold comparisons ordered rightly", right)
    triples = found.transitivity
    if triples.intransitive.count:
        cells = _cells(triples.intransitive)
        yield Table("Triples that fit no order", ("", *VALUE, "by chance"), [("", *cells, f"{triples.by_chance:.3f}")])
    yield Table(
        "Reliability: probability of the right side",
        ("annotator", *VALUE, "ties a true preference", "ties a true tie", "weight"),
        [
            (name, *_cells(one.right), _number(one.tie), _number(one.true_tie), f"{found.weights[name]:.2f}")
            for name, one in found.reliability.items()
        ],
    )
    yield _leanings("The completion shown earlier wins", found.position)
    yield _estimates(
        "Mean rank by place (0 best, 1 worst)", {f"place {p} of {k}": one for (k, p), one in found.places.items()}
    )
    yield _leanings("The longer completion wins", found.length)
    yield _leanings("The completion with more markdown wins", found.markup)
    pulls = {
        "twice as long": found.pull.length,
        "twice the marks": found.pull.markup,
        "shown earlier": found.pull.shown_first,
    }
    yield _estimates(
        "Log-odds of winning, the others held equal", {name: one for name, one in pulls.items() if one.count}
    )
    timed = {name: one for name, one in found.speeds.items() if one.seconds.count}
    yield _estimates("Seconds for 1,000 characters", {name: one.seconds for name, one in timed.items()})
    yield _estimates("Rankings judged too fast", {name: one.too_fast for name, one in timed.items()})
    yield Table(
        "Rankings left as they were shown",
        ("annotator", *VALUE, "expected", "p", "longest run of a pattern", "p of the run"),
        [
            (
                name,
                *_cells(one.unchanged),
                _number(one.expected),
                f"{one.p:.2g}",
                str(one.longest_run),
                f"{one.run_p:.2g}",
            )
            for name, one in found.straight_lines.items()
        ],
    )
    yield _estimates("Pairs tied", {name: one.ties for name, one in found.outcomes.items() if one.ties.count})
    yield _estimates("Rankings without an order", {name: one.no_order for name, one in found.outcomes.items()})
    board = found.leaderboard
    yield Table(
        "Policies",
        ("policy", *VALUE, "preferred to the average", "share won", "share tied"),
        [
            (one.policy, *_cells(one.strength), _number(one.against_average), str(one.wins), str(one.ties))
            for one in board.standings
        ],
    )
    names = [one.policy for one in board.standings]
    yield Table(
        "Wins / ties of the row against the column",
        ("", *names),
        [
            (
                name,
                *(
                    "" if row == at else f"{board.wins[row, at]:,.0f} / {board.ties[row, at]:,.0f}"
                    for at in range(len(names))
                ),
            )
            for row, name in enumerate(names)
        ],
    )


VALUE = ("value", "95 % interval", "count", "prompts")


def _number(value: float) -> str:
    return "no data" if value != value else f"{value:.3f}"


def _cells(one: Estimate) -> tuple[str, str, str, str]:
    ends = "too few prompts" if one.low != one.low else f"{one.low:.3f} to {one.high:.3f}"
    return _number(one.value), ends, f"{one.count:,}", f"{one.prompts:,}"


def _estimates(title: str, rows: Mapping[str, Estimate]) -> Table:
    return Table(title, ("", *VALUE), [(name or EVERYBODY, *_cells(one)) for name, one in rows.items()])


def _agreements(title: str, rows: Mapping[str, Agreement]) -> Table:
    head = ("", "alpha", "alpha, ordered", "same answer", "same side", "tau-b", "meetings", "prompts")
    cells = [
        (
            name or EVERYBODY,
            *map(str, (one.alpha, one.alpha_ordered, one.same, one.decided, one.tau)),
            f"{one.same.count:,}",
            f"{one.same.prompts:,}",
        )
        for name, one in rows.items()
    ]
    return Table(title, head, cells)


def _leanings(title: str, found: Leanings) -> Table:
    rows = {"": found.overall, **found.by_annotator} if found.overall.rate.count else {}
    return Table(
        title,
        ("", *VALUE, "p if nothing leans"),
        [(name or EVERYBODY, *_cells(one.rate), f"{one.p:.2g}") for name, one in rows.items()],
    )


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


def headline(found: Quality) -> list[str]:
    """Return the report in a few sentences."""
    counts, decided = found.counts, found.agreement.decided
    said = [
        f"{counts['rankings']:,} rankings of {counts['prompts']:,} prompts by {counts['annotators']:,} annotators: "
        f"{counts['judged pairs']:,} judged pairs, {counts['tied pairs']:,} of them tied."
    ]
    said += [found.unknown_order] if found.unknown_order else []
    if decided.count:
        said += [
            f"Krippendorff's alpha of the judged pairs is {found.agreement.alpha}, from "
            f"{found.agreement.alpha.count:,} meetings of two annotators on {found.agreement.alpha.prompts:,} prompts.",
            f"Where two both prefer a side it is the same one in {decided} of {decided.count:,} meetings. The accuracy "
            f"of the best possible model, against one of them, lies within {found.ceiling}.",
        ]
    again, right = found.self_consistency[""].decided, found.gold[""]
    if again.count:
        said.append(f"Asked again, annotators prefer the same side in {again} of {again.count:,} comparisons.")
    if right.count:
        said.append(f"Of {right.count:,} gold comparisons annotators order {right} rightly.")
    said += [f"Left out, {times:,} x: {reason}." for reason, times in found.left_out.most_common()]
    return said


def _html(found: Quality, plots: list[tuple[str, Path]]) -> str:
    parts = ["<!doctype html>", '<html lang="en">', '<meta charset="utf-8">', "<title>How much to believe</title>"]
    parts += [f"<style>{CSS}</style>", "<h1>How much to believe</h1>"]
    parts += [f"<p>{escape(sentence)}</p>" for sentence in headline(found)]
    parts += ["<h2>What to do</h2>", "<ul>" if found.findings else "<p>Nothing stands out.</p>"]
    parts += [
        f"<li><b>{escape(one.about or EVERYBODY)}</b>: {escape(one.what)} <i>{escape(one.todo)}</i></li>"
        for one in found.findings
    ]
    parts += ["</ul>"] if found.findings else []
    parts += [
        f"<figure><figcaption>{escape(title)}</figcaption>"
        f'<img src="{escape(path.as_posix())}" alt="{escape(title)}"></figure>'
        for title, path in plots
    ]
    parts += ["<h2>Tables</h2>", "<p>Every interval is 95 % and resamples prompts.</p>"]
    for table in tables(found):
        head = "".join(f"<th>{escape(cell)}</th>" for cell in table.head)
        rows = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in table.rows)
        parts.append(
            f'<details><summary>{escape(table.title)}</summary><div class="wide"><table><thead><tr>{head}</tr></thead>'
            f"<tbody>{rows}</tbody></table></div></details>"
        )
    return "\n".join([*parts, "</html>"]) + "\n"

"""Turn PandaLM's pairs, each judged by three annotators, into this project's format, and count agreement without it.

    python -m benchmarks.converters.pandalm_to_groups PATH/pandalm-three-annotators.jsonl.gz pandalm.jsonl

What is printed is computed from the file alone, by counting and by the krippendorff package (tests/requirements.txt has
it), and is what `python -m label_data quality` must give for the groups written.

Source of the data: Wang et al. 2024, arXiv:2306.05087.
"""

import gzip
import json
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import Annotated, Any

import krippendorff
import numpy as np
import typer

from label_data.formats import groups as groups_format
from label_data.records import Completion, Group, Ranking, user_prompt

ANNOTATORS = ("annotator1", "annotator2", "annotator3")
SIDE = {1: 1, 2: -1, 0: 0}
"""What the file's 1 (first), 2 (second), 0 (tie) say of the first."""


def groups_of(rows: list[dict[str, Any]]) -> Iterator[Group]:
    """Yield a group a row: prompts that repeat become one when they are read."""
    for row in rows:
        text = row["instruction"] + (f"\n\n{row['input']}" if row["input"] else "")
        prompt = user_prompt(text, row["motivation_app"], "pandalm")
        policies = row["cmp_key"].split("_")
        first, other = (Completion(prompt.id, str(row[f"response{index + 1}"]), policies[index]) for index in (0, 1))
        orders = {1: ((first.id,), (other.id,)), -1: ((other.id,), (first.id,)), 0: ()}
        # The file names policies in order of the alphabet, whoever saw what.
        shown = tuple(sorted((first.id, other.id)))
        rankings = []
        for name in ANNOTATORS:
            side = SIDE[row[name]]
            outcome = "ranked" if side else "indistinguishable"
            rankings.append(Ranking(prompt.id, name, shown, orders[side], outcome=outcome, source="import"))
        yield Group(prompt, (first, other), tuple(rankings))


def main(
    file: Annotated[Path, typer.Argument(help="PandaLM's pairs, JSON lines, gzipped or not")],
    out: Annotated[Path, typer.Argument(help="where to write groups: .jsonl, .jsonl.gz or .parquet")],
) -> None:
    """Convert FILE to groups, and print its agreement as others compute it."""
    with (gzip.open if file.suffix == ".gz" else open)(file, "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    typer.echo(f"{groups_format.write(out, groups_of(rows)):,} groups in {out}")
    values = np.array([[SIDE[row[name]] for row in rows] for name in ANNOTATORS], dtype=float)
    both = np.hstack([values, -values])
    typer.echo(f"alpha, nominal: {krippendorff.alpha(both, level_of_measurement='nominal'):.6f}")
    typer.echo(f"alpha, ordinal: {krippendorff.alpha(both, level_of_measurement='ordinal'):.6f}")
    typer.echo(
        f"alpha, nominal, sides as in the file: {krippendorff.alpha(values, level_of_measurement='nominal'):.6f}"
    )
    same = 0.0
    for first, other in combinations(range(3), 2):
        a, b = values[first], values[other]
        same += np.mean(a == b) / 3
        typer.echo(f"{ANNOTATORS[first]} / {ANNOTATORS[other]}: same answer {np.mean(a == b):.6f}")
    sides = [(a, b) for row in values.T for a, b in combinations(row, 2) if a and b]
    decided = np.mean([a == b for a, b in sides])
    typer.echo(f"same answer {same:.6f}, same side {decided:.6f} of {len(sides):,}")


if __name__ == "__main__":
    typer.run(main)

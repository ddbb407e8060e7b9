"""Turn qa-feedback's questions, each with four predictions and six judgements, into this project's K-way format.

    python -m benchmarks.converters.qa_feedback_to_groups PATH/qa-feedback.jsonl.gz qa-feedback.jsonl [--passages]

A row's `preference` judges the pairs 1-2, 1-3, 1-4, 2-3, 2-4, 3-4: 1 the first is better, 2 the second, 0 neither.
Six judgements need not agree with any one ranking. Every row becomes the order by wins, a tie counting half, and
equally many wins a tie; rows that this does not reproduce are kept, and counted.

Source of the data: Wu et al. 2023, arXiv:2306.01693.
"""

import gzip
import json
from collections import Counter
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import Annotated, Any

import typer

from label_data.formats import groups as groups_format
from label_data.records import Completion, Group, Ranking, user_prompt

PAIRS = tuple(combinations(range(4), 2))
POINTS = {1: (1.0, 0.0), 2: (0.0, 1.0), 0: (0.5, 0.5)}
"""What a judgement gives to the first and the second of its pair."""
NEITHER, FIRST, SECOND = 0, 1, 2


def order_by_wins(preference: list[int]) -> list[list[int]]:
    """Return the places 0 to 3 in groups, most wins first; equally many wins are a tie."""
    wins = [0.0] * 4
    for (first, second), judged in zip(PAIRS, preference, strict=True):
        wins[first] += POINTS[judged][0]
        wins[second] += POINTS[judged][1]
    return [[place for place in range(4) if wins[place] == level] for level in sorted(set(wins), reverse=True)]


def contradictions(preference: list[int], order: list[list[int]]) -> tuple[int, int]:
    """Return how many judgements the order turns round, and how many it makes or breaks a tie of."""
    level = {place: number for number, tied in enumerate(order) for place in tied}
    turned = ties = 0
    for (first, second), judged in zip(PAIRS, preference, strict=True):
        result = NEITHER if level[first] == level[second] else FIRST if level[first] < level[second] else SECOND
        turned += {judged, result} == {FIRST, SECOND}
        ties += judged != result and NEITHER in (judged, result)
    return turned, ties


def prompt_text(row: dict[str, Any], passages: bool) -> str:
    """Return the question, under its passages if asked: each a title and its sentences."""
    if not passages:
        return row["question"]
    texts = [" ".join(" ".join(passage).split()) for passage in row["passages"]]
    return "\n\n".join([*texts, row["question"]])


def groups_of(rows: list[dict[str, Any]], passages: bool, counts: Counter[str]) -> Iterator[Group]:
    """Yield a group a row, and count what its judgements were like."""
    for row in rows:
        prompt = user_prompt(prompt_text(row, passages), source="qa-feedback")
        completions = [Completion(prompt.id, row[f"prediction {number}"]) for number in range(1, 5)]
        ids = [completion.id for completion in completions]
        order = order_by_wins(row["preference"])
        turned, ties = contradictions(row["preference"], order)
        counts["the order agrees with all six judgements"] += not turned and not ties
        counts["the order only makes or breaks ties"] += bool(ties and not turned)
        counts["the order turns a judgement round"] += bool(turned)
        counts["all four tied: no comparison"] += len(order) == 1
        counts["(judgements turned round)"] += turned
        counts["(ties made or broken)"] += ties
        told_apart = len(order) > 1
        ranking = Ranking(
            prompt.id,
            "qa-feedback",
            shown=tuple(ids),
            order=tuple(tuple(ids[place] for place in tied) for tied in order) if told_apart else (),
            outcome="ranked" if told_apart else "indistinguishable",
            source="import",
        )
        yield Group(prompt, tuple(completions), (ranking,))


def main(
    file: Annotated[Path, typer.Argument(help="qa-feedback, JSON lines, gzipped or not")],
    out: Annotated[Path, typer.Argument(help="where to write groups: .jsonl, .jsonl.gz or .parquet")],
    passages: Annotated[bool, typer.Option(help="put the passages before the question")] = False,
) -> None:
    """Convert FILE to groups, and say how many rows are no ranking as they stand."""
    with (gzip.open if file.suffix == ".gz" else open)(file, "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    counts: Counter[str] = Counter()
    written = groups_format.write(out, groups_of(rows, passages, counts))
    typer.echo(f"{written:,} groups in {out}")
    for outcome, number in counts.items():
        typer.echo(f"{number:6,} {outcome}")


if __name__ == "__main__":
    typer.run(main)

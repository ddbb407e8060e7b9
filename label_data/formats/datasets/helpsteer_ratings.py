"""NVIDIA's HelpSteer and HelpSteer2: completions rated 0 to 4 by themselves, those of a prompt in rows that follow.

[{"prompt": "Can pigs fly?", "response": "No.", "helpfulness": 4, "correctness": 4, "coherence": 4, "complexity": 1,
  "verbosity": 1},
 {"prompt": "Can pigs fly?", "response": "Yes.", "helpfulness": 1, "correctness": 0, "coherence": 4, "complexity": 1,
  "verbosity": 1}]

A rating is the mean of several annotators, who are not told apart. Nobody ranked anything: the order is made of the
helpfulness, equal ones tied, so each ranking has the source "derived". It keeps the helpfulness as a rating from 1 to
5; the other four ratings are counted. A prompt with a single row is left out with a count; one that comes back later in
the file is a group of its own there.

Source: Wang et al. 2023, arXiv:2311.09528; Wang et al. 2024, arXiv:2406.08673; huggingface.co/datasets/nvidia
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import groupby
from pathlib import Path
from typing import Any

from label_data.files.rows_in import Row, located, read_rows
from label_data.formats.datasets.helpsteer import turns_of
from label_data.formats.pairs import count_unknown
from label_data.formats.verdicts import Verdict, by_rank, judged, number_of
from label_data.records import MOST_COMPLETIONS, Group

NAME = "helpsteer-ratings"
JUDGE = "helpfulness, the mean of several annotators (HelpSteer)"
BEST = 4
KNOWN = ("prompt", "response", "helpfulness")


def says(fields: Mapping[str, Any]) -> str:
    """Say what a file is whose first row has these fields, or nothing if it is none of this format."""
    return "HelpSteer ratings, ordered by helpfulness" if set(KNOWN) <= fields.keys() else ""


def read(path: Path, left_out: Counter[str] | None = None) -> Iterator[Group]:
    """Yield a group for rows of one prompt that follow one another; see `read_judged`."""
    left_out = Counter() if left_out is None else left_out
    for prompt, rows in groupby(read_rows(path), key=lambda row: row.text("prompt")):
        first, answers, ratings = None, [], []
        for row in rows:
            first = first or row
            if len(answers) == MOST_COMPLETIONS:
                row.refuse("prompt", f"more than {MOST_COMPLETIONS} rows of one prompt", "Leave the most different.")
            count_unknown(row, KNOWN, left_out)
            answers.append((row.text("response"), ""))
            ratings.append(_rating(row))
        verdict = Verdict(JUDGE, by_rank(ratings, highest_first=True), ratings=ratings, said={"source": "derived"})
        with located(first.where):
            yield from judged(turns_of(prompt), answers, [verdict], left_out, path.name)


def _rating(row: Row) -> int:
    value = number_of(row, "helpfulness")
    if value not in range(BEST + 1):
        row.refuse("helpfulness", f"{value:g}", f"Write a whole number from 0 to {BEST}.")
    return int(value) + 1

"""NVIDIA's HelpSteer and HelpSteer2: completions, each rated 0 to 4; the rows of a prompt follow one another.

[{"prompt": "Can pigs fly?", "response": "No.", "helpfulness": 4, "correctness": 4, "coherence": 4, "complexity": 1,
  "verbosity": 1},
 {"prompt": "Can pigs fly?", "response": "Yes.", "helpfulness": 1, "correctness": 0, "coherence": 4, "complexity": 1,
  "verbosity": 1}]

A rating is the mean of several annotators, who are not named. Nobody ranked the completions: the order follows the
helpfulness, with ties where it is equal, so each ranking has the source "derived". It keeps the helpfulness as a rating
from 1 to 5; the other four ratings are left out with a count. A prompt with a single row is left out with a count; a
prompt that comes back later in the file is a group of its own there.

Source: Wang et al. 2023, arXiv:2311.09528; Wang et al. 2024, arXiv:2406.08673; huggingface.co/datasets/nvidia
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import groupby
from pathlib import Path
from typing import Any

from label_data.files.places import located
from label_data.files.rows_in import Row, read_rows
from label_data.formats.datasets.helpsteer import turns_of
from label_data.formats.pairs import count_unknown
from label_data.formats.ranked_rows import RowRanking, order_by_rank, ranked_group
from label_data.records import MOST_COMPLETIONS, Group
from label_data.sentences import Sentence, say

NAME = "helpsteer-ratings"
ANNOTATOR = "helpfulness, the mean of several annotators (HelpSteer)"
BEST = 4
KNOWN = ("prompt", "response", "helpfulness")


def recognise(fields: Mapping[str, Any]) -> Sentence | None:
    """Return what a file is whose first row has these fields, or None if it is not in this format."""
    if set(KNOWN) <= fields.keys():
        return say("label_data.datasets.is_helpsteer_ratings")
    return None


def read(path: Path, left_out: Counter[Sentence] | None = None) -> Iterator[Group]:
    """Yield a group for the rows of one prompt that follow one another; see `read_groups`."""
    left_out = Counter() if left_out is None else left_out
    for prompt, rows in groupby(read_rows(path), key=lambda row: row.text("prompt")):
        completions: list[tuple[str, str]] = []
        ratings: list[int] = []
        where = None
        for row in rows:
            where = where or row.where
            if len(completions) == MOST_COMPLETIONS:
                row.refuse("prompt", say("label_data.datasets.many_rows", limit=MOST_COMPLETIONS))
            count_unknown(row, KNOWN, left_out)
            completions.append((row.text("response"), ""))
            ratings.append(_rating(row))
        assert where is not None  # because groupby gives no empty group
        order = order_by_rank(ratings, highest_first=True)
        ranking = RowRanking(ANNOTATOR, order, ratings=ratings, extra={"source": "derived"})
        with located(where):
            yield from ranked_group(turns_of(prompt), completions, [ranking], left_out, path.name)


def _rating(row: Row) -> int:
    value = row.required_number("helpfulness")
    if value not in range(BEST + 1):
        row.refuse("helpfulness", say("label_data.datasets.not_in_range", number=value, low=0, high=BEST))
    return int(value) + 1

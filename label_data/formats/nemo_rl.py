"""NVIDIA NeMo-RL's preference data: K completions of a context, each with a rank, 0 the best.

{"context": [{"role": "user", "content": "Can pigs fly?"}],
 "completions": [{"rank": 0, "completion": [{"role": "assistant", "content": "No."}]},
                 {"rank": 1, "completion": [{"role": "assistant", "content": "Yes."}]}]}

Equal ranks are ties. A completion of more than one turn is no completion of this prompt; such rows are left out with a
count. The files do not say who judged: the annotator is the format's name.

Source: https://github.com/NVIDIA-NeMo/RL, docs/guides/dpo.md, preference datasets
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from label_data.formats.judged import Verdict, by_rank, judged, messages_of, number_of, read_judged
from label_data.formats.pairs import PART_EARLY
from label_data.formats.rows_in import Row
from label_data.records import Group

NAME = "nemo-rl"
KNOWN = ("context", "completions")


def says(fields: Mapping[str, Any]) -> str:
    """Say what a file is whose first row has these fields, or nothing if it is none of this format."""
    return "NeMo-RL preference" if {"context", "completions"} <= fields.keys() else ""


def read(path: Path, left_out: Counter[str] | None = None) -> Iterator[Group]:
    """Yield a group a row; see `read_judged`."""
    return read_judged(path, left_out, KNOWN, _groups)


def _groups(row: Row, source: str, left_out: Counter[str]) -> Iterator[Group]:
    ranks, answers = [], []
    for one in row.inner("completions"):
        ranks.append(number_of(one, "rank"))
        said = messages_of(one, "completion", left_out)
        if len(said) != 1 or said[0].role != "assistant":
            left_out[PART_EARLY] += 1
            return iter(())
        answers.append((said[0].content, ""))
    asked = messages_of(row, "context", left_out)
    return judged(asked, answers, [Verdict(NAME, by_rank(ranks))], left_out, source)

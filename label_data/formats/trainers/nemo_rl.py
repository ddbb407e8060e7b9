"""NVIDIA NeMo-RL's preference data: K completions of a context, each with a rank, 0 the best.

{"context": [{"role": "user", "content": "Can pigs fly?"}],
 "completions": [{"rank": 0, "completion": [{"role": "assistant", "content": "No."}]},
                 {"rank": 1, "completion": [{"role": "assistant", "content": "Yes."}]}]}

Equal ranks are ties. A completion of more than one turn is no completion of this prompt; such rows are left out with a
count. The files do not say who judged: the annotator is the format's name.

Written is a row a ranking, however many completions it has, ties as equal ranks. NeMo-RL's own trainers take rows of
two completions without a tie and stop at others: nemo_rl_pairs.py writes those.

Source: https://github.com/NVIDIA-NeMo/RL, docs/guides/dpo.md, preference datasets; nemo_rl/data/datasets/
preference_datasets/preference_dataset.py (commit 07cd9a1bcf) and nemo_rl/data/processors.py, preference_preprocessor
(commit 006a7dadfd)
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from label_data.files.rows_in import Row
from label_data.files.rows_out import write_rows
from label_data.formats.pair_rows import MESSAGES, as_is, count_without_order, said
from label_data.formats.pairs import PART_EARLY
from label_data.formats.verdicts import Verdict, by_rank, judged, messages_of, number_of, read_judged
from label_data.records import Group
from label_data.store.bare_groups import BareGroup

NAME = "nemo-rl"
LACKS = "who judged, when and why, strengths, flags, ratings, marked parts, categories and policies"
RANKED = pa.list_(pa.struct({"rank": pa.int64(), "completion": MESSAGES}))
SCHEMA = pa.schema({"context": MESSAGES, "completions": RANKED})
KNOWN = SCHEMA.names


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


def write(path: Path, groups: Iterable[Group | BareGroup], left_out: Counter[str] | None = None) -> int:
    """Write a row for each ranking and return how many; what NeMo-RL has no place for is counted in `left_out`."""
    return write_rows(path, _rows(groups, Counter() if left_out is None else left_out), SCHEMA)


def _rows(groups: Iterable[Group | BareGroup], left_out: Counter[str]) -> Iterator[dict[str, Any]]:
    for group in groups:
        count_without_order(group, left_out)
        texts = {completion.id: completion.text for completion in group.completions}
        for ranking in group.rankings:
            if ranking.tests_annotator or not ranking.order:
                continue
            left_out["ranking with strengths, which ranks do not tell"] += any(ranking.strength)
            yield {
                "context": as_is(group.prompt.as_json),
                "completions": [
                    {"rank": rank, "completion": [said(texts[id])]}
                    for rank, tied in enumerate(ranking.order)
                    for id in tied
                ],
            }

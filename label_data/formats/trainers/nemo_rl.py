"""NVIDIA NeMo-RL's preference data: K completions of a context, each with a rank, 0 the best.

{"context": [{"role": "user", "content": "Can pigs fly?"}],
 "completions": [{"rank": 0, "completion": [{"role": "assistant", "content": "No."}]},
                 {"rank": 1, "completion": [{"role": "assistant", "content": "Yes."}]}]}

Equal ranks are ties. A completion of more than one turn does not answer this prompt alone; such rows are left out with
a count. The files do not name annotators: the annotator is the format's name.

One row is written for each ranking of any length, with ties as equal ranks. NeMo-RL's own trainers accept only two
completions without a tie and fail at other rows: nemo_rl_pairs.py writes rows for them.

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
from label_data.formats.pair_rows import MESSAGES, assistant_message, count_without_order, prompt_messages
from label_data.formats.pairs import NOT_LAST_TURN
from label_data.formats.ranked_rows import RowRanking, messages_of, order_by_rank, ranked_group, read_groups
from label_data.records import Group
from label_data.sentences import Sentence, say
from label_data.store.bare_groups import BareGroup

NAME = "nemo-rl"
LACKS = say("label_data.trainers.nemo_rl_lacks")
STRENGTH_LOST = say("label_data.trainers.strength_lost")
RANKED = pa.list_(pa.struct({"rank": pa.int64(), "completion": MESSAGES}))
SCHEMA = pa.schema({"context": MESSAGES, "completions": RANKED})
KNOWN = SCHEMA.names


def recognise(fields: Mapping[str, Any]) -> Sentence | None:
    """Return what a file is whose first row has these fields, or None if it is not in this format."""
    if {"context", "completions"} <= fields.keys():
        return say("label_data.trainers.is_nemo_rl")
    return None


def read(path: Path, left_out: Counter[Sentence] | None = None) -> Iterator[Group]:
    """Yield one group a row; see `read_groups`."""
    return read_groups(path, left_out, KNOWN, _groups)


def _groups(row: Row, source: str, left_out: Counter[Sentence]) -> Iterator[Group]:
    ranks, completions = [], []
    for completion in row.inner("completions"):
        ranks.append(completion.required_number("rank"))
        turns = messages_of(completion, "completion", left_out)
        if len(turns) != 1 or turns[0].role != "assistant":
            left_out[NOT_LAST_TURN] += 1
            return iter(())
        completions.append((turns[0].content, ""))
    prompt = messages_of(row, "context", left_out)
    return ranked_group(prompt, completions, [RowRanking(NAME, order_by_rank(ranks))], left_out, source)


def write(path: Path, groups: Iterable[Group | BareGroup], left_out: Counter[Sentence] | None = None) -> int:
    """Write a row for each ranking and return how many; count in `left_out` what NeMo-RL has no place for."""
    return write_rows(path, _rows(groups, Counter() if left_out is None else left_out), SCHEMA)


def _rows(groups: Iterable[Group | BareGroup], left_out: Counter[Sentence]) -> Iterator[dict[str, Any]]:
    for group in groups:
        count_without_order(group, left_out)
        texts = {completion.id: completion.text for completion in group.completions}
        for ranking in group.rankings:
            if ranking.tests_annotator or not ranking.order:
                continue
            left_out[STRENGTH_LOST] += any(ranking.strength)
            yield {
                "context": prompt_messages(group.prompt.as_json),
                "completions": [
                    {"rank": rank, "completion": [assistant_message(texts[id])]}
                    for rank, tied in enumerate(ranking.order)
                    for id in tied
                ],
            }

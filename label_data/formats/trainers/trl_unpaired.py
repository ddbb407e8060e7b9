"""What TRL's KTOTrainer takes: one completion a row, and whether it is good. JSON lines or Parquet.

{"prompt": [{"role": "user", "content": "Can pigs fly?"}],
 "completion": [{"role": "assistant", "content": "No."}], "label": true}

A ranking says which completion is better, not which is good, so a rule decides. Each ranking that does not test its
annotator gives each completion that it showed one vote:

    bad    if it is flagged there, or if the annotator called them all bad;
    good   if more of the others are worse than it than are better;
    bad    if more of the others are better than it than are worse;
    none   else: the middle of an odd number, a tie at the same distance from both ends, not placed, skipped.

A completion with more votes for good than for bad is written with label true, one with more for bad with false; one
with as many of both, or none, is left out with a count. Nothing is read in this format: a mark of one completion by
itself is no ranking.

Source: https://huggingface.co/docs/trl/dataset_formats, unpaired preference; TRL 1.16, trainer/kto_trainer.py. KTO:
Ethayarajh et al. 2024, arXiv:2402.01306.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import accumulate
from pathlib import Path
from typing import Any

import pyarrow as pa

from label_data.files.rows_out import write_rows
from label_data.formats.pair_rows import MESSAGES, as_is, said
from label_data.records import Group, Ranking
from label_data.store.bare_groups import BareGroup, BareRanking

NAME = "trl-unpaired"
LACKS = "who judged, when and why, how much better one completion is, ratings, marked parts, categories and policies"
SCHEMA = pa.schema({"prompt": MESSAGES, "completion": MESSAGES, "label": pa.bool_()})
UNDECIDED = "completion with as many votes for good as for bad"
NO_VOTE = "completion in no ranking that could say whether it is good"


def write(path: Path, groups: Iterable[Group | BareGroup], left_out: Counter[str] | None = None) -> int:
    """Write a row for each completion that the votes decide about, and return how many."""
    return write_rows(path, _rows(groups, Counter() if left_out is None else left_out), SCHEMA)


def _rows(groups: Iterable[Group | BareGroup], left_out: Counter[str]) -> Iterator[dict[str, Any]]:
    for group in groups:
        left_out["demonstration, which trl-sft writes"] += len(group.demonstrations)
        for ranking in group.rankings:
            if ranking.tests_annotator:
                left_out[f"ranking that tests its annotator ({ranking.purpose})"] += 1
        given = [votes(ranking) for ranking in group.rankings if not ranking.tests_annotator]
        for completion in group.completions:
            mine = [vote[completion.id] for vote in given if completion.id in vote]
            if not sum(mine):
                left_out[UNDECIDED if any(mine) else NO_VOTE] += 1
                continue
            yield {"prompt": as_is(group.prompt.as_json), "completion": [said(completion.text)], "label": sum(mine) > 0}


def votes(ranking: Ranking | BareRanking) -> dict[str, int]:
    """Return what a ranking says of each completion that it showed: 1 good, -1 bad, 0 neither."""
    found = dict.fromkeys(ranking.shown, -1 if ranking.outcome == "all_bad" else 0)
    sizes = [len(tied) for tied in ranking.order]
    for tied, up_to in zip(ranking.order, accumulate(sizes), strict=True):
        better, worse = up_to - len(tied), sum(sizes) - up_to
        found |= dict.fromkeys(tied, (worse > better) - (worse < better))
    return found | {completion: -1 for completion, flags in ranking.flags.items() if flags}

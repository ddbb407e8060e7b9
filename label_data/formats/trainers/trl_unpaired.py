"""Rows for TRL's KTOTrainer: one completion a row, and whether it is good. JSON lines or Parquet.

{"prompt": [{"role": "user", "content": "Can pigs fly?"}],
 "completion": [{"role": "assistant", "content": "No."}], "label": true}

A ranking says which completion is better, not which is good, so a rule decides. Each ranking that does not test its
annotator gives one vote to each completion that it showed:

    bad    if the completion is flagged there, or the annotator called all completions bad;
    good   if more of the other completions are worse than better;
    bad    if more of the other completions are better than worse;
    none   otherwise: the middle of an odd number, a tie at the same distance from both ends, not placed, skipped.

A completion with more good votes than bad votes gets label true, one with more bad votes label false. A completion with
equally many of both, or without votes, is left out with a count. This format is not read: a label of a single
completion is not a ranking.

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
from label_data.formats.pair_rows import DEMONSTRATION, MESSAGES, assistant_message, prompt_messages
from label_data.records import Group, Ranking
from label_data.sentences import Sentence, say
from label_data.store.bare_groups import BareGroup, BareRanking

NAME = "trl-unpaired"
LACKS = say("label_data.trainers.unpaired_lacks")
SCHEMA = pa.schema({"prompt": MESSAGES, "completion": MESSAGES, "label": pa.bool_()})
UNDECIDED = say("label_data.trainers.undecided")
NO_VOTE = say("label_data.trainers.no_vote")


def write(path: Path, groups: Iterable[Group | BareGroup], left_out: Counter[Sentence] | None = None) -> int:
    """Write a row for each completion that the votes decide, and return how many."""
    return write_rows(path, _rows(groups, Counter() if left_out is None else left_out), SCHEMA)


def _rows(groups: Iterable[Group | BareGroup], left_out: Counter[Sentence]) -> Iterator[dict[str, Any]]:
    for group in groups:
        left_out[DEMONSTRATION] += len(group.demonstrations)
        for ranking in group.rankings:
            if ranking.tests_annotator:
                left_out[say("label_data.formats.tests_annotator", purpose=ranking.purpose)] += 1
        by_ranking = [votes(ranking) for ranking in group.rankings if not ranking.tests_annotator]
        for completion in group.completions:
            own_votes = [vote[completion.id] for vote in by_ranking if completion.id in vote]
            if not sum(own_votes):
                left_out[UNDECIDED if any(own_votes) else NO_VOTE] += 1
                continue
            yield {
                "prompt": prompt_messages(group.prompt.as_json),
                "completion": [assistant_message(completion.text)],
                "label": sum(own_votes) > 0,
            }


def votes(ranking: Ranking | BareRanking) -> dict[str, int]:
    """Return a ranking's vote on each completion that it showed: 1 good, -1 bad, 0 neither."""
    by_completion = dict.fromkeys(ranking.shown, -1 if ranking.outcome == "all_bad" else 0)
    sizes = [len(tied) for tied in ranking.order]
    for tied, placed in zip(ranking.order, accumulate(sizes), strict=True):
        better, worse = placed - len(tied), sum(sizes) - placed
        by_completion |= dict.fromkeys(tied, (worse > better) - (worse < better))
    return by_completion | {completion: -1 for completion, flags in ranking.flags.items() if flags}

"""Comparisons as every trainer of pairs takes them: a prompt, the completion preferred, the other, and a margin."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from label_data.comparisons import comparisons, group_comparisons
from label_data.formats.rows_out import ENDINGS, write_rows
from label_data.records import Completion, Group, Prompt

MESSAGE = pa.struct({"role": pa.string(), "content": pa.string()})
MESSAGES = pa.list_(MESSAGE)
LACKS = "who judged, when and why, ties, flags, ratings, marked parts, categories and policies"
"""What no format of pairs has a place for."""
NO_STRENGTH = "comparison without a strength has margin 0"
STRENGTH_LOST = "strength of a comparison, which only a margin tells"
WEIGHT_LOST = "weight of a comparison other than 1"
SAID_BESIDE = "ranking with a reason, flags, ratings or marked parts, which are not kept"


@dataclass(frozen=True, slots=True)
class Preferred:
    """One comparison with the texts it is about: a row of a file of pairs."""

    prompt: Prompt
    chosen: Completion
    rejected: Completion
    margin: float | None = None
    """The gap in reward to ask for, for -log sigmoid(r - r' - margin); None when nobody said how much better."""
    weight: float = 1.0
    """What it counts for beside the others; pairs made straight from rankings all count alike."""


def preferred(groups: Iterable[Group], left_out: Counter[str]) -> Iterator[Preferred]:
    """Yield each comparison of each ranking, its strength as its margin; what gives no pair is counted in `left_out`.

    Rankings that test their annotator and texts alike but for white space give none (`group_comparisons`).
    """
    for group in groups:
        completions = {completion.id: completion for completion in group.completions}
        told_apart = group_comparisons(group)
        implied = sum(len(comparisons(ranking)) for ranking in group.rankings if not ranking.tests_annotator)
        left_out["comparison of two texts alike but for white space"] += implied - len(told_apart)
        count_without_order(group, left_out)
        for ranking in group.rankings:
            if not ranking.tests_annotator:
                left_out["tie"] += sum(len(tied) * (len(tied) - 1) // 2 for tied in ranking.order)
        for found in told_apart:
            margin = None if found.strength is None else float(found.strength)
            yield Preferred(group.prompt, completions[found.chosen], completions[found.rejected], margin)


def count_without_order(group: Group, left_out: Counter[str]) -> None:
    """Count what no file of orders has a place for: prompts and rankings without one, and what is said beside it."""
    left_out["prompt without a ranking"] += not group.rankings
    left_out["demonstration, which trl-sft writes"] += len(group.demonstrations)
    for ranking in group.rankings:
        if ranking.tests_annotator:
            left_out[f"ranking that tests its annotator ({ranking.purpose})"] += 1
            continue
        if ranking.outcome != "ranked":
            left_out[f"ranking with outcome {ranking.outcome}"] += 1
        left_out["completion that was shown and not placed"] += len(ranking.unranked) * (ranking.outcome == "ranked")
        left_out[SAID_BESIDE] += bool(ranking.reason or ranking.flags or ranking.ratings or ranking.spans)


def said(completion: Completion) -> dict[str, str]:
    """Return the completion as a message."""
    return {"role": "assistant", "content": completion.text}


def write_pairs(
    path: Path,
    pairs: Iterable[Preferred],
    left_out: Counter[str] | None,
    schema: pa.Schema,
    row_of: Callable[[Preferred, Counter[str]], dict[str, Any] | None],
    with_margin: bool = False,
    endings: Sequence[str] = ENDINGS,
) -> int:
    """Write the row that `row_of` makes of each pair and return how many; it counts in `left_out` where it makes none.

    `with_margin` adds the column `margin`. See `write_rows` for the file, and `margin_of`.
    """
    left_out = Counter() if left_out is None else left_out

    def rows() -> Iterator[dict[str, Any]]:
        for pair in pairs:
            row = row_of(pair, left_out)
            if row is not None:
                yield row | margin_of(pair, left_out, with_margin)

    schema = schema.append(pa.field("margin", pa.float64())) if with_margin else schema
    return write_rows(path, rows(), schema, endings)


def margin_of(pair: Preferred, left_out: Counter[str], with_margin: bool) -> dict[str, float]:
    """Return the pair's margin as a column, 0 if it has none, and count what of margin and weight is not kept.

    A trainer wants a margin in every row or in none, and a margin of 0 asks for no gap. None of them takes weights.
    """
    left_out[WEIGHT_LOST] += pair.weight != 1
    if not with_margin:
        left_out[STRENGTH_LOST] += pair.margin is not None
        return {}
    left_out[NO_STRENGTH] += pair.margin is None
    return {"margin": pair.margin or 0.0}

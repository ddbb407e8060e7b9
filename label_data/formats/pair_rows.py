"""Comparisons as every trainer of pairs takes them: a prompt, the completion preferred, the other, and a margin."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import cycle
from pathlib import Path
from typing import Any, NamedTuple

import orjson
import pyarrow as pa

from label_data.canonical import canonical
from label_data.comparisons import are_equal_texts, first_words, implied_pairs
from label_data.files.rows_out import ENDINGS, write_rows
from label_data.records import Group
from label_data.store.bare_groups import BareGroup

MESSAGE = pa.struct({"role": pa.string(), "content": pa.string()})
MESSAGES = pa.list_(MESSAGE)
LACKS = "who judged, when and why, ties, flags, ratings, marked parts, categories and policies"
"""What no format of pairs has a place for."""
TWINS = "comparison of two texts alike but for white space"
NO_STRENGTH = "comparison without a strength has margin 0"
STRENGTH_LOST = "strength of a comparison, which only a margin tells"
WEIGHT_LOST = "weight of a comparison other than 1"
SAID_BESIDE = "ranking with a reason, flags, ratings or marked parts, which are not kept"


class Preferred(NamedTuple):
    """One comparison with the texts it is about: a row of a file of pairs."""

    prompt: str
    """Its messages as canonical JSON, which is how the store has them: `Prompt.as_json`."""
    chosen: str
    rejected: str
    margin: float | None = None
    """The gap in reward to ask for, for -log sigmoid(r - r' - margin); None when nobody said how much better."""
    weight: float = 1.0
    """What it counts for beside the others; pairs made straight from rankings all count alike."""


def preferred(groups: Iterable[Group | BareGroup], left_out: Counter[str]) -> Iterator[Preferred]:
    """Yield each comparison of each ranking, its strength as its margin; what gives no pair is counted in `left_out`.

    Rankings that test their annotator and texts alike but for white space give none, as in `group_comparisons`.
    """
    for group in groups:
        prompt = group.prompt.as_json
        texts = {completion.id: completion.text for completion in group.completions}
        starts = {id: first_words(text) for id, text in texts.items()}
        count_without_order(group, left_out)
        for ranking in group.rankings:
            if ranking.tests_annotator:
                continue
            if len(ranking.order) < len(ranking.shown):
                left_out["tie"] += sum(len(tied) * (len(tied) - 1) // 2 for tied in ranking.order)
            for better, worse, strength in implied_pairs(ranking.order, ranking.strength):
                chosen, rejected = texts[better], texts[worse]
                if starts[better] == starts[worse] and are_equal_texts(chosen, rejected):
                    left_out[TWINS] += 1
                else:
                    yield Preferred(prompt, chosen, rejected, None if strength is None else float(strength))


def count_without_order(group: Group | BareGroup, left_out: Counter[str]) -> None:
    """Count what no file of orders has a place for: prompts and rankings without one, and what is said beside it."""
    if not group.rankings:
        left_out["prompt without a ranking"] += 1
    if group.demonstrations:
        left_out["demonstration, which trl-sft writes"] += len(group.demonstrations)
    for ranking in group.rankings:
        if ranking.tests_annotator:
            left_out[f"ranking that tests its annotator ({ranking.purpose})"] += 1
            continue
        if ranking.outcome != "ranked":
            left_out[f"ranking with outcome {ranking.outcome}"] += 1
        elif len(ranking.order) < len(ranking.shown):
            left_out["completion that was shown and not placed"] += len(ranking.shown) - sum(map(len, ranking.order))
        if ranking.reason or ranking.flags or ranking.ratings or ranking.spans:
            left_out[SAID_BESIDE] += 1


@lru_cache(maxsize=64)
def said(completion: str) -> orjson.Fragment:
    """Return the completion's text as a message for a row; those of a group are in several of its pairs."""
    return orjson.Fragment(orjson.dumps({"content": completion, "role": "assistant"}))


@lru_cache(maxsize=1)
def as_is(prompt: str) -> orjson.Fragment:
    """Return the prompt's messages for a row, without taking their JSON apart; those of a group have the same."""
    return orjson.Fragment(prompt)


def conversation(prompt: str, completion: str) -> orjson.Fragment:
    """Return the prompt's messages and the completion's as one list for a row."""
    return orjson.Fragment(f"{prompt[:-1]},{orjson.dumps(said(completion)).decode()}]")


def is_by_turns(prompt: Sequence[Mapping[str, str]]) -> bool:
    """Do user and assistant speak by turns, the user first, after a system message if there is one?"""
    roles = [message["role"] for message in prompt if message["role"] != "system"]
    return all(role == expected for role, expected in zip(roles, cycle(("user", "assistant")), strict=False))


def has_empty_system(prompt: Sequence[Mapping[str, str]]) -> bool:
    """Is there a system message that says nothing? Several trainers take it for none, and write their model's own."""
    return prompt[0]["role"] == "system" and not prompt[0]["content"]


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
            if row is None:
                continue
            if with_margin or pair.margin is not None or pair.weight != 1:
                row |= margin_of(pair, left_out, with_margin)
            yield row

    schema = schema.append(pa.field("margin", pa.float64())) if with_margin else schema
    return write_rows(path, rows(), schema, endings)


def margin_of(pair: Preferred, left_out: Counter[str], with_margin: bool) -> dict[str, orjson.Fragment]:
    """Return the pair's margin as a column, 0 if it has none, and count what of margin and weight is not kept.

    A trainer wants a margin in every row or in none, and a margin of 0 asks for no gap. None of them takes weights.
    The number is spelled as in canonical JSON, which orjson does not do near 0.
    """
    if pair.weight != 1:
        left_out[WEIGHT_LOST] += 1
    if not with_margin:
        if pair.margin is not None:
            left_out[STRENGTH_LOST] += 1
        return {}
    if pair.margin is None:
        left_out[NO_STRENGTH] += 1
    return {"margin": orjson.Fragment(canonical(pair.margin or 0.0))}

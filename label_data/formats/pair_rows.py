"""Comparisons as trainers of pairs take them: a prompt, the preferred completion, the other one, and a margin."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
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
from label_data.sentences import Sentence, say
from label_data.store.bare_groups import BareGroup

MESSAGE = pa.struct({"role": pa.string(), "content": pa.string()})
MESSAGES = pa.list_(MESSAGE)
LACKS = say("label_data.formats.pairs_lack")
"""What no format of pairs has a place for."""
EQUAL_TEXTS = say("label_data.formats.equal_texts")
TIE = say("label_data.formats.tie")
NO_STRENGTH = say("label_data.formats.no_strength")
STRENGTH_LOST = say("label_data.formats.strength_lost")
WEIGHT_LOST = say("label_data.formats.weight_lost")
REMARKS_LOST = say("label_data.formats.remarks_lost")
NOT_RANKED = say("label_data.formats.prompt_not_ranked")
NOT_PLACED = say("label_data.formats.not_placed")
DEMONSTRATION = say("label_data.formats.demonstration")

# A row of a file has texts, numbers, lists, objects and fragments of JSON.
RowFields = dict[str, Any]


class Pair(NamedTuple):
    """One comparison with its texts: a row of a file of pairs."""

    prompt: str
    """Its messages as canonical JSON, as the store has them: `Prompt.as_json`."""
    chosen: str
    rejected: str
    margin: float | None = None
    """The gap in reward to ask for, for -log sigmoid(r - r' - margin); None without a strength."""
    weight: float = 1.0
    """How much it counts beside the others; pairs made straight from rankings all count the same."""


def pairs_of(groups: Iterable[Group | BareGroup], left_out: Counter[Sentence]) -> Iterator[Pair]:
    """Yield each comparison of each ranking, its strength as its margin; count in `left_out` what gives no pair.

    Rankings that test their annotator, and texts that differ only in white space, give no pair, as in
    `group_comparisons`.
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
                left_out[TIE] += sum(len(tied) * (len(tied) - 1) // 2 for tied in ranking.order)
            for better, worse, strength in implied_pairs(ranking.order, ranking.strength):
                chosen, rejected = texts[better], texts[worse]
                if starts[better] == starts[worse] and are_equal_texts(chosen, rejected):
                    left_out[EQUAL_TEXTS] += 1
                else:
                    yield Pair(prompt, chosen, rejected, None if strength is None else float(strength))


def count_without_order(group: Group | BareGroup, left_out: Counter[Sentence]) -> None:
    """Count what no file of orders has a place for: prompts and rankings without an order, and remarks beside it."""
    if not group.rankings:
        left_out[NOT_RANKED] += 1
    if group.demonstrations:
        left_out[DEMONSTRATION] += len(group.demonstrations)
    for ranking in group.rankings:
        if ranking.tests_annotator:
            left_out[say("label_data.formats.tests_annotator", purpose=ranking.purpose)] += 1
            continue
        if ranking.outcome != "ranked":
            left_out[say("label_data.formats.outcome", outcome=ranking.outcome)] += 1
        elif len(ranking.order) < len(ranking.shown):
            left_out[NOT_PLACED] += len(ranking.shown) - sum(map(len, ranking.order))
        if ranking.reason or ranking.flags or ranking.ratings or ranking.spans:
            left_out[REMARKS_LOST] += 1


@lru_cache(maxsize=64)
def assistant_message(completion: str) -> orjson.Fragment:
    """Return the completion's text as a message of a row; a completion is in several pairs of its group."""
    return orjson.Fragment(orjson.dumps({"content": completion, "role": "assistant"}))


@lru_cache(maxsize=1)
def prompt_messages(prompt: str) -> orjson.Fragment:
    """Return the prompt's messages for a row, without parsing their JSON; all pairs of a group have the same."""
    return orjson.Fragment(prompt)


def conversation(prompt: str, completion: str) -> orjson.Fragment:
    """Return the prompt's messages and the completion's as one list for a row."""
    return orjson.Fragment(f"{prompt[:-1]},{orjson.dumps(assistant_message(completion)).decode()}]")


def alternates(prompt: Sequence[Mapping[str, str]]) -> bool:
    """Return whether user and assistant alternate, the user first, after a system message if there is one."""
    roles = [message["role"] for message in prompt if message["role"] != "system"]
    return all(role == expected for role, expected in zip(roles, cycle(("user", "assistant")), strict=False))


def has_empty_system(prompt: Sequence[Mapping[str, str]]) -> bool:
    """Return whether the system message is empty. Several trainers then write their model's own message instead."""
    return prompt[0]["role"] == "system" and not prompt[0]["content"]


@dataclass(frozen=True)
class PairFormat:
    """A format of pairs for a trainer: its rows, and how files of them are written."""

    name: str
    schema: pa.Schema
    row_of: Callable[[Pair, Counter[Sentence]], RowFields | None]
    """Return the pair's row; or None, counted in the counter by reason, if the format has no place for the pair."""
    takes_margin: bool = False
    """May rows have the column `margin`?"""
    endings: Sequence[str] = ENDINGS
    """How the name of a file may end."""

    def write(
        self,
        path: Path,
        groups: Iterable[Group | BareGroup],
        left_out: Counter[Sentence] | None = None,
        with_margin: bool = False,
    ) -> int:
        """Write a row for each comparison of the groups; count in `left_out` what has no place; return how many rows.

        See `write_pairs`.
        """
        left_out = Counter() if left_out is None else left_out
        return self.write_pairs(path, pairs_of(groups, left_out), left_out, with_margin)

    def write_pairs(
        self, path: Path, pairs: Iterable[Pair], left_out: Counter[Sentence] | None = None, with_margin: bool = False
    ) -> int:
        """Write the row of each pair and return how many rows; `with_margin` adds the column `margin`.

        See `write_rows` for the file, and `margin_of`.
        """
        left_out = Counter() if left_out is None else left_out
        schema = self.schema.append(pa.field("margin", pa.float64())) if with_margin else self.schema
        return write_rows(path, self._rows(pairs, left_out, with_margin), schema, self.endings)

    def _rows(self, pairs: Iterable[Pair], left_out: Counter[Sentence], with_margin: bool) -> Iterator[RowFields]:
        for pair in pairs:
            row = self.row_of(pair, left_out)
            if row is None:
                continue
            if with_margin or pair.margin is not None or pair.weight != 1:
                row |= margin_of(pair, left_out, with_margin)
            yield row


def margin_of(pair: Pair, left_out: Counter[Sentence], with_margin: bool) -> dict[str, orjson.Fragment]:
    """Return the pair's margin as a column, 0 if it has none, and count the margin and the weight that are not kept.

    A trainer wants a margin in every row or in none, and a margin of 0 asks for no gap. No trainer takes weights.
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

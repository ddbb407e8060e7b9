"""Judgements: every ranking of a store as tables, from which all measures of quality are computed.

Texts are measured and dropped while the groups stream by, so that 100,000 rankings take some tens of megabytes.

Each pair of completions that a ranking judges has one row. Which of the two is called first is arbitrary (the one that
comes first in its group), so no measure computed from these tables may depend on it.
"""

import re
from array import array
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import combinations
from math import factorial, prod

import numpy as np
import pandas as pd

from label_data.records import Completion, Group, Ranking
from label_data.sentences import Sentence, say

MARKUP = re.compile(
    r"^ {0,3}#{1,6} |^[ \t]*(?:[-*+]|\d{1,3}[.)]) |^[ \t]*```|^[ \t]*\|.*\|[ \t]*$"
    r"|\*\*[^*\n]+\*\*|`[^`\n]+`|\[[^\]\n]+\]\([^)\n]+\)",
    re.MULTILINE,
)
"""Headings, list items, fences, table rows, bold, code and links."""


@dataclass(frozen=True, slots=True, eq=False)
class Judgements:
    """All judgements as three tables; a number in one table is a row of another."""

    completions: pd.DataFrame
    """id, policy (categorical), characters, markup (number of marks of markdown)."""
    rankings: pd.DataFrame
    """One row per ranking: prompt (a number; prompts with the same first turn share it), annotator, category, outcome,
    seconds and submitted (nan if unknown), characters (of the prompt and the completions shown), shown (how many
    completions), order_is_known (whether the order on the screen is known), pattern (levels by place shown, 0 best;
    empty if the order is unknown or everything is tied), chance (probability of this pattern if its levels fell on the
    places at random), unchanged (whether the order is the order shown), submission."""
    pairs: pd.DataFrame
    """One row per pair that a ranking judges: ranking, first and second (rows of completions, first < second),
    judgement (1 the first is better, 0 a tie, -1 the second is better), first_place and second_place (as shown, from 0;
    both -1 if the order is unknown)."""
    left_out: Counter[Sentence] = field(default_factory=Counter)
    """Reason -> how many pairs or rankings are left out for it."""

    def of_pairs(self, column: str) -> pd.Series:
        """Return a column of the rankings, one value per pair."""
        values = self.rankings[column].take(self.pairs["ranking"].to_numpy())
        return values.set_axis(self.pairs.index)

    def once(self) -> pd.DataFrame:
        """Return each annotator's first judgement of each pair, with annotator, prompt, category and unit.

        The unit is a number for the pair. Repeats measure self-agreement; here they would count one annotator twice.
        """
        columns = {name: self.of_pairs(name) for name in ("annotator", "prompt", "category")}
        both = self.pairs["first"].to_numpy(np.int64) * (len(self.completions) + 1) + self.pairs["second"].to_numpy()
        units = np.unique(both, return_inverse=True)[1] if len(both) else both
        table = self.pairs.assign(**columns, unit=units)
        return table.drop_duplicates(["unit", "annotator"], ignore_index=True)


def judged_pairs(ranking: Ranking) -> dict[tuple[str, str], int]:
    """Return a ranking's judgement of each pair of completion ids, ids in order: 1, 0 or -1 as in `Judgements`."""
    levels = dict(sorted(_levels(ranking).items()))
    return {pair: _sign(levels[pair[1]] - levels[pair[0]]) for pair in combinations(levels, 2)}


def _sign(number: int) -> int:
    return (number > 0) - (number < 0)


def _levels(ranking: Ranking) -> dict[str, int]:
    """Return the level of each completion that was judged, 0 best.

    "All bad" judges no pair: it says neither which completion is better nor that they are tied. "Indistinguishable"
    ties all of them.
    """
    if ranking.outcome == "indistinguishable":
        return dict.fromkeys(ranking.shown, 0)
    return {completion: level for level, tied in enumerate(ranking.order) for completion in tied}


def judgements(groups: Iterable[Group]) -> Judgements:
    """Return the tables of these groups, in one pass.

    Left out, and counted: pairs of completions that are equal but for white space, since nobody can prefer either; and
    rankings by a judge model, since the measures are about people.
    """
    return _Tables().filled(groups)


RANKING_COLUMNS = (
    "prompt",
    "annotator",
    "category",
    "outcome",
    "seconds",
    "submitted",
    "characters",
    "shown",
    "order_is_known",
    "pattern",
    "chance",
    "unchanged",
    "submission",
)
PAIR_COLUMNS = ("ranking", "first", "second", "judgement", "first_place", "second_place")


def _integers() -> "array[int]":
    return array("i")


@dataclass(slots=True)
class _Tables:
    """Columns while they grow."""

    prompts: dict[str, int] = field(default_factory=dict)
    completions: list[tuple[str, str, int, int]] = field(default_factory=list)
    rankings: list[tuple[object, ...]] = field(default_factory=list)
    placed: "array[int]" = field(default_factory=_integers)
    """Rows of the completions that each ranking judges, ascending; `level` and `place` are parallel to it."""
    level: "array[int]" = field(default_factory=_integers)
    place: "array[int]" = field(default_factory=_integers)
    sizes: "array[int]" = field(default_factory=_integers)
    """How many completions each ranking judges."""
    first_equal: "array[int]" = field(default_factory=_integers)
    """For each completion, the first completion of its group with an equal text."""
    patterns: dict[tuple[int, ...], tuple[str, float, bool]] = field(default_factory=dict)
    left_out: Counter[Sentence] = field(default_factory=Counter)

    def filled(self, groups: Iterable[Group]) -> Judgements:
        for group in groups:
            if group.rankings:
                self._add(group)
        pairs = self._pairs()
        first_equal = np.frombuffer(self.first_equal, dtype=np.int32)
        is_equal = first_equal[pairs["first"].to_numpy()] == first_equal[pairs["second"].to_numpy()]
        self.left_out[say("label_data.quality.equal_texts")] += int(is_equal.sum())
        columns = ["id", "policy", "characters", "markup"]
        completions = pd.DataFrame(self.completions, columns=columns).astype({"policy": "category"})
        kinds = dict.fromkeys(("annotator", "category", "outcome", "pattern"), "category")
        rankings = pd.DataFrame(self.rankings, columns=list(RANKING_COLUMNS)).astype(
            {**kinds, "seconds": "float", "submitted": "float", "prompt": "int", "order_is_known": "bool"}
        )
        return Judgements(completions, rankings, pairs[~is_equal].reset_index(drop=True), +self.left_out)

    def _add(self, group: Group) -> None:
        prompt = self.prompts.setdefault(group.prompt.first_turn, len(self.prompts))
        rows: dict[str, int] = {}
        lengths: dict[str, int] = {}
        first_of: dict[str, int] = {}
        for completion in group.completions:
            rows[completion.id] = len(self.completions)
            lengths[completion.id] = len(completion.text)
            self.first_equal.append(first_of.setdefault(completion.folded, len(self.completions)))
            self.completions.append(_measured(completion))
        prompt_length = sum(len(message.content) for message in group.prompt.messages)
        for ranking in group.rankings:
            if ranking.source == "model":
                self.left_out[say("label_data.quality.judge_model")] += 1
            else:
                self._add_ranking(ranking, prompt, group.prompt.category, prompt_length, rows, lengths)

    def _add_ranking(
        self,
        ranking: Ranking,
        prompt: int,
        category: str,
        prompt_length: int,
        rows: dict[str, int],
        lengths: dict[str, int],
    ) -> None:
        levels, known = _levels(ranking), ranking.order_is_known
        places = {id: place if known else -1 for place, id in enumerate(ranking.shown)}
        for row, level, place in sorted((rows[id], level, places[id]) for id, level in levels.items()):
            self.placed.append(row)
            self.level.append(level)
            self.place.append(place)
        self.sizes.append(len(levels))
        has_pattern = known and len(set(levels.values())) > 1
        by_place = tuple(levels.get(id, len(ranking.order)) for id in ranking.shown) if has_pattern else ()
        characters = prompt_length + sum(lengths[id] for id in ranking.shown)
        about = prompt, ranking.annotator, category, ranking.outcome, ranking.seconds, ranking.submitted
        self.rankings.append(
            (*about, characters, len(ranking.shown), known, *self._pattern(by_place), ranking.submission)
        )

    def _pattern(self, levels: tuple[int, ...]) -> tuple[str, float, bool]:
        """Return the pattern of these levels by place, its probability by chance, and whether nothing was moved."""
        if levels not in self.patterns:
            ways = factorial(len(levels)) / prod(factorial(times) for times in Counter(levels).values())
            self.patterns[levels] = "".join(map(str, levels)), 1 / ways, bool(levels) and list(levels) == sorted(levels)
        return self.patterns[levels]

    def _pairs(self) -> pd.DataFrame:
        """Return the pairs of all rankings; rankings of equally many completions are computed together."""
        sizes = np.frombuffer(self.sizes, dtype=np.int32)
        starts = np.cumsum(sizes) - sizes
        placed, level, place = (
            np.frombuffer(column, dtype=np.int32) for column in (self.placed, self.level, self.place)
        )
        parts: list[tuple[np.ndarray, ...]] = [(np.empty(0, dtype=np.int32),) * len(PAIR_COLUMNS)]
        for size in np.unique(sizes[sizes > 1]):
            rankings = np.flatnonzero(sizes == size)
            rows = starts[rankings, None] + np.arange(size)
            first, second = (rows[:, side] for side in np.triu_indices(size, 1))
            judged = np.sign(level[second] - level[first])
            columns = (placed[first], placed[second], judged, place[first], place[second])
            numbers = np.repeat(rankings.astype(np.int32), first.shape[1])
            parts.append((numbers, *(column.ravel().astype(np.int32) for column in columns)))
        joined = [np.concatenate(column) for column in zip(*parts, strict=True)]
        table = pd.DataFrame(dict(zip(PAIR_COLUMNS, joined, strict=True)))
        small = dict.fromkeys(("judgement", "first_place", "second_place"), np.int8)
        return table.astype(small).sort_values("ranking", kind="stable", ignore_index=True)


def _measured(completion: Completion) -> tuple[str, str, int, int]:
    return completion.id, completion.policy, len(completion.text), len(MARKUP.findall(completion.text))

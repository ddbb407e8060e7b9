"""Every ranking of a store as tables: what agreement, bias, reliability and the leaderboard are computed from.

Texts are measured and dropped while the groups stream by, so that 100,000 rankings stay in some tens of megabytes.

Of every pair of completions that a ranking judges there is one row. Which of the two is called first is arbitrary (the
one that comes first in its group): no measure made of these tables may depend on it.
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

MARKUP = re.compile(
    r"^ {0,3}#{1,6} |^[ \t]*(?:[-*+]|\d{1,3}[.)]) |^[ \t]*```|^[ \t]*\|.*\|[ \t]*$"
    r"|\*\*[^*\n]+\*\*|`[^`\n]+`|\[[^\]\n]+\]\([^)\n]+\)",
    re.MULTILINE,
)
"""Headings, list items, fences, table rows, bold, code and links."""


@dataclass(frozen=True, slots=True, eq=False)
class Judgements:
    """What was judged, as three tables; a number in one names a row of another."""

    completions: pd.DataFrame
    """id, policy (category), characters, markup (marks of markdown in it)."""
    rankings: pd.DataFrame
    """A row a ranking: prompt (a number; prompts that share their first turn share it), annotator, category, outcome,
    seconds and submitted (nan if unknown), characters (read: the prompt and what was shown), shown (how many),
    order_is_known (is it known in which order they were shown?), pattern (levels by place shown, 0 best; the ranking
    says nothing if it is empty, as without a known order), chance (probability of this pattern if its levels fell on
    the places at random), unchanged (was nothing moved past anything?), submission."""
    pairs: pd.DataFrame
    """A row a pair that a ranking judges: ranking, first and second (rows of completions, first < second), judgement
    (1 the first is better, 0 a tie, -1 the second is better), first_place and second_place (as shown, from 0; -1
    both, where the order is not known)."""
    left_out: Counter[str] = field(default_factory=Counter)

    def of_pairs(self, column: str) -> pd.Series:
        """Return a column of the rankings, one value a pair."""
        values = self.rankings[column].take(self.pairs["ranking"].to_numpy())
        return values.set_axis(self.pairs.index)

    def once(self) -> pd.DataFrame:
        """Return the pairs with annotator, prompt, category and unit (the pair's number), each annotator's first
        judgement of a pair alone: a repeat is for self-consistency, and would count one voice twice."""
        named = {name: self.of_pairs(name) for name in ("annotator", "prompt", "category")}
        both = self.pairs["first"].to_numpy(np.int64) * (len(self.completions) + 1) + self.pairs["second"].to_numpy()
        units = np.unique(both, return_inverse=True)[1] if len(both) else both
        table = self.pairs.assign(**named, unit=units)
        return table.drop_duplicates(["unit", "annotator"], ignore_index=True)


def judged_pairs(ranking: Ranking) -> dict[tuple[str, str], int]:
    """Return what one ranking says of each pair of completion ids, in order of id: 1, 0 or -1 as in `Judgements`."""
    levels = dict(sorted(_levels(ranking).items()))
    return {pair: _sign(levels[pair[1]] - levels[pair[0]]) for pair in combinations(levels, 2)}


def _sign(number: int) -> int:
    return (number > 0) - (number < 0)


def _levels(ranking: Ranking) -> dict[str, int]:
    """Return the level of each completion that was judged, 0 best.

    All bad says nothing about which is better or that none is; indistinguishable says that all are tied.
    """
    if ranking.outcome == "indistinguishable":
        return dict.fromkeys(ranking.shown, 0)
    return {completion: level for level, tied in enumerate(ranking.order) for completion in tied}


def judgements(groups: Iterable[Group]) -> Judgements:
    """Return the tables of these groups, in one pass.

    Left out, and counted: pairs of completions equal but for white space, of which nobody can prefer one; rankings by
    a judge model, since all of this is about people.
    """
    return _Tables().filled(groups)


@dataclass(slots=True)
class _Tables:
    """Columns while they grow."""

    prompts: dict[str, int] = field(default_factory=dict)
    completions: list[tuple[str, str, int, int]] = field(default_factory=list)
    rankings: list[tuple[object, ...]] = field(default_factory=list)
    placed: array = field(default_factory=lambda: array("i"))
    """Rows of completions, by ranking, ascending; `level` and `place` beside them, `sizes` how many a ranking has."""
    level: array = field(default_factory=lambda: array("i"))
    place: array = field(default_factory=lambda: array("i"))
    sizes: array = field(default_factory=lambda: array("i"))
    twin: array = field(default_factory=lambda: array("i"))
    """For each completion the first one of its group with the same text."""
    patterns: dict[tuple[int, ...], tuple[str, float, bool]] = field(default_factory=dict)
    left_out: Counter[str] = field(default_factory=Counter)

    def filled(self, groups: Iterable[Group]) -> Judgements:
        for group in groups:
            if group.rankings:
                self._add(group)
        pairs = self._pairs()
        twins = np.frombuffer(self.twin, dtype=np.int32)
        same = twins[pairs["first"].to_numpy()] == twins[pairs["second"].to_numpy()]
        self.left_out["pairs of completions with equal texts"] += int(same.sum())
        columns = ["id", "policy", "characters", "markup"]
        completions = pd.DataFrame(self.completions, columns=columns).astype({"policy": "category"})
        names = (
            "prompt annotator category outcome seconds submitted characters shown order_is_known pattern chance "
            "unchanged submission"
        )
        rankings = pd.DataFrame(self.rankings, columns=names.split())
        kinds = dict.fromkeys(("annotator", "category", "outcome", "pattern"), "category")
        rankings = rankings.astype(
            {**kinds, "seconds": float, "submitted": float, "prompt": int, "order_is_known": bool}
        )
        return Judgements(completions, rankings, pairs[~same].reset_index(drop=True), +self.left_out)

    def _add(self, group: Group) -> None:
        prompt = self.prompts.setdefault(group.prompt.first_turn, len(self.prompts))
        row, length, first_of = {}, {}, {}
        for completion in group.completions:
            row[completion.id] = len(self.completions)
            length[completion.id] = len(completion.text)
            self.twin.append(first_of.setdefault(completion.folded, len(self.completions)))
            self.completions.append(_measured(completion))
        asked = sum(len(message.content) for message in group.prompt.messages)
        for ranking in group.rankings:
            if ranking.source == "model":
                self.left_out["rankings by a judge model"] += 1
                continue
            levels = _levels(ranking)
            known = ranking.order_is_known
            place = {id: at if known else -1 for at, id in enumerate(ranking.shown)}
            placed = sorted((row[id], level, place[id]) for id, level in levels.items())
            for column, values in zip((self.placed, self.level, self.place), zip(*placed, strict=True), strict=False):
                column.extend(values)
            self.sizes.append(len(placed))
            last, tells = len(ranking.order), known and len(set(levels.values())) > 1
            of_places = tuple(levels.get(id, last) for id in ranking.shown) if tells else ()
            read = asked + sum(length[id] for id in ranking.shown)
            about = ranking.annotator, group.prompt.category, ranking.outcome, ranking.seconds, ranking.submitted
            pattern = self._pattern(of_places)
            self.rankings.append((prompt, *about, read, len(ranking.shown), known, *pattern, ranking.submission))

    def _pattern(self, levels: tuple[int, ...]) -> tuple[str, float, bool]:
        if levels not in self.patterns:
            ways = factorial(len(levels)) / prod(factorial(times) for times in Counter(levels).values())
            self.patterns[levels] = "".join(map(str, levels)), 1 / ways, bool(levels) and list(levels) == sorted(levels)
        return self.patterns[levels]

    def _pairs(self) -> pd.DataFrame:
        """Return the pairs of all rankings: those that place equally many completions are worked out at once."""
        sizes = np.frombuffer(self.sizes, dtype=np.int32)
        starts = np.cumsum(sizes) - sizes
        placed, level, place = (
            np.frombuffer(column, dtype=np.int32) for column in (self.placed, self.level, self.place)
        )
        names = ("ranking", "first", "second", "judgement", "first_place", "second_place")
        found: list[tuple[np.ndarray, ...]] = [(np.empty(0, dtype=np.int32),) * len(names)]
        for size in np.unique(sizes[sizes > 1]):
            rankings = np.flatnonzero(sizes == size)
            at = starts[rankings, None] + np.arange(size)
            one, other = np.triu_indices(size, 1)
            judged = np.sign(level[at[:, other]] - level[at[:, one]])
            columns = (placed[at[:, one]], placed[at[:, other]], judged, place[at[:, one]], place[at[:, other]])
            numbers = np.repeat(rankings.astype(np.int32), len(one))
            found.append((numbers, *(column.ravel().astype(np.int32) for column in columns)))
        table = pd.DataFrame(
            {name: np.concatenate(part) for name, part in zip(names, zip(*found, strict=True), strict=True)}
        )
        small = dict.fromkeys(("judgement", "first_place", "second_place"), np.int8)
        return table.astype(small).sort_values("ranking", kind="stable", ignore_index=True)


def _measured(completion: Completion) -> tuple[str, str, int, int]:
    return completion.id, completion.policy, len(completion.text), len(MARKUP.findall(completion.text))

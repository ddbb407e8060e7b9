"""Consistency: whether annotators agree with themselves, with gold rankings, and with transitivity.

`collect_tests` finds hidden repeats and gold rankings by the purpose of a ranking; the measures take the pairs of
rankings that it collects.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations, product

import numpy as np
import pandas as pd

from label_data.intervals import Estimate, estimates, rate, ratio
from label_data.quality.agreement import Agreement, agreement
from label_data.quality.judgements import Judgements, judged_pairs
from label_data.records import Group, Ranking


@dataclass(frozen=True, slots=True)
class Transitivity:
    """How often three pairwise judgements of three completions are intransitive."""

    intransitive: Estimate
    """Share of triples. Its count is the number of triples whose three pairs one annotator judged pair by pair."""
    by_chance: float
    """The share if every judgement were drawn at random with the same share of ties."""


def collect_tests(
    groups: Iterable[Group], repeats: list[tuple[Ranking, Ranking]], gold: list[tuple[Ranking, Ranking]]
) -> Iterator[Group]:
    """Yield the groups unchanged, and append the rankings in them that test annotators to the two lists.

    Args:
        repeats: gets (first, repeat): two rankings by one annotator, the second made as a hidden repeat.
        gold: gets (gold ranking, annotator's ranking) of each prompt whose ranking is known.

    A prompt may be ranked in several projects: a repeat is paired with the first ranking of the same project.
    """
    for group in groups:
        first = {
            (ranking.project, ranking.annotator): ranking
            for ranking in reversed(group.rankings)
            if not ranking.tests_annotator
        }
        key = next((ranking for ranking in group.rankings if ranking.purpose == "key"), None)
        for ranking in group.rankings:
            owner = (ranking.project, ranking.annotator)
            if ranking.purpose == "repeat" and owner in first:
                repeats.append((first[owner], ranking))
            elif ranking.purpose == "gold" and key is not None:
                gold.append((key, ranking))
        yield group


def self_agreement(repeats: Iterable[tuple[Ranking, Ranking]], seed: int = 0) -> dict[str, Agreement]:
    """Return each annotator's agreement with themselves, and under "" that of all annotators together.

    Args:
        repeats: two rankings of the same prompt by the same annotator, the second shown as if it were new.

    Annotators cannot agree with others better than with themselves. Pairs that only one of the two rankings judges do
    not count.
    """
    rows = []
    for number, (first, repeat) in enumerate(repeats):
        before, after = judged_pairs(first), judged_pairs(repeat)
        both = [(before[pair], after[pair]) for pair in before if pair in after]
        rows += [(first.prompt_id, first.annotator, 2 * number, 2 * number + 1, a, b, 1.0) for a, b in both]
    names = ["prompt", "annotator", "ranking_a", "ranking_b", "a", "b", "weight"]
    table = pd.DataFrame(rows, columns=names)
    table["prompt"] = pd.factorize(table["prompt"])[0]
    by_annotator = {str(name): agreement(part, seed) for name, part in table.groupby("annotator")}
    return {"": agreement(table, seed), **by_annotator}


def gold_accuracy(answers: Iterable[tuple[Ranking, Ranking]], seed: int = 0) -> dict[str, Estimate]:
    """Return each annotator's accuracy on gold comparisons, and under "" that of all annotators together.

    Args:
        answers: (gold ranking, annotator's ranking of the same completions).

    A tie against a gold preference counts half. Pairs that are tied in the gold ranking do not count.
    """
    rows = []
    for gold, answer in answers:
        given = judged_pairs(answer)
        compared = [(right, given[pair]) for pair, right in judged_pairs(gold).items() if right and pair in given]
        rows += [(gold.prompt_id, answer.annotator, (1 + right * side) / 2) for right, side in compared]
    table = pd.DataFrame(rows, columns=["prompt", "annotator", "right"])
    table["prompt"] = pd.factorize(table["prompt"])[0]
    parts = {"": table, **{str(name): part for name, part in table.groupby("annotator")}}
    return {name: rate(part["right"].to_numpy(float), part["prompt"].to_numpy(), seed) for name, part in parts.items()}


def _is_transitive(ab: int, bc: int, ac: int) -> bool:
    """Return whether three judgements (1, 0, -1) fit some order of a, b and c, ties allowed.

    a and b differ by ab, b and c by bc. The third judgement must have the sign of their sum; if ab and bc have opposite
    signs, any third judgement fits.
    """
    return bool(ac == np.sign(ab + bc)) if ab * bc >= 0 else True


TRANSITIVE = {triple: _is_transitive(*triple) for triple in product((-1, 0, 1), repeat=3)}
"""The 27 possible triples of judgements -> whether they are transitive. 13 are: the orders of three with ties."""


def intransitive_by_chance(tied: float) -> float:
    """Return how often three random judgements are intransitive: 1/4 without ties, 14/27 if a third are tied."""
    chance = {1: (1 - tied) / 2, 0: tied, -1: (1 - tied) / 2}
    return sum(chance[ab] * chance[bc] * chance[ac] for (ab, bc, ac), fits in TRANSITIVE.items() if not fits)


def transitivity(judged: Judgements, seed: int = 0) -> Transitivity:
    """Return how often an annotator's pairwise judgements are intransitive.

    Only rankings of two completions count: an order of three or more is transitive by construction. A triple counts if
    one annotator judged all three of its pairs.
    """
    table = judged.once()
    table = table[judged.rankings["shown"].take(table["ranking"].to_numpy()).to_numpy() == 2]
    by_prompt: dict[tuple[str, int], dict[tuple[int, int], int]] = defaultdict(dict)
    columns = (table[name].tolist() for name in ("annotator", "prompt", "first", "second", "judgement"))
    for annotator, prompt, first, second, judgement in zip(*columns, strict=True):
        by_prompt[annotator, prompt][first, second] = judgement
    intransitive, prompts = [], []
    judgements: list[int] = []
    for (_, prompt), pairs in by_prompt.items():
        for a, b, c in _triples(pairs) if len(pairs) > 2 else ():
            triple = pairs[a, b], pairs[b, c], pairs[a, c]
            intransitive.append(not TRANSITIVE[triple])
            prompts.append(prompt)
            judgements += triple
    parts = np.column_stack([np.array(intransitive, dtype=float), np.ones(len(intransitive))])
    share = estimates(parts, np.array(prompts, dtype=int), {"": ratio}, seed=seed)[""]
    tied = judgements.count(0) / len(judgements) if judgements else float("nan")
    return Transitivity(share, intransitive_by_chance(tied))


def _triples(pairs: Mapping[tuple[int, int], int]) -> list[tuple[int, int, int]]:
    """Return every a < b < c whose three pairs were all judged."""
    seconds = defaultdict(list)
    for first, second in pairs:
        seconds[first].append(second)
    triples = []
    for a, after in seconds.items():
        triples += [(a, b, c) for b, c in combinations(sorted(after), 2) if (b, c) in pairs]
    return triples

"""Do annotators agree with themselves, with gold answers, and with logic?

`gathering_tests` finds repeats and gold answers by the purpose of a ranking; what measures them takes pairs of these.
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
    """How often three judgements of three completions fit no order of them."""

    intransitive: Estimate
    """Share of triples; its count is how many triples one annotator judged pair by pair."""
    by_chance: float
    """The share if every judgement were drawn at random with the same share of ties."""


def gathering_tests(
    groups: Iterable[Group], repeats: list[tuple[Ranking, Ranking]], gold: list[tuple[Ranking, Ranking]]
) -> Iterator[Group]:
    """Yield the groups as they come, and append the tests of annotators that are in them to the two lists.

    Args:
        repeats: gets (first, again): two rankings by one annotator, the second made as a hidden repeat.
        gold: gets (gold answer, annotator's) of each prompt whose ranking is known.

    A prompt may be ranked for several projects: a repeat is held against what was said for the same one.
    """
    for group in groups:
        first = {(one.project, one.annotator): one for one in reversed(group.rankings) if not one.tests_annotator}
        key = next((one for one in group.rankings if one.purpose == "key"), None)
        for ranking in group.rankings:
            whose = (ranking.project, ranking.annotator)
            if ranking.purpose == "repeat" and whose in first:
                repeats.append((first[whose], ranking))
            elif ranking.purpose == "gold" and key is not None:
                gold.append((key, ranking))
        yield group


def self_consistency(repeats: Iterable[tuple[Ranking, Ranking]], seed: int = 0) -> dict[str, Agreement]:
    """Return how far each annotator agrees with themselves, and under "" all together.

    Args:
        repeats: two rankings of the same prompt by the same annotator, the second shown as if it were new.

    An annotator's agreement with themselves bounds that with others. A pair that only one of the two judges is no part.
    """
    rows = []
    for number, (one, again) in enumerate(repeats):
        said, repeated = judged_pairs(one), judged_pairs(again)
        both = [(said[pair], repeated[pair]) for pair in said if pair in repeated]
        rows += [(one.prompt_id, one.annotator, 2 * number, 2 * number + 1, a, b, 1.0) for a, b in both]
    names = ["prompt", "annotator", "ranking_a", "ranking_b", "a", "b", "weight"]
    table = pd.DataFrame(rows, columns=names)
    table["prompt"] = pd.factorize(table["prompt"])[0]
    by_annotator = {name: agreement(part, seed) for name, part in table.groupby("annotator")}
    return {"": agreement(table, seed), **by_annotator}


def gold_accuracy(answers: Iterable[tuple[Ranking, Ranking]], seed: int = 0) -> dict[str, Estimate]:
    """Return each annotator's share of gold comparisons ordered as the gold answer does, and under "" all together.

    Args:
        answers: (gold answer, annotator's ranking of the same completions).

    A tie against a gold preference counts half. Pairs that the gold answer ties are no part.
    """
    rows = []
    for gold, answer in answers:
        said = judged_pairs(answer)
        compared = [(right, said[pair]) for pair, right in judged_pairs(gold).items() if right and pair in said]
        rows += [(gold.prompt_id, answer.annotator, (1 + right * given) / 2) for right, given in compared]
    table = pd.DataFrame(rows, columns=["prompt", "annotator", "right"])
    table["prompt"] = pd.factorize(table["prompt"])[0]
    parts = {"": table, **dict(list(table.groupby("annotator")))}
    return {name: rate(part["right"].to_numpy(float), part["prompt"].to_numpy(), seed) for name, part in parts.items()}


def _fits_an_order(ab: int, bc: int, ac: int) -> bool:
    """Say whether three judgements (1, 0, -1) are those of some order of a, b and c, ties allowed.

    a and b differ by ab, b and c by bc: the third must have the sign of the two together, any sign if they oppose.
    """
    return ac == np.sign(ab + bc) if ab * bc >= 0 else True


FITTING = {triple: bool(_fits_an_order(*triple)) for triple in product((-1, 0, 1), repeat=3)}
"""The 27 possible triples; 13 of them are orders of three with ties."""


def intransitive_by_chance(tied: float) -> float:
    """Return how often three random judgements fit no order: a quarter without ties, 14 in 27 if a third are tied."""
    chance = {1: (1 - tied) / 2, 0: tied, -1: (1 - tied) / 2}
    return sum(chance[ab] * chance[bc] * chance[ac] for (ab, bc, ac), fits in FITTING.items() if not fits)


def transitivity(judged: Judgements, seed: int = 0) -> Transitivity:
    """Return how often an annotator's judgements of two at a time go round in a circle.

    Only rankings that were shown two completions: an order of three or more is transitive because of how it is asked.
    A triple counts if one annotator judged all three of its pairs.
    """
    table = judged.once()
    table = table[judged.rankings["shown"].take(table["ranking"].to_numpy()).to_numpy() == 2]
    said: Mapping[tuple[str, int], dict[tuple[int, int], int]] = defaultdict(dict)
    columns = (table[name].tolist() for name in ("annotator", "prompt", "first", "second", "judgement"))
    for annotator, prompt, first, second, judgement in zip(*columns, strict=True):
        said[annotator, prompt][first, second] = judgement
    bad, prompts = [], []
    judgements: list[int] = []
    for (_, prompt), pairs in said.items():
        for a, b, c in _triples(pairs) if len(pairs) > 2 else ():
            triple = pairs[a, b], pairs[b, c], pairs[a, c]
            bad.append(not FITTING[triple])
            prompts.append(prompt)
            judgements += triple
    parts = np.column_stack([np.array(bad, dtype=float), np.ones(len(bad))])
    found = estimates(parts, np.array(prompts, dtype=int), {"": ratio}, seed=seed)[""]
    tied = judgements.count(0) / len(judgements) if judgements else float("nan")
    return Transitivity(found, intransitive_by_chance(tied))


def _triples(pairs: Mapping[tuple[int, int], int]) -> list[tuple[int, int, int]]:
    """Return every a < b < c of which all three pairs were judged."""
    seconds = defaultdict(list)
    for first, second in pairs:
        seconds[first].append(second)
    found = []
    for a, after in seconds.items():
        found += [(a, b, c) for b, c in combinations(sorted(after), 2) if (b, c) in pairs]
    return found

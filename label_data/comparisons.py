"""From rankings to comparisons, and from prompts to train and held-out."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from itertools import combinations, product

from label_data.records import Comparison, Group, Ranking

FIRST_WORDS = 8
"""Of two texts: they tell nearly always that the two differ, in a tenth of the time that all words take."""


def comparisons(ranking: Ranking) -> list[Comparison]:
    """Return every comparison that the ranking implies, best groups first.

    K completions in K groups give K (K - 1) / 2 comparisons. Completions in one group give none between them, and
    those not placed give none at all. Their weights sum to 1.

    Source: Ouyang et al. 2022, arXiv:2203.02155, section 3.5.
    """
    found = list(implied_pairs(ranking.order, ranking.strength))
    return [
        Comparison(ranking.prompt_id, chosen, rejected, ranking.annotator, strength, 1 / len(found))
        for chosen, rejected, strength in found
    ]


def implied_pairs(
    order: Sequence[Sequence[str]], strength: Sequence[int | None]
) -> Iterator[tuple[str, str, int | None]]:
    """Yield chosen, rejected and strength of the same comparisons, for those that need no more of them."""
    for (better, group), (worse, other) in combinations(enumerate(order), 2):
        steps = strength[better:worse]
        between = None if not steps or None in steps else sum(steps)
        for chosen, rejected in product(group, other):
            yield chosen, rejected, between


def group_comparisons(group: Group) -> list[Comparison]:
    """Return the comparisons of every ranking of the group that says which completions are better.

    Left out are repeats and answers to gold prompts (`Ranking.tests_annotator`), and white-space twins: two
    completions whose texts are equal cannot be told apart by any reward model, and such a pair would count half.
    """
    texts = {completion.id: completion.text for completion in group.completions}
    return [
        comparison
        for ranking in group.rankings
        if not ranking.tests_annotator
        for comparison in comparisons(ranking)
        if not are_equal_texts(texts[comparison.chosen], texts[comparison.rejected])
    ]


def are_equal_texts(text: str, other: str) -> bool:
    """Do the two differ in white space alone?"""
    return first_words(text) == first_words(other) and text.split() == other.split()


def first_words(text: str) -> list[str]:
    """Return the text's first words, which twins share."""
    return text.split(None, FIRST_WORDS)[:FIRST_WORDS]


def is_held_out(group: Group, share: float = 0.2, seed: int = 0) -> bool:
    """Say whether the group's prompt is on the held-out side.

    Decided by a hash of the folded first user turn alone: adding data never moves a prompt to the other side, and
    conversations that share their first turn stay together.
    """
    digest = hashlib.sha256(f"{seed}\n{group.prompt.first_turn}".encode()).digest()
    return int.from_bytes(digest[:8], "big") < share * 2**64


def split_by_prompt(groups: Iterable[Group], share: float = 0.2, seed: int = 0) -> tuple[list[Group], list[Group]]:
    """Return (train, held out): about `share` of the prompts are held out, none is on both sides."""
    train: list[Group] = []
    held_out: list[Group] = []
    for group in groups:
        (held_out if is_held_out(group, share, seed) else train).append(group)
    return train, held_out

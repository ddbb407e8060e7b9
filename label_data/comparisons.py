"""Derive comparisons from rankings, and split prompts into training and held-out sets."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from itertools import combinations, product

from label_data.records import Comparison, Group, Ranking

FIRST_WORDS = 8
"""Words compared first: they nearly always show that texts differ, in a tenth of the time of comparing all words."""


def comparisons(ranking: Ranking) -> list[Comparison]:
    """Return every comparison that the ranking implies, best groups first.

    K completions in K groups give K (K - 1) / 2 comparisons. Completions in the same group give none between them, and
    completions that were not placed give none at all. The weights of the comparisons sum to 1.

    Source: Ouyang et al. 2022, arXiv:2203.02155, section 3.5.
    """
    pairs = list(implied_pairs(ranking.order, ranking.strength))
    return [
        Comparison(ranking.prompt_id, chosen, rejected, ranking.annotator, strength, 1 / len(pairs))
        for chosen, rejected, strength in pairs
    ]


def implied_pairs(
    order: Sequence[Sequence[str]], strength: Sequence[int | None]
) -> Iterator[tuple[str, str, int | None]]:
    """Yield (chosen, rejected, strength) of the same comparisons, without making records."""
    for (better, group), (worse, other) in combinations(enumerate(order), 2):
        total: int | None = None
        for step in strength[better:worse]:
            if step is None:
                total = None
                break
            total = step if total is None else total + step
        for chosen, rejected in product(group, other):
            yield chosen, rejected, total


def group_comparisons(group: Group) -> list[Comparison]:
    """Return the comparisons of the group's rankings.

    Left out are hidden repeats and answers to gold prompts (`Ranking.tests_annotator`), and pairs of completions whose
    texts are equal except for white space: no reward model can prefer one of them.
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
    """Whether the texts are equal except for white space."""
    return first_words(text) == first_words(other) and text.split() == other.split()


def first_words(text: str) -> list[str]:
    """Return the text's first words. Equal texts have equal first words."""
    return text.split(None, FIRST_WORDS)[:FIRST_WORDS]


def is_held_out(group: Group, share: float = 0.2, seed: int = 0) -> bool:
    """Return whether the group's prompt is held out.

    Only a hash of the first user turn, case and white space folded, decides. So adding data never moves a prompt to the
    other side, and conversations that share their first turn stay together.
    """
    digest = hashlib.sha256(f"{seed}\n{group.prompt.first_turn}".encode()).digest()
    return int.from_bytes(digest[:8], "big") < share * 2**64


def split_by_prompt(groups: Iterable[Group], share: float = 0.2, seed: int = 0) -> tuple[list[Group], list[Group]]:
    """Return (training groups, held-out groups). About `share` of the prompts are held out; none is on both sides."""
    train: list[Group] = []
    held_out: list[Group] = []
    for group in groups:
        (held_out if is_held_out(group, share, seed) else train).append(group)
    return train, held_out

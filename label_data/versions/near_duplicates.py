"""Prompts that say nearly the same, so that a split can keep them on one side.

Two texts are near-duplicates if the sets of their word pairs overlap by a threshold (Jaccard: common / all). Every two
that are so are found, none by luck: a hash of each set (MinHash) would miss some. Texts are folded first: case and
white space do not matter, nor does what stands between words. Where words are not written apart, a character is one.

Of a conversation two texts count: its first user turn, and all its user turns together. So conversations that begin
alike stay together, and so do those that come to the same in one turn and in several.

Sources: Broder 1997, "On the resemblance and containment of documents" (shingles); Bayardo, Ma and Srikant 2007,
"Scaling up all pairs similarity search", section 3 (what is compared with what).
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from fractions import Fraction
from itertools import pairwise

from label_data.records import Prompt

THRESHOLD = 0.7
"""One word put into a prompt of seven words or more makes a near-duplicate of it; another word in place of one, in a
prompt of eleven or more."""
_APART = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
"""Thai, Lao, Burmese, Khmer, kana and Chinese characters."""
_WORDS = re.compile(rf"[{_APART}]|[^\W{_APART}]+")


def word_pairs(text: str) -> frozenset[str]:
    """Return every two neighbouring words of the folded text, its start and end counted as words.

    A text without any word is the one word that it is.
    """
    folded = " ".join(text.casefold().split())
    words = ["", *(_WORDS.findall(folded) or [folded]), ""]
    return frozenset(f"{one} {other}" for one, other in pairwise(words))


def overlap(one: frozenset[str], other: frozenset[str]) -> Fraction:
    """Return the Jaccard overlap of two sets that are not both empty, exactly."""
    common = len(one & other)
    return Fraction(common, len(one) + len(other) - common)


def texts_of(prompt: Prompt) -> tuple[str, ...]:
    """Return the texts by which the prompt is a near-duplicate of another: its first user turn, and all of them."""
    turns = [message.content for message in prompt.messages if message.role == "user"]
    return (turns[0],) if len(turns) == 1 else (turns[0], "\n".join(turns))


def near_duplicates(texts: Iterable[Sequence[str]], threshold: float = THRESHOLD) -> list[int]:
    """Return, for each prompt's texts, the number of its family: near-duplicates and theirs in turn share one.

    Args:
        texts: of each prompt, as `texts_of` gives them.
        threshold: the least overlap, above 0 and at most 1. At 1 only equal sets of word pairs are near-duplicates.

    Families are numbered in the order in which they first come. The result, but for the numbers, does not depend on
    the order of the prompts.
    """
    least = Fraction(str(threshold))
    number_of: dict[frozenset[str], int] = {}
    sets_of = [[number_of.setdefault(word_pairs(text), len(number_of)) for text in some] for some in texts]
    families = _Families(len(number_of))
    for first, *others in sets_of:
        for other in others:
            families.join(first, other)
    _join_overlapping(list(number_of), least, families)
    names: dict[int, int] = {}
    return [names.setdefault(families.of(some[0]), len(names)) for some in sets_of]


class _Families:
    """Sets of numbers that only ever grow together (union-find)."""

    def __init__(self, count: int) -> None:
        self._parents = list(range(count))

    def of(self, number: int) -> int:
        """Return the number that stands for the family."""
        while self._parents[number] != number:
            self._parents[number] = self._parents[self._parents[number]]
            number = self._parents[number]
        return number

    def join(self, one: int, other: int) -> None:
        """Make one family of two."""
        self._parents[self.of(one)] = self.of(other)


def _join_overlapping(sets: Sequence[frozenset[str]], least: Fraction, families: _Families) -> None:
    """Join the families of every two sets that overlap by `least` or more.

    Sets that overlap so have one of their rarest members in common: of n members it is enough to look at the rarest
    n - ceil(least n) + 1, because without any of those fewer than least n are left.
    """
    of, least_of = least.denominator, least.numerator  # whole numbers: exact as fractions are, and many times as fast
    rarity = Counter(member for members in sets for member in members)
    with_rare: dict[str, list[int]] = defaultdict(list)
    for number in sorted(range(len(sets)), key=lambda at: len(sets[at])):
        members = sets[number]
        rarest = sorted(members, key=lambda member: (rarity[member], member))
        seen: set[int] = set()
        family, fewest = families.of(number), least_of * len(members)
        for member in rarest[: len(members) - -(-fewest // of) + 1]:
            for other in with_rare[member]:
                if other in seen or len(sets[other]) * of < fewest or families.of(other) == family:
                    continue
                seen.add(other)
                common = len(members & sets[other])
                if common * of >= least_of * (len(members) + len(sets[other]) - common):
                    families.join(other, number)
                    family = families.of(number)
            with_rare[member].append(number)

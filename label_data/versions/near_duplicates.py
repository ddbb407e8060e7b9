"""Find near-duplicate prompts, so that a split can keep them on one side.

Two texts are near-duplicates if the overlap of their sets of word pairs reaches a threshold (Jaccard: common / all).
The search is exact: it finds every such pair, where comparing hashes of the sets (MinHash) would miss some. Case, white
space and punctuation do not matter. In scripts written without spaces between words, each character counts as a word.

Two texts of a conversation are compared: its first user turn, and all its user turns together. So conversations that
begin alike stay together, and so do conversations with the same text in one turn or in several.

Sources: Broder 1997, "On the resemblance and containment of documents" (shingles); Bayardo, Ma and Srikant 2007,
"Scaling up all pairs similarity search", section 3 (which sets need comparing).
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from fractions import Fraction
from itertools import pairwise

from label_data.records import Prompt

THRESHOLD = 0.7
"""Adding a word to a prompt of at least seven words makes a near-duplicate; so does replacing a word in a prompt of at
least eleven."""
_UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
"""Thai, Lao, Burmese, Khmer, kana and Chinese characters."""
_WORDS = re.compile(rf"[{_UNSPACED}]|[^\W{_UNSPACED}]+")


def word_pairs(text: str) -> frozenset[str]:
    """Return each pair of neighbouring words of the folded text; its start and its end count as words.

    A text without words counts as a single word.
    """
    folded = " ".join(text.casefold().split())
    words = ["", *(_WORDS.findall(folded) or [folded]), ""]
    return frozenset(f"{word} {following}" for word, following in pairwise(words))


def overlap(first: frozenset[str], second: frozenset[str]) -> Fraction:
    """Return the exact Jaccard overlap of two sets, at least one of which is not empty."""
    common = len(first & second)
    return Fraction(common, len(first) + len(second) - common)


def texts_of(prompt: Prompt) -> tuple[str, ...]:
    """Return the texts to compare with other prompts: the first user turn, and all user turns together if several."""
    turns = [message.content for message in prompt.messages if message.role == "user"]
    return (turns[0],) if len(turns) == 1 else (turns[0], "\n".join(turns))


def near_duplicates(texts: Iterable[Sequence[str]], threshold: float = THRESHOLD) -> list[int]:
    """Return the family number of each prompt: near-duplicates, and near-duplicates of these, share a family.

    Args:
        texts: the texts of each prompt, from `texts_of`.
        threshold: the least overlap, above 0 and at most 1. At 1 only equal sets of word pairs are near-duplicates.

    Families are numbered in order of first appearance. The order of the prompts changes only these numbers.
    """
    least = Fraction(str(threshold))
    number_of: dict[frozenset[str], int] = {}
    sets_of = [
        [number_of.setdefault(word_pairs(text), len(number_of)) for text in prompt_texts] for prompt_texts in texts
    ]
    families = _Families(len(number_of))
    for first, *others in sets_of:
        for other in others:
            families.join(first, other)
    _join_overlapping(list(number_of), least, families)
    names: dict[int, int] = {}
    return [names.setdefault(families.root(sets[0]), len(names)) for sets in sets_of]


class _Families:
    """Disjoint sets of numbers that can be merged (union-find)."""

    def __init__(self, count: int) -> None:
        self._parents = list(range(count))

    def root(self, number: int) -> int:
        """Return the number that identifies the family of this number."""
        while self._parents[number] != number:
            self._parents[number] = self._parents[self._parents[number]]
            number = self._parents[number]
        return number

    def join(self, first: int, second: int) -> None:
        """Merge the families of two numbers."""
        self._parents[self.root(first)] = self.root(second)


def _join_overlapping(sets: Sequence[frozenset[str]], least: Fraction, families: _Families) -> None:
    """Join the families of each two sets that overlap by `least` or more.

    Such sets share one of their rarest members. Among n members the rarest n - ceil(least n) + 1 suffice, because
    fewer than least n members remain without them.
    """
    numerator, denominator = least.numerator, least.denominator  # integers: as exact as fractions and many times faster
    rarity = Counter(member for members in sets for member in members)
    with_rare: dict[str, list[int]] = defaultdict(list)
    for number in sorted(range(len(sets)), key=lambda index: len(sets[index])):
        members = sets[number]
        rarest = sorted(members, key=lambda member: (rarity[member], member))
        seen: set[int] = set()
        family, fewest = families.root(number), numerator * len(members)
        for member in rarest[: len(members) - -(-fewest // denominator) + 1]:
            for other in with_rare[member]:
                if other in seen or len(sets[other]) * denominator < fewest or families.root(other) == family:
                    continue
                seen.add(other)
                common = len(members & sets[other])
                if common * denominator >= numerator * (len(members) + len(sets[other]) - common):
                    families.join(other, number)
                    family = families.root(number)
            with_rare[member].append(number)

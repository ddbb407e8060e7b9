"""Prompts that say nearly the same are found, all of them."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from label_data.records import Message, Prompt, user_prompt
from label_data.versions.near_duplicates import near_duplicates, overlap, texts_of, word_pairs

SEVEN = "how do bees find their way home"
WORDS = st.lists(st.sampled_from("abcd"), min_size=1, max_size=8).map(" ".join)


def families(*texts, threshold=0.7):
    return near_duplicates([[text] for text in texts], threshold)


def test_word_pairs_are_neighbours_with_the_ends_marked_and_case_and_signs_folded():
    assert word_pairs("Can  pigs\nFLY?") == {" can", "can pigs", "pigs fly", "fly "}
    assert word_pairs("can pigs, fly!") == word_pairs("Can  pigs\nFLY?")
    assert word_pairs("?!") == {" ?!", "?! "}


def test_characters_of_scripts_without_spaces_are_words():
    assert word_pairs("天空为") == {" 天", "天 空", "空 为", "为 "}


def test_a_word_put_into_seven_makes_a_near_duplicate_and_into_six_does_not():
    """Seven words are 8 pairs; one more makes 9, of which 7 are old: 7 / (8 + 9 - 7) = 0.7. Of six: 6 / (7 + 8 - 6)."""
    assert overlap(word_pairs(SEVEN), word_pairs("how do bees always find their way home")) == Fraction(7, 10)
    assert families(SEVEN, "how do bees always find their way home") == [0, 0]
    assert families("how do bees find their way", "how do bees always find their way") == [0, 1]


def test_another_word_in_a_short_prompt_makes_another_prompt():
    assert families("What is the capital of France?", "What is the capital of Spain?") == [0, 1]
    assert families("Question 1?", "Question 2?", "question 1") == [0, 1, 0]


def test_a_chain_of_near_duplicates_is_one_family_though_its_ends_differ():
    links = [SEVEN, f"{SEVEN} in", f"{SEVEN} in the", f"{SEVEN} in the deep", f"{SEVEN} in the deep dark"]
    assert overlap(word_pairs(links[0]), word_pairs(links[-1])) < Fraction(7, 10)
    assert families(*links, "why is the sky blue") == [0, 0, 0, 0, 0, 1]


def test_conversations_that_begin_alike_or_come_to_the_same_are_one_family():
    longer = Prompt((Message("user", "Hi"), Message("assistant", "Hello."), Message("user", "Tell me about owls.")))
    prompts = [user_prompt("hi"), longer, user_prompt("Hi! Tell me about owls"), user_prompt("Tell me about owls.")]
    assert near_duplicates(map(texts_of, prompts)) == [0, 0, 0, 1]


@given(st.lists(st.lists(WORDS, min_size=1, max_size=2), max_size=12), st.sampled_from([0.3, 0.5, 0.7, 0.75, 1.0]))
def test_families_are_those_of_comparing_every_two(texts, threshold):
    """What is looked at is only a part of all twos; here all are, and joined until nothing changes."""
    family = list(range(len(texts)))
    sets = [[word_pairs(text) for text in some] for some in texts]
    for one in range(len(texts)):
        for other in range(one):
            pairs = ((a, b) for a in sets[one] for b in sets[other])
            if any(overlap(a, b) >= Fraction(str(threshold)) for a, b in pairs):
                family = [family[other] if name == family[one] else name for name in family]
    names = {}
    assert near_duplicates(texts, threshold) == [names.setdefault(name, len(names)) for name in family]


@given(st.permutations([SEVEN, f"{SEVEN} now", f"please {SEVEN} now", "why", "Why?", "a b c d", "a b d"]))
def test_the_order_of_prompts_makes_no_difference(texts):
    result = dict(zip(texts, families(*texts), strict=True))
    same = {frozenset(text for text in texts if result[text] == number) for number in result.values()}
    assert same == {
        frozenset({SEVEN, f"{SEVEN} now", f"please {SEVEN} now"}),
        frozenset({"why", "Why?"}),
        frozenset({"a b c d"}),
        frozenset({"a b d"}),
    }


@pytest.mark.parametrize("threshold", [0.7, 1.0])
def test_no_prompts_have_no_families(threshold):
    assert near_duplicates([], threshold) == []

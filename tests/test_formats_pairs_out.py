"""Comparisons with their texts, and the count of what gives none."""

from collections import Counter

from label_data.formats.pairs_out import (
    NO_STRENGTH,
    SAID_BESIDE,
    STRENGTH_LOST,
    WEIGHT_LOST,
    Preferred,
    margin_of,
    preferred,
)
from label_data.records import Completion, Demonstration, Group, Ranking, user_prompt

PROMPT = user_prompt("Why?")
COMPLETIONS = tuple(Completion(PROMPT.id, text) for text in ("a", "b", "c"))


def group(order, demonstrations=(), **fields):
    ids = [completion.id for completion in COMPLETIONS]
    ranks = tuple(tuple(ids[place] for place in tied) for tied in order)
    ranking = Ranking(PROMPT.id, "ana", tuple(ids), ranks, **fields)
    return Group(PROMPT, COMPLETIONS, (ranking,), demonstrations)


def test_strength_becomes_the_margin_and_every_pair_counts_alike():
    """a over b is 1, b over c is 3, so a over c is 4."""
    left_out = Counter()
    found = list(preferred([group(((0,), (1,), (2,)), strength=(1, 3))], left_out))
    a, b, c = COMPLETIONS
    assert found == [Preferred(PROMPT, a, b, 1.0), Preferred(PROMPT, a, c, 4.0), Preferred(PROMPT, b, c, 3.0)]
    assert {pair.weight for pair in found} == {1.0}
    assert not +left_out


def test_what_is_said_beside_an_order_and_written_for_it_is_counted():
    left_out = Counter()
    demonstration = Demonstration(PROMPT.id, "Because.", "ana")
    first = COMPLETIONS[0].id
    groups = [
        group(((0,), (1, 2)), (demonstration,), reason="short"),
        group((), outcome="all_bad", flags={first: ("untrue",)}),
        group(((0,), (1,)), purpose="repeat", ratings={first: 7}),
    ]
    assert len(list(preferred(groups, left_out))) == 2
    assert +left_out == {
        "tie": 1,
        "demonstration, which trl-sft writes": 1,
        SAID_BESIDE: 2,
        "ranking with outcome all_bad": 1,
        "ranking that tests its annotator (repeat)": 1,
    }


def test_a_margin_is_in_every_row_or_in_none_and_a_lost_one_is_counted():
    left_out = Counter()
    a, b, _ = COMPLETIONS
    pairs = [Preferred(PROMPT, a, b, 2.5), Preferred(PROMPT, a, b, weight=0.5)]
    assert [margin_of(pair, left_out, True) for pair in pairs] == [{"margin": 2.5}, {"margin": 0.0}]
    assert +left_out == {NO_STRENGTH: 1, WEIGHT_LOST: 1}
    left_out.clear()
    assert [margin_of(pair, left_out, False) for pair in pairs] == [{}, {}]
    assert +left_out == {STRENGTH_LOST: 1, WEIGHT_LOST: 1}

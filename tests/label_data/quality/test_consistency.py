"""Annotators against themselves, gold answers and logic."""

import math
from dataclasses import replace

import numpy as np
import pytest

from label_data.quality.consistency import (
    TRANSITIVE,
    collect_tests,
    gold_accuracy,
    intransitive_by_chance,
    self_agreement,
    transitivity,
)
from label_data.quality.judgements import judgements
from label_data.records import Completion, Group, Ranking, user_prompt
from planted_people import judged


def two(question, first, second, name="ana"):
    """Two rankings of one prompt."""
    return judged(question, {name: first, f"{name}/2": second}).rankings


def with_purposes(group, *purposes):
    """The group, its rankings for these purposes."""
    rankings = zip(group.rankings, purposes, strict=True)
    return replace(group, rankings=tuple(replace(one, purpose=purpose) for one, purpose in rankings))


def test_repeats_and_gold_answers_are_found_by_their_purpose():
    """Ana's repeat is held against her own first ranking; Ben's and Ana's answers against the known one, Cem's."""
    repeated = with_purposes(judged("q", {"ben": "a>b", "ana": "a>b", "ana/2": "b>a"}), "", "", "repeat")
    golden = with_purposes(judged("r", {"ben": "a>b", "cem": "a>b", "ana": "b>a"}), "gold", "key", "gold")
    lost = with_purposes(judged("s", {"ana": "a>b", "ben": "a>b"}), "repeat", "gold")
    repeats, gold = [], []
    groups = [repeated, golden, lost]
    assert list(collect_tests(groups, repeats, gold)) == groups
    assert repeats == [repeated.rankings[1:]]
    ben, cem, ana = golden.rankings
    assert gold == [(cem, ben), (cem, ana)]


def test_a_repeat_is_held_against_what_was_said_for_the_same_project():
    first, other, again = judged("q", {"ana": "a>b", "ana/2": "b>a", "ana/3": "a>b"}).rankings
    rankings = replace(first, project="p"), replace(other, project="o"), replace(again, project="p", purpose="repeat")
    repeats = []
    group = replace(judged("q", {"ana": "a>b"}), rankings=rankings)
    list(collect_tests([group], repeats, []))
    assert repeats == [(rankings[0], rankings[2])]


def test_self_agreement_is_the_share_of_pairs_judged_alike_both_times():
    """Three of three pairs alike, then one of three: 4 of 6, 3 of 6 taking the same side of 5 that take one twice."""
    result = self_agreement([two("q", "a>b>c", "a>b>c"), two("r", "a>b=c", "b>c>a")])
    assert result["ana"].same.value == pytest.approx(3 / 6)
    assert (result[""].same.count, result[""].decided.count) == (6, 5)
    assert result[""].decided.value == pytest.approx(3 / 5)


def test_who_never_changes_their_mind_is_perfectly_consistent_and_everyone_has_a_number():
    alike = [two(f"q{number}", "a>b" if number % 2 else "b>a", "a>b" if number % 2 else "b>a") for number in range(8)]
    wavering = [two(f"q{number}", "a>b", "b>a", "ben") for number in range(8)]
    result = self_agreement([*alike, *wavering])
    assert result["ana"].alpha.value == 1 and result["ben"].same.value == 0
    assert result[""].same.value == 0.5 and result[""].same.count == 16


def test_no_repeats_give_no_number():
    assert math.isnan(self_agreement([])[""].same.value) and math.isnan(gold_accuracy([])[""].value)


def test_gold_accuracy_counts_a_tie_half_and_leaves_out_what_gold_ties():
    """Gold a over b and c, which are tied. Ana: right on both; Ben: a=b is half, c over a wrong."""
    group = judged("q", {"gold": "a>b=c", "ana": "a>c>b", "ben": "c>a=b"})
    gold, ana, ben = group.rankings
    result = gold_accuracy([(gold, ana), (gold, ben)])
    assert (result["ana"].value, result["ben"].value, result[""].value) == (1, 0.25, 0.625)
    assert (result[""].count, result[""].prompts) == (4, 1)


def test_thirteen_of_the_twenty_seven_triples_are_orders_of_three_with_ties():
    """By hand: of three things 3! = 6 orders without ties, 6 with one tie of two, 1 with all tied."""
    orders = {
        tuple(int(np.sign(level[j] - level[i])) for i, j in ((0, 1), (1, 2), (0, 2))) for level in np.ndindex(3, 3, 3)
    }
    assert {triple for triple, fits in TRANSITIVE.items() if fits} == orders and len(orders) == 13


def test_chance_alone_makes_a_quarter_of_triples_go_round_in_a_circle():
    """Without ties two of the eight triples; with all three answers as probable 14 of 27."""
    assert intransitive_by_chance(0) == pytest.approx(0.25)
    assert intransitive_by_chance(1 / 3) == pytest.approx(14 / 27)
    assert intransitive_by_chance(1) == 0


def pairwise(question, *answers):
    """A group whose one annotator judged two at a time: "a>b", "b>c", …"""
    prompt = user_prompt(question)
    ids = {letter: Completion(prompt.id, letter) for letter in "abcd"}
    rankings = []
    for answer in answers:
        order = tuple(tuple(ids[one].id for one in tied.split("=")) for tied in answer.split(">"))
        rankings.append(Ranking(prompt.id, "ana", tuple(id for tied in order for id in tied), order))
    return Group(prompt, tuple(ids.values()), tuple(rankings))


def test_a_circle_is_intransitive_and_an_order_is_not():
    circle, order = ("a>b", "b>c", "c>a"), ("a>b", "b>c", "a>c")
    result = transitivity(judgements([pairwise("q", *circle), pairwise("r", *order), pairwise("s", "a>b", "b>c")]))
    assert (result.intransitive.value, result.intransitive.count) == (0.5, 2)
    assert result.by_chance == pytest.approx(0.25)


def test_a_tie_between_what_a_third_tells_apart_is_intransitive():
    """a = b and b = c, but a over c; and four completions judged in all six pairs are four triples."""
    result = transitivity(judgements([pairwise("q", "a=b", "b=c", "a>c")]))
    assert result.intransitive.value == 1 and result.by_chance == pytest.approx(intransitive_by_chance(2 / 3))
    six = pairwise("r", "a>b", "a>c", "a>d", "b>c", "b>d", "c>d")
    assert transitivity(judgements([six])).intransitive.count == 4


def test_an_order_of_three_says_nothing_about_transitivity():
    assert transitivity(judgements([judged("q", {"ana": "a>b>c"})])).intransitive.count == 0

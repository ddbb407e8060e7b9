"""What a recipe makes of rankings: pairs, ties, weights and margins, each worked out by hand."""

from collections import Counter
from dataclasses import replace

import pytest

from label_data.intervals import Estimate
from label_data.quality.reliability import Reliability
from label_data.records import Completion, Group
from label_data.versions.pairs import EQUAL_TEXTS, TIED, AnnotatorReliability, derive
from label_data.versions.recipes import Recipe
from planted_people import judged


def made(group, voices=None, **recipe):
    """Comparisons as "a>b" -> (weight, margin), ties as "a=b" -> weight, and what was left out."""
    left_out = Counter()
    result = derive(group, Recipe("default", **recipe), voices, left_out)
    text = {completion.id: completion.text for completion in group.completions}
    pairs = sorted((f"{text[one.chosen]}>{text[one.rejected]}", one.weight, one.margin) for one in result.comparisons)
    ties = sorted(("=".join(sorted((text[one.first], text[one.second]))), one.weight) for one in result.ties)
    return pairs, ties, +left_out


def with_strength(group, *strengths):
    given = zip(group.rankings, strengths, strict=True)
    return replace(group, rankings=tuple(replace(one, strength=strength) for one, strength in given))


def test_a_dropped_tie_says_nothing_and_a_ranking_weighs_one():
    assert made(judged("q", {"ana": "a>b=c"})) == ([("a>b", 0.5, None), ("a>c", 0.5, None)], [], {TIED: 1})


def test_a_tie_that_counts_half_each_way_takes_its_share_of_the_ranking():
    """Two comparisons and a tie: a third each, and the tie's third in two halves."""
    third, sixth = 0.333333333, 0.166666667
    pairs, ties, left_out = made(judged("q", {"ana": "a>b=c"}), ties="half")
    assert pairs == [("a>b", third, None), ("a>c", third, None), ("b>c", sixth, None), ("c>b", sixth, None)]
    assert ties == [] and not left_out


def test_a_tie_that_is_kept_stays_a_tie():
    pairs, ties, left_out = made(judged("q", {"ana": "a>b=c"}), ties="keep")
    assert [weight for _, weight, _ in pairs] == [0.333333333, 0.333333333]
    assert ties == [("b=c", 0.333333333)] and not left_out


def test_no_difference_is_a_tie_of_all_that_was_shown_and_a_skip_is_nothing():
    group = judged("q", {"ana": "a>b", "ben": "skip"})
    alike = replace(group.rankings[0], order=(), outcome="indistinguishable")
    group = replace(group, rankings=(alike, group.rankings[1]))
    assert made(group, ties="half")[0] == [("a>b", 0.5, None), ("b>a", 0.5, None)]
    assert made(group)[2] == {TIED: 1, "rankings with outcome skipped": 1}


def test_margins_are_those_of_the_steps_between_two_summed():
    """Steps 1 and 3 have margins 0.25 and 1; over a step without a strength there is none."""
    group = with_strength(judged("q", {"ana": "a>b>c"}), (1, 3))
    pairs = made(group, margins=(0.25, 0.5, 1.0))[0]
    assert [(name, margin) for name, _, margin in pairs] == [("a>b", 0.25), ("a>c", 1.25), ("b>c", 1.0)]
    group = with_strength(group, (1, None))
    assert [margin for _, _, margin in made(group, margins=(0.25, 0.5, 1.0))[0]] == [0.25, None, None]
    assert {margin for _, _, margin in made(group)[0]} == {None}


def test_the_majority_has_the_mean_margin_of_those_on_its_side():
    """a over b by steps 1 and 3, b over a by 2: two to one, (0.25 + 1) / 2."""
    group = with_strength(judged("q", {"ana": "a>b", "ben": "a>b", "cem": "b>a"}), (1,), (3,), (2,))
    assert made(group, aggregate="majority", margins=(0.25, 0.5, 1.0))[0] == [("a>b", 1.0, 0.625)]


def test_a_tie_of_the_majority_takes_its_share():
    """a over b by all three, a over c by two to one, b and c tied by two of three: a third each."""
    group = judged("q", {"ana": "a>b=c", "ben": "c>a>b", "cem": "a>b=c"})
    pairs, ties, left_out = made(group, aggregate="majority", ties="keep")
    assert pairs == [("a>b", 0.333333333, None), ("a>c", 0.333333333, None)]
    assert ties == [("b=c", 0.333333333)] and not left_out
    divided = judged("q", {"ana": "a>b", "ben": "b>a"})
    assert made(divided, aggregate="majority") == ([], [], {"pairs on which the annotators are divided": 1})


@pytest.mark.parametrize(
    ("weights", "expected"),
    [("ranking", [0.5, 0.5, 1.0]), ("comparison", [1.0, 1.0, 1.0]), ("prompt", [0.25, 0.25, 0.5])],
)
def test_what_weighs_one_is_the_ranking_the_comparison_or_the_prompt(weights, expected):
    """Ana gives a>b and a>c, Ben b>a: by ranking 1/2, 1/2 and 1, in all 2."""
    group = judged("q", {"ana": "a>b=c", "ben": "b>a"})
    assert [weight for _, weight, _ in made(group, weights=weights)[0]] == expected


def voices():
    def one(right):
        return Reliability(Estimate(right, right, right, 9, 9), 0.01, 0.5)

    return AnnotatorReliability({"ana": one(0.9), "ben": one(0.6)}, 0.0, {"ana": 1.6, "ben": 0.4})


def test_reliability_multiplies_the_weight_and_nothing_of_weight_nothing_is_kept():
    group = judged("q", {"ana": "a>b", "ben": "b>a"})
    assert made(group, voices(), weights="reliability")[0] == [("a>b", 1.6, None), ("b>a", 0.4, None)]
    silent = replace(voices(), weights={"ana": 1.0, "ben": 0.0})
    pairs, _, left_out = made(group, silent, weights="reliability")
    assert pairs == [("a>b", 1.0, None)] and left_out == {"comparisons and ties that weigh nothing": 1}


def test_votes_weighed_by_reliability_go_to_the_more_reliable():
    """0.9 x 0.4 against 0.1 x 0.6, so 0.36 / 0.42 to 0.06 / 0.42: the comparison weighs 0.714."""
    ((pair, weight, _),), _, _ = made(judged("q", {"ana": "a>b", "ben": "b>a"}), voices(), aggregate="reliability")
    assert pair == "a>b" and weight == pytest.approx(5 / 7, abs=1e-6)


def test_twins_and_tests_of_annotators_give_nothing_and_are_counted():
    group = judged("q", {"ana": "a>b", "ben": "a>b"})
    a, _ = group.completions
    twin = Completion(group.prompt.id, "a ", "other")
    order = ((a.id,), (twin.id,))
    twins = replace(group.rankings[0], shown=(a.id, twin.id), order=order)
    tested = replace(group.rankings[1], purpose="gold")
    result = made(Group(group.prompt, (*group.completions, twin), (twins, tested)))
    assert result == ([], [], {EQUAL_TEXTS: 1, "rankings that test their annotator": 1})

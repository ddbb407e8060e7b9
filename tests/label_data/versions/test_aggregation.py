"""Many annotators' rankings as one set of comparisons."""

import pytest

from label_data.intervals import Estimate
from label_data.quality.reliability import Reliability
from label_data.records import Completion, Group, Ranking, user_prompt
from label_data.versions.aggregation import UNDECIDED, majority, raw, weighted_votes
from planted_people import judged


def reliable(right, tie=0.1, true_tie=0.5):
    return Reliability(Estimate(right, right, right, 100, 100), tie, true_tie)


def texts(group, found):
    text = {completion.id: completion.text for completion in group.completions}
    return [f"{text[comparison.chosen]}>{text[comparison.rejected]}" for comparison in found.comparisons]


def test_raw_keeps_every_comparison_contradictions_included():
    group = judged("q", {"ana": "a>b", "ben": "b>a", "cem": "a=b"})
    assert texts(group, raw(group)) == ["a>b", "b>a"] and not raw(group).left_out


def test_the_majority_decides_each_pair_and_who_is_divided_decides_nothing():
    """a over b by two to one; a and c one each; b over c by two with a tie."""
    group = judged("q", {"ana": "a>b>c", "ben": "a=c>b", "cem": "b>c>a"})
    result = majority(group)
    assert sorted(texts(group, result)) == ["a>b", "b>c"]
    assert result.left_out == {UNDECIDED: 1}
    assert [comparison.weight for comparison in result.comparisons] == [0.5, 0.5]
    assert {comparison.annotator for comparison in result.comparisons} == {"majority"}


def test_as_many_ties_as_preferences_decide_nothing():
    group = judged("q", {"ana": "a>b", "ben": "a=b"})
    assert majority(group).comparisons == [] and majority(group).left_out == {UNDECIDED: 1}


def test_with_one_annotator_the_majority_is_what_they_said():
    group = judged("q", {"ana": "b>a=c"})
    assert sorted(texts(group, majority(group))) == sorted(texts(group, raw(group)))
    assert [comparison.weight for comparison in majority(group).comparisons] == [
        comparison.weight for comparison in raw(group).comparisons
    ]


def test_ranking_a_prompt_twice_is_no_second_vote():
    group = judged("q", {"ana": "a>b", "ana/2": "a>b", "ben": "b>a"})
    assert majority(group).comparisons == []


def test_one_reliable_annotator_outvotes_two_coins():
    group = judged("q", {"ana": "a>b", "ben": "b>a", "cem": "b>a"})
    people = {"ana": reliable(0.9), "ben": reliable(0.5), "cem": reliable(0.5)}
    assert texts(group, majority(group)) == ["b>a"]
    assert texts(group, weighted_votes(group, people, tied=0.1)) == ["a>b"]


def test_a_comparison_weighs_as_much_as_its_side_is_more_probable():
    """Right 0.8, nothing tied: a over b with probability 0.8, so 0.8 - 0.2."""
    group = judged("q", {"ana": "a>b"})
    (result,) = weighted_votes(group, {"ana": reliable(0.8, tie=0.01)}, tied=0.0).comparisons
    assert result.weight == pytest.approx(0.6, abs=1e-3)


def test_nobody_outvotes_everybody_and_the_unknown_have_no_vote():
    group = judged("q", {"ana": "a>b", "ben": "b>a", "cem": "b>a", "dan": "b>a"})
    people = {"ana": reliable(1.0), "ben": reliable(0.9), "cem": reliable(0.9), "dan": reliable(0.9)}
    assert texts(group, weighted_votes(group, people, tied=0.1)) == ["b>a"]
    assert weighted_votes(group, {}, tied=0.1).comparisons == []


def test_a_pair_that_is_most_probably_a_tie_gives_nothing():
    """0.35 x 0.54 for the first, 0.35 x 0.36 for the other, 0.3 x 0.05 for a tie; two ties decide otherwise."""
    people = {
        "ana": reliable(0.6, true_tie=0.9),
        "ben": reliable(0.6, true_tie=0.9),
        "cem": reliable(0.6, true_tie=0.9),
    }
    group = judged("q", {"ana": "a>b"})
    assert texts(group, weighted_votes(group, people, tied=0.3)) == ["a>b"]
    group = judged("q", {"ana": "a>b", "ben": "a=b", "cem": "a=b"})
    assert weighted_votes(group, people, tied=0.3).comparisons == []


def test_strengths_are_the_mean_of_those_who_preferred_the_side():
    prompt = user_prompt("q")
    one, other = (Completion(prompt.id, text) for text in "ab")
    ids = (one.id, other.id)
    rankings = [
        Ranking(prompt.id, name, ids, ((one.id,), (other.id,)), strength=(step,))
        for name, step in (("ana", 1), ("ben", 3))
    ]
    rankings.append(Ranking(prompt.id, "cem", ids, ((other.id,), (one.id,)), strength=(3,)))
    (result,) = majority(Group(prompt, (one, other), tuple(rankings))).comparisons
    assert (result.chosen, result.strength) == (one.id, 2)
    unsaid = Ranking(prompt.id, "dan", ids, ((one.id,), (other.id,)))
    (result,) = majority(Group(prompt, (one, other), (*rankings, unsaid))).comparisons
    assert result.strength is None


def test_completions_with_equal_texts_are_no_pair():
    prompt = user_prompt("q")
    twins = (Completion(prompt.id, "same  text", "one"), Completion(prompt.id, "same text", "two"))
    ids = tuple(twin.id for twin in twins)
    group = Group(prompt, twins, (Ranking(prompt.id, "ana", ids, ((ids[0],), (ids[1],))),))
    assert majority(group).comparisons == [] and not majority(group).left_out

"""Policies by Bradley-Terry: strengths worked out by hand, intervals that hold the truth."""

import math

import pytest

from label_data.quality.judgements import judgements
from label_data.quality.leaderboard import leaderboard
from label_data.records import Completion, Group, Ranking, user_prompt
from planted_people import careful, judged, planted


def found_in(*answers):
    return leaderboard(judgements([judged(f"q{number}", {"ana": message}) for number, message in enumerate(answers)]))


def test_of_two_policies_the_strengths_are_half_the_log_odds():
    """a wins six, b two, a tenth each beforehand: log(6.1 / 2.1) = 1.0664 between them, half of it each side of 0."""
    result = found_in(*["a>b"] * 6, *["b>a"] * 2)
    assert [standing.policy for standing in result.standings] == ["policy a", "policy b"]
    assert [standing.strength.value for standing in result.standings] == pytest.approx([0.5332, -0.5332], abs=1e-4)
    assert result.standings[0].against_average == pytest.approx(1 / (1 + math.exp(-0.5332)), abs=1e-4)
    assert result.wins.tolist() == [[0, 6], [2, 0]] and result.ties.tolist() == [[0, 0], [0, 0]]


def test_a_tie_is_half_a_win_for_each():
    """Five wins and two ties of eight are six points."""
    result = found_in(*["a>b"] * 5, "b>a", "a=b", "a=b")
    assert result.standings[0].strength.value == pytest.approx(0.5332, abs=1e-4)
    assert result.standings[0].wins.value == 0.75 and result.standings[0].ties.value == 0.25
    assert result.ties.tolist() == [[0, 2], [2, 0]]


def test_a_policy_that_always_wins_has_a_finite_strength():
    """Eight wins and a tenth on either side: log(8.1 / 0.1) / 2."""
    assert found_in(*["a>b"] * 8).standings[0].strength.value == pytest.approx(math.log(81) / 2)


def test_the_best_policy_is_first_with_an_interval_apart_from_the_worst():
    groups = []
    for number in range(80):
        names = ("good", "bad") if number % 10 < 8 else ("bad", "good")
        prompt = user_prompt(f"groups {number}")
        one, other = (Completion(prompt.id, text, name) for text, name in zip("ab", names, strict=True))
        groups.append(
            Group(prompt, (one, other), (Ranking(prompt.id, "ana", (one.id, other.id), ((one.id,), (other.id,))),))
        )
    good, bad = leaderboard(judgements(groups)).standings
    assert (good.policy, bad.policy) == ("good", "bad") and good.strength.low > bad.strength.high
    assert good.strength.low < good.strength.value < good.strength.high and good.strength.prompts == 80


def test_equal_policies_have_intervals_that_hold_zero():
    result = leaderboard(judgements(planted({"ana": careful(), "ben": careful()}, prompts=100, completions=3)))
    assert sum(standing.strength.low < 0 < standing.strength.high for standing in result.standings) >= 2
    assert sum(standing.strength.value for standing in result.standings) == pytest.approx(0, abs=1e-9)


def test_two_completions_of_one_policy_and_of_nobody_are_left_out_and_counted():
    prompt = user_prompt("q")
    texts = [Completion(prompt.id, text, name) for text, name in (("a", "one"), ("b", "one"), ("c", "two"), ("d", ""))]
    ids = tuple(completion.id for completion in texts)
    group = Group(prompt, tuple(texts), (Ranking(prompt.id, "ana", ids, tuple((id,) for id in ids)),))
    result = leaderboard(judgements([group]))
    assert [standing.strength.count for standing in result.standings] == [2, 2]
    assert sorted(result.left_out.values()) == [1, 3] and math.isnan(result.standings[0].strength.low)


def test_no_policies_give_an_empty_leaderboard():
    assert leaderboard(judgements([])).standings == ()

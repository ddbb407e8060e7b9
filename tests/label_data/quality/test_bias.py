"""Planted leanings are found, and where none is planted none is, at the rate that is stated."""

import math
from dataclasses import replace

import numpy as np
import pytest

from label_data.quality.bias import feature_effects, length_bias, markup_bias, mean_rank_by_place, position_bias
from label_data.quality.judgements import judgements
from label_data.records import Completion, Group, Ranking, user_prompt
from planted_people import careful, coin, judged, longwinded, planted, upwards


def test_the_first_shown_wins_as_often_as_it_is_counted_by_hand():
    """Shown a, b: a wins two, b wins one, the tie says nothing."""
    result = position_bias(
        judgements([judged(f"q{n}", {"ana": message}) for n, message in enumerate(["a>b", "a>b", "b>a", "a=b"])])
    )
    assert result.overall.rate.value == pytest.approx(2 / 3) and result.overall.rate.count == 3


def test_of_more_than_two_every_pair_counts_and_each_place_has_its_mean_rank():
    """Shown c, a, b and ranked a > b > c: the earlier wins only once. a never loses, b to one of two, c twice."""
    result = judgements([judged("q", {"ana": "a>b>c"}, shown="cab")])
    assert position_bias(result).overall.rate.value == pytest.approx(1 / 3)
    assert {place: one.value for place, one in mean_rank_by_place(result).items()} == {
        (3, 1): 1,
        (3, 2): 0,
        (3, 3): 0.5,
    }


def test_a_planted_leaning_to_the_top_is_found_in_the_annotator_who_has_it_alone():
    people = {"ana": careful(), "ben": careful(), "cem": upwards(1.0)}
    result = position_bias(judgements(planted(people, prompts=150, completions=3)))
    assert result.by_annotator["cem"].rate.low > 0.6 and result.by_annotator["cem"].p < 1e-6
    assert all(result.by_annotator[name].p > 0.01 for name in ("ana", "ben"))
    assert result.by_annotator["cem"].unlike_others < 1e-4


def test_without_any_leaning_one_annotator_in_twenty_seems_to_have_one():
    """Fifty annotators who flip coins, three to a prompt: p under 0.05 for about three."""
    result = [
        value.p < 0.05
        for seed in range(17)
        for value in position_bias(
            judgements(planted({"ana": coin(), "ben": coin(), "cem": coin()}, prompts=40, seed=seed))
        ).by_annotator.values()
    ]
    assert len(result) == 51 and sum(result) <= 8


def test_trap_18_places_without_bias_have_a_half_within_their_intervals():
    result = mean_rank_by_place(judgements(planted({"ana": careful(), "ben": careful()}, prompts=200, completions=4)))
    assert [place for _, place in result] == [1, 2, 3, 4]
    assert sum(value.low <= 0.5 <= value.high for value in result.values()) >= 3


def test_a_planted_liking_for_length_is_found_and_place_is_not_blamed_for_it():
    result = judgements(planted({"ana": longwinded(1.0), "ben": longwinded(1.0)}, prompts=200))
    assert length_bias(result).overall.rate.low > 0.6
    assert feature_effects(result).length.low > 0.5
    assert feature_effects(result).shown_first.low < 0 < feature_effects(result).shown_first.high


def test_length_does_not_matter_to_who_judges_quality():
    """Twenty stores: their 95 % intervals hold 0 in about nineteen."""
    result = [judgements(planted({"ana": careful()}, prompts=60, seed=seed)) for seed in range(20)]
    assert sum(feature_effects(one).length.low < 0 < feature_effects(one).length.high for one in result) >= 17
    assert sum(length_bias(one).overall.p < 0.05 for one in result) <= 3


def marked(number, winner_marked, shown_first=False, question="q"):
    """A pair in which one is bold; it wins or not, and is shown first or second."""
    prompt = user_prompt(f"{question}{number}")
    plain, bold = Completion(prompt.id, "x" * 20), Completion(prompt.id, "**" + "x" * 16 + "**")
    order = ((bold.id,), (plain.id,)) if winner_marked else ((plain.id,), (bold.id,))
    shown = (bold.id, plain.id) if shown_first else (plain.id, bold.id)
    return Group(prompt, (plain, bold), (Ranking(prompt.id, "ana", shown, order),))


def test_markdown_is_counted_where_the_two_differ_in_it():
    """Six of eight bold ones win; of equal length, so no length leaning at all."""
    result = judgements([marked(number, number < 6) for number in range(8)])
    assert markup_bias(result).overall.rate.value == 0.75
    assert length_bias(result).overall.rate.count == 0 and math.isnan(feature_effects(result).length.value)


def test_the_pull_of_markdown_is_the_log_odds_worked_out_by_hand():
    """One mark against none is one doubling of marks plus one; shown second half the time, three of four win: log 3."""
    result = feature_effects(judgements([marked(number, number % 4 != 0, number // 4 % 2) for number in range(16)]))
    assert result.markup.value == pytest.approx(math.log(3)) and result.markup.count == 16
    assert result.shown_first.value == pytest.approx(0, abs=1e-9)


def test_a_prompt_that_is_there_twice_makes_no_pull_surer():
    """The second time in capitals: another prompt with the same first turn."""
    once, again = (
        [marked(number, number % 4 != 0, number // 4 % 2, question) for number in range(16)] for question in "qQ"
    )
    single, double = (feature_effects(judgements(groups)).markup for groups in (once, [*once, *again]))
    assert (double.value, double.low, double.high) == pytest.approx((single.value, single.low, single.high))
    assert single.high - single.low > 1


def test_a_feature_that_decides_everything_has_no_number_rather_than_a_huge_one():
    assert math.isnan(feature_effects(judgements([marked(number, True) for number in range(8)])).markup.value)


def test_nothing_judged_leans_nowhere():
    result = judgements([])
    assert math.isnan(position_bias(result).overall.rate.value) and mean_rank_by_place(result) == {}
    assert math.isnan(feature_effects(result).length.value)


def imported(group, tells):
    """The group from a file that says in which order it was shown, or from one that does not."""
    ids = sorted(group.rankings[0].shown)
    shown = tuple(ids[::-1] if tells else ids)
    return replace(group, rankings=tuple(replace(ranking, shown=shown, source="import") for ranking in group.rankings))


def test_of_rankings_whose_order_on_the_screen_nobody_knows_no_place_wins():
    """Twenty imported pairs in order of id: no number for places, while length is measured as ever."""
    groups = [imported(longer_wins(number), tells=False) for number in range(20)]
    result = judgements(groups)
    assert math.isnan(position_bias(result).overall.rate.value) and position_bias(result).by_annotator == {}
    assert mean_rank_by_place(result) == {} and math.isnan(feature_effects(result).shown_first.value)
    assert length_bias(result).overall.rate.value == 0.5 and length_bias(result).overall.rate.count == 20


def test_where_no_feature_ever_differs_nothing_pulls():
    result = feature_effects(
        judgements([imported(judged(f"q{number}", {"ana": "a>b"}), tells=False) for number in range(6)])
    )
    assert math.isnan(result.length.value) and math.isnan(result.markup.value) and math.isnan(result.shown_first.value)


def test_places_are_measured_on_the_rankings_that_tell_their_order_alone():
    """Twenty imported pairs, of which ten tell: all is as if there were only those ten."""
    groups = [imported(longer_wins(number), tells=number < 10) for number in range(20)]
    result = judgements(groups)
    reported = judgements(groups[:10])
    assert position_bias(result).overall.rate.count == 10
    assert repr(position_bias(result)) == repr(position_bias(reported))
    assert repr(mean_rank_by_place(result)) == repr(mean_rank_by_place(reported)) and [
        size for size, _ in mean_rank_by_place(result)
    ] == [2, 2]


def longer_wins(number):
    """A pair of which the longer wins if the number is even."""
    prompt = user_prompt(f"question {number}")
    long, short = Completion(prompt.id, "x" * 30), Completion(prompt.id, "x" * 10)
    order = ((long.id,), (short.id,)) if number % 2 == 0 else ((short.id,), (long.id,))
    return Group(prompt, (long, short), (Ranking(prompt.id, "ana", (long.id, short.id), order),))


def test_turning_every_order_and_every_screen_round_turns_nothing():
    """Twice turned is the same: the first shown wins as often, whatever the completions are called."""
    answers, swap = ["a>b>c", "b>c>a", "c>a=b"], str.maketrans("abc", "cba")
    plain = judgements([judged(f"q{n}", {"ana": message}, shown="bca") for n, message in enumerate(answers)])
    renamed = judgements(
        [judged(f"q{n}", {"ana": message.translate(swap)}, shown="bac") for n, message in enumerate(answers)]
    )
    assert repr(position_bias(plain)) == repr(position_bias(renamed))
    assert np.isfinite(position_bias(plain).overall.rate.value)

"""Speed, straight lines and ties: planted ones are found, and nobody else is."""

import math
from dataclasses import replace

import numpy as np
import pytest

from label_data.quality.effort import TOO_FAST, longest_run, outcomes, robust_z, speeds, straight_lining, too_fast
from label_data.quality.judgements import judgements
from label_data.records import Group
from planted_people import careful, coin, judged, planted


def first_always():
    """Leave everything as it is shown."""
    return lambda chance, quality, place, length: -place.astype(float)


def test_the_robust_z_is_that_of_medians():
    """Medians 3 and 13, centre 8. Distances to one's own median 2 1 0 1 97, 1 0 1: median 1."""
    values, names = np.array([1.0, 2, 3, 4, 100, 12, 13, 14]), np.array(["ana"] * 5 + ["ben"] * 3)
    assert robust_z(values, names) == pytest.approx(0.6745 * (values - 8))
    assert robust_z(np.ones(4), np.array(["ana"] * 4)).tolist() == [0] * 4
    assert len(robust_z(np.array([]), np.array([]))) == 0


def test_pace_is_seconds_per_thousand_characters():
    """A prompt of 98 characters and two of one: 10 s is 100 s per 1,000."""
    group = judged("q" * 98, {"ana": "a>b"})
    ranking = group.rankings[0]
    timed = type(ranking)(ranking.prompt_id, "ana", ranking.shown, ranking.order, seconds=10.0)
    result = speeds(judgements([Group(group.prompt, group.completions, (timed,))]))
    assert result["ana"].seconds.value == pytest.approx(100) and result[""].seconds.count == 1


def test_who_clicks_without_reading_is_found_and_nobody_else():
    """Half a second where others take half a minute, a hundred times faster with a spread of two."""
    people = {name: careful() for name in ("ana", "ben", "cem")}
    result = judgements(planted(people, prompts=100, seconds={"cem": 0.3}))
    pace = speeds(result)
    assert pace["cem"].p < 1e-6 and pace["ana"].p == pace["ben"].p == 1
    assert pace["cem"].seconds.high < pace["ana"].seconds.low / 10
    fastest = too_fast(result)
    assert set(fastest["annotator"]) == {"cem"} and fastest["z"].is_monotonic_increasing
    assert (fastest["z"] < TOO_FAST).all()


def test_rankings_without_a_time_have_no_pace():
    assert math.isnan(speeds(judgements([judged("q", {"ana": "a>b"})]))[""].seconds.value)


def test_leaving_everything_as_shown_is_found():
    people = {"ana": careful(), "ben": first_always()}
    result = straight_lining(judgements(planted(people, prompts=40, completions=3)))
    assert result["ben"].unchanged.value == 1 and result["ben"].expected == pytest.approx(1 / 6)
    assert result["ben"].p < 1e-6 and result["ben"].longest_run == 40 and result["ben"].run_p < 1e-6
    assert result["ana"].p > 0.01 and result["ana"].run_p > 0.01


def test_nobody_draws_straight_lining_where_the_order_on_the_screen_is_not_known():
    """Each group is imported with its completions in order of id, and ranked in that order."""
    groups = []
    for number in range(40):
        group = judged(f"question {number}", {"ana": "a>b"})
        shown = tuple(sorted(group.rankings[0].shown))
        reported = replace(group.rankings[0], shown=shown, order=tuple((one,) for one in shown), source="import")
        groups.append(replace(group, rankings=(reported,)))
    assert straight_lining(judgements(groups)) == {}
    here = [replace(one, rankings=(replace(one.rankings[0], source="person"),)) for one in groups]
    assert straight_lining(judgements(here))["ana"].unchanged.value == 1


def test_a_run_is_as_probable_as_its_members_after_the_first():
    """Three of the same with chance 1/6 each, among five: 5 (1/6)² = 0.139."""
    assert longest_run(np.array([0, 1, 1, 1, 2]), np.full(5, 1 / 6)) == (3, pytest.approx(5 / 36))
    assert longest_run(np.array([0, 1]), np.full(2, 0.5)) == (1, 1.0)
    assert longest_run(np.array([]), np.array([])) == (0, 1.0)


def test_by_chance_few_annotators_seem_to_draw_straight_lining():
    result = [
        one
        for seed in range(15)
        for one in straight_lining(judgements(planted({"ana": coin(), "ben": coin()}, prompts=40, seed=seed))).values()
    ]
    assert len(result) == 30
    assert sum(one.p < 0.05 for one in result) <= 5 and sum(one.run_p < 0.05 for one in result) <= 4


def test_ties_and_skips_are_shares_of_what_was_judged_and_shown():
    """Ana: one of three pairs tied, one of two rankings skipped."""
    result = outcomes(judgements([judged("q", {"ana": "a>b=c"}), judged("r", {"ana": "skip", "ben": "bad"})]))
    assert result["ana"].ties.value == pytest.approx(1 / 3) and result["ana"].no_order.value == 0.5
    assert result["ben"].no_order.value == 1 and math.isnan(result["ben"].ties.value)
    assert (result[""].no_order.count, result[""].ties.count) == (3, 3)


def test_who_ties_far_more_than_others_is_found():
    answers = [{"ana": "a>b", "ben": "b>a", "cem": "a=b" if number % 2 else "a>b"} for number in range(60)]
    result = outcomes(judgements([judged(f"q{number}", message) for number, message in enumerate(answers)]))
    assert result["cem"].ties_unlike < 1e-6 and result["cem"].no_order_unlike == 1

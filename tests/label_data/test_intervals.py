"""Intervals that resample prompts, and tests that count prompts."""

import math

import numpy as np
import pytest

from label_data.intervals import difference_p_value, estimates, mean_p_value, mean_with_interval, rate, ratio


def test_a_rate_is_the_mean_with_its_counts():
    result = rate(np.array([1.0, 0, 1, 1] * 5), np.repeat(np.arange(10), 2))
    assert (result.value, result.count, result.prompts) == (0.75, 20, 10)
    assert result.low < 0.75 < result.high


def test_judgements_of_one_prompt_are_resampled_together():
    """Ten prompts of fifty, five all right and five all wrong: 0.5 +- about 0.31, where 500 alone would give 0.04."""
    values = np.repeat([1.0, 0.0], 250)
    together = rate(values, np.repeat(np.arange(10), 50))
    alone = rate(values, np.arange(500))
    assert together.high - together.low == pytest.approx(0.6, abs=0.1)
    assert alone.high - alone.low == pytest.approx(0.087, abs=0.02)


def test_saying_the_same_thing_twice_narrows_nothing():
    values, prompts = np.random.default_rng(0).random(40), np.repeat(np.arange(20), 2)
    once, twice = rate(values, prompts), rate(np.tile(values, 2), np.tile(prompts, 2))
    assert (twice.value, twice.low, twice.high) == pytest.approx((once.value, once.low, once.high))


def test_with_no_data_or_few_prompts_there_is_no_interval_rather_than_a_wrong_one():
    nothing, few = rate(np.array([]), np.array([])), rate(np.ones(4), np.arange(4))
    assert math.isnan(nothing.value) and math.isnan(nothing.low) and str(nothing) == "no data"
    assert few.value == 1 and math.isnan(few.low) and str(few) == "1.000 [too few prompts]"


def test_resamples_in_which_nothing_is_defined_are_left_out():
    """Of twenty prompts two have anything to divide by: about 12 % of the resamples draw neither."""
    parts = np.zeros((20, 2))
    parts[:2] = [[1, 1], [0, 1]]
    result = estimates(parts, np.arange(20), {"": ratio})[""]
    assert result.value == 0.5 and (result.low, result.high) == (0, 1)
    parts[:] = 0
    assert math.isnan(estimates(parts, np.arange(20), {"": ratio})[""].low)


def test_the_interval_holds_the_truth_about_95_times_in_100():
    chance = np.random.default_rng(1)
    held = 0
    for seed in range(100):
        values = np.repeat(chance.random(60) < 0.7, 2).astype(float)
        result = rate(values, np.repeat(np.arange(60), 2), seed)
        held += result.low <= 0.7 <= result.high
    assert 88 <= held <= 99


def test_many_prompts_are_drawn_in_parts_with_the_same_result(monkeypatch):
    values, prompts = np.random.default_rng(0).random(50), np.arange(50)
    whole = rate(values, prompts)
    monkeypatch.setattr("label_data.intervals.MOST_AT_ONCE", 7 * 50)
    assert rate(values, prompts) == whole


def test_trap_21_the_interval_resamples_prompts_not_comparisons():
    """Two prompts of fifty equal comparisons each, one all right, one all wrong: by prompt anything from 0 to 1."""
    values, clusters = np.repeat([1.0, 0.0], 50), np.repeat(["a", "b"], 50)
    by_prompt = mean_with_interval(values, np.ones(100), clusters)
    by_comparison = mean_with_interval(values, np.ones(100), np.arange(100).astype(str))
    assert (by_prompt.value, by_prompt.low, by_prompt.high) == (0.5, 0.0, 1.0)
    assert (by_prompt.count, by_prompt.prompts) == (100, 2)
    assert 0.35 < by_comparison.low < 0.45 < 0.55 < by_comparison.high < 0.65


def test_the_interval_of_a_weighted_mean_covers_the_truth_about_95_times_in_100():
    """A hundred samples of 60 prompts, two comparisons each, each right with probability 70%."""
    chance = np.random.default_rng(0)
    covered = 0
    for seed in range(100):
        values = np.repeat(chance.random(60) < 0.7, 2).astype(float)
        result = mean_with_interval(values, np.ones(120), np.repeat(np.arange(60), 2).astype(str), seed, 400)
        covered += result.low <= 0.7 <= result.high
    assert 88 <= covered <= 99


def test_a_weighted_mean_of_nothing_has_no_value():
    result = mean_with_interval(np.array([]), np.array([]), [])
    assert math.isnan(result.value) and (result.count, result.prompts) == (0, 0)


def test_a_weighted_mean_has_the_interval_of_a_loop_that_draws_prompts_one_resample_at_a_time():
    """The ends are equal to the last digit: reports that were stored before must be reproducible."""
    data = np.random.default_rng(3)
    values, weights, prompts = data.random(90), data.random(90), np.repeat(np.arange(30), 3)
    total, weight = np.bincount(prompts, weights * values), np.bincount(prompts, weights)
    rng, means = np.random.default_rng(7), []
    for _ in range(500):
        drawn = np.bincount(rng.integers(30, size=30), minlength=30)
        means.append(drawn @ total / (drawn @ weight))
    result = mean_with_interval(values, weights, [f"{prompt:02}" for prompt in prompts], seed=7, resamples=500)
    assert (result.low, result.high) == tuple(np.percentile(means, [2.5, 97.5]))


def test_the_p_value_of_a_mean_is_that_of_a_score_test():
    """Nine of nine prompts above what is expected: z = 9 / sqrt(9) = 3, p = 0.0027; twice each changes nothing."""
    assert mean_p_value(np.ones(9), np.arange(9), 0.5) == pytest.approx(0.0027, abs=1e-4)
    assert mean_p_value(np.ones(18), np.tile(np.arange(9), 2), 0.5) == pytest.approx(0.0027, abs=1e-4)
    assert mean_p_value(np.array([1.0, 0.0]), np.arange(2), 0.5) == 1
    assert mean_p_value(np.array([]), np.array([]), 0.5) == 1


def test_one_prompt_proves_nothing_however_much_is_said_of_it():
    assert mean_p_value(np.ones(1000), np.zeros(1000), 0.5) == pytest.approx(0.317, abs=1e-3)


def test_where_nothing_differs_a_difference_is_found_one_time_in_twenty():
    chance, even = np.random.default_rng(2), np.arange(120) % 2 == 0
    result = [
        difference_p_value(chance.integers(0, 2, 120).astype(float), np.repeat(np.arange(60), 2), even) < 0.05
        for _ in range(400)
    ]
    assert 8 <= sum(result) <= 34


def test_a_difference_that_is_there_is_found():
    values = np.concatenate([np.tile([1.0, 1, 1, 0], 25), np.tile([1.0, 0, 0, 0], 25)])
    assert difference_p_value(values, np.arange(200), np.arange(200) < 100) < 1e-6
    assert difference_p_value(values, np.arange(200), np.ones(200, dtype=bool)) == 1

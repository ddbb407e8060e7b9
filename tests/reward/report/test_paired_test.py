"""The paired test of two models, from their margins alone."""

from itertools import product

import numpy as np
import pytest

from reward.report.paired_test import paired_difference, sign_flips


def test_all_sign_flips_are_counted_as_worked_out_by_hand():
    """Of 1, 1 and 2 the sum is 4; of the eight sums 4, 2, 2, 0, 0, -2, -2, -4 two are as far from 0: p = 1/4."""
    assert sign_flips(np.array([1.0, 1.0, 2.0])) == 0.25
    assert sign_flips(np.array([1.0, 0.0, 1.0, 0.0, 2.0])) == 0.25  # prompts on which the models agree don't count
    assert sign_flips(np.array([1.0, -1.0])) == 1
    assert sign_flips(np.zeros(3)) == 1


def test_sums_of_thirds_are_compared_without_rounding_errors():
    """Sums of thirds are not equal to the bit: of 1/3, 2/3 and -1 the sum is 0, and every way is as far from 0."""
    assert sign_flips(np.array([1 / 3, 2 / 3, -1.0])) == 1
    values = np.array([1, 1 / 3, -1 / 3, 2 / 3, 1 / 3, 1 / 6, 1, -1 / 2])
    whole = np.round(values * 6).astype(int)
    sums = [
        abs(sum(sign * item for sign, item in zip(signs, whole, strict=True))) for signs in product((1, -1), repeat=8)
    ]
    assert sign_flips(values) == sum(total >= abs(whole.sum()) for total in sums) / 2**8


def test_random_sign_flips_of_many_prompts_come_close_to_the_binomial_p():
    """40 prompts, 30 for and 10 against: z = 20 / sqrt(40), a binomial p of 0.0022."""
    values = np.array([1.0] * 30 + [-1.0] * 10)
    assert sign_flips(values) == pytest.approx(0.0022, abs=0.0008)
    assert sign_flips(values, seed=1) != 0


def test_equally_good_models_differ_significantly_about_5_times_in_100():
    rng = np.random.default_rng(0)
    p_values = [sign_flips(rng.choice([-1.0, -0.5, 0, 0.5, 1.0], size=14)) for _ in range(400)]
    assert np.mean(np.array(p_values) < 0.05) <= 0.08


def test_the_difference_is_taken_prompt_by_prompt_as_counted_by_hand():
    """Prompt p: the first is right of both, the second of one: +0.5 by weight. q: one right, one tied: +0.5. r: equal.

    So accuracy differs by (0.5 + 0.5) / 3 of weight 3; two prompts differ, both for the first: p = 2 / 4 = 0.5.
    """
    first = np.array([1.0, 1.0, 1.0, -1.0])
    second = np.array([1.0, -1.0, 0.0, -2.0])
    result = paired_difference(first, second, np.array([0.5, 0.5, 1.0, 1.0]), ["p", "p", "q", "r"])
    assert result.accuracy.value == pytest.approx(1 / 3)
    assert (result.p, result.differing, result.first_better, result.second_better) == (0.5, 2, 2, 0)
    assert result.disagreements == 2
    losses = [np.log1p(np.exp(-first)), np.log1p(np.exp(-second))]
    assert result.log_loss.value == pytest.approx(np.average(losses[0] - losses[1], weights=[0.5, 0.5, 1, 1]))


def test_swapping_the_models_flips_every_sign():
    rng = np.random.default_rng(1)
    first, second, weights = rng.normal(size=60), rng.normal(size=60), rng.random(60)
    clusters = [str(number // 3) for number in range(60)]
    forward = paired_difference(first, second, weights, clusters)
    reverse = paired_difference(second, first, weights, clusters)
    assert reverse.accuracy.value == pytest.approx(-forward.accuracy.value)
    assert (reverse.accuracy.low, reverse.accuracy.high) == pytest.approx(
        (-forward.accuracy.high, -forward.accuracy.low)
    )
    assert reverse.p == pytest.approx(forward.p, abs=0.01)
    assert (reverse.first_better, reverse.second_better) == (forward.second_better, forward.first_better)


def test_comparisons_of_one_prompt_count_as_one_prompt():
    """Only the first model gets 30 comparisons right: from one prompt that may be chance, from 30 prompts it is not."""
    margins, weights = np.ones(30), np.ones(30)
    assert paired_difference(margins, -margins, weights, ["p"] * 30).p == 1
    assert paired_difference(margins, -margins, weights, [str(number) for number in range(30)]).p < 0.001

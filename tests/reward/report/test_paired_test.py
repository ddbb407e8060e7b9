"""Which of two models is better on the same comparisons, from their margins alone."""

from itertools import product

import numpy as np
import pytest

from reward.report.paired_test import paired, sign_flips


def test_the_signs_are_turned_in_every_way_worked_out_by_hand():
    """Of 1, 1 and 2 the sum is 4; of the eight sums 4, 2, 2, 0, 0, -2, -2, -4 two are as far from 0: p = 1/4."""
    assert sign_flips(np.array([1.0, 1.0, 2.0])) == 0.25
    assert sign_flips(np.array([1.0, 0.0, 1.0, 0.0, 2.0])) == 0.25  # prompts on which they agree say nothing
    assert sign_flips(np.array([1.0, -1.0])) == 1
    assert sign_flips(np.zeros(3)) == 1


def test_thirds_are_counted_as_thirds():
    """Sums of thirds are not equal to the bit: of 1/3, 2/3 and -1 the sum is 0, and every way is as far from 0."""
    assert sign_flips(np.array([1 / 3, 2 / 3, -1.0])) == 1
    values = np.array([1, 1 / 3, -1 / 3, 2 / 3, 1 / 3, 1 / 6, 1, -1 / 2])
    whole = np.round(values * 6).astype(int)
    sums = [
        abs(sum(sign * one for sign, one in zip(signs, whole, strict=True))) for signs in product((1, -1), repeat=8)
    ]
    assert sign_flips(values) == sum(one >= abs(whole.sum()) for one in sums) / 2**8


def test_many_prompts_are_drawn_and_come_close_to_the_normal_approximation():
    """40 prompts, 30 for and 10 against: z = 20 / sqrt(40), a binomial p of 0.0022."""
    values = np.array([1.0] * 30 + [-1.0] * 10)
    assert sign_flips(values) == pytest.approx(0.0022, abs=0.0008)
    assert sign_flips(values, seed=1) != 0


def test_two_equal_models_seem_different_five_times_in_a_hundred():
    chance = np.random.default_rng(0)
    found = [sign_flips(chance.choice([-1.0, -0.5, 0, 0.5, 1.0], size=14)) for _ in range(400)]
    assert np.mean(np.array(found) < 0.05) <= 0.08


def test_the_difference_is_taken_prompt_by_prompt_as_counted_by_hand():
    """Prompt p: the first is right of both, the second of one: +0.5 by weight. q: one right, one tied: +0.5. r: equal.

    So accuracy differs by (0.5 + 0.5) / 3 of weight 3; two prompts differ, both for the first: p = 2 / 4 = 0.5.
    """
    first = np.array([1.0, 1.0, 1.0, -1.0])
    second = np.array([1.0, -1.0, 0.0, -2.0])
    found = paired(first, second, np.array([0.5, 0.5, 1.0, 1.0]), ["p", "p", "q", "r"])
    assert found.accuracy.value == pytest.approx(1 / 3)
    assert (found.p, found.differing, found.first_better, found.second_better) == (0.5, 2, 2, 0)
    assert found.disagreements == 2
    losses = [np.log1p(np.exp(-first)), np.log1p(np.exp(-second))]
    assert found.log_loss.value == pytest.approx(np.average(losses[0] - losses[1], weights=[0.5, 0.5, 1, 1]))


def test_turning_the_models_round_turns_every_sign():
    chance = np.random.default_rng(1)
    first, second, weights = chance.normal(size=60), chance.normal(size=60), chance.random(60)
    clusters = [str(number // 3) for number in range(60)]
    one, other = paired(first, second, weights, clusters), paired(second, first, weights, clusters)
    assert other.accuracy.value == pytest.approx(-one.accuracy.value)
    assert (other.accuracy.low, other.accuracy.high) == pytest.approx((-one.accuracy.high, -one.accuracy.low))
    assert other.p == pytest.approx(one.p, abs=0.01)
    assert (other.first_better, other.second_better) == (one.second_better, one.first_better)


def test_comparisons_of_one_prompt_are_not_taken_for_many_prompts():
    """Thirty comparisons that the first alone gets right: on one prompt that is chance, on thirty it is not."""
    margins, weights = np.ones(30), np.ones(30)
    assert paired(margins, -margins, weights, ["p"] * 30).p == 1
    assert paired(margins, -margins, weights, [str(number) for number in range(30)]).p < 0.001

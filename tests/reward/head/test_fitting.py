import numpy as np
import pytest

from reward.head.fitting import REGULARISATION, cross_validate, fit_head, fit_weights
from reward.metrics import accuracy, log_loss


def differences_of(comparisons, width, seed=0):
    return np.random.default_rng(seed).normal(size=(comparisons, width))


def planted(prompts, width=8, seed=0):
    """Return differences whose first feature decides; the last feature, length, is right three times in five."""
    rng = np.random.default_rng(seed)
    differences = rng.normal(size=(prompts, width))
    differences[:, 0] = np.abs(differences[:, 0])
    differences[:, -1] = np.abs(differences[:, -1]) * np.where(rng.random(prompts) < 0.6, 1, -1)
    return differences, np.ones(prompts), np.arange(prompts).astype(str)


def test_the_weight_for_one_feature_and_two_comparisons_is_as_computed_by_hand():
    """Differences 2 and 2 are standardised to 1 and 1. With C = 1, w minimises 2 log(1 + exp(-w)) + w²/2, so
    w = 2 / (1 + exp(w)): at w = 0.6751, 2 / (1 + 1.9642) = 0.6747. For the original feature: 0.6748 / 2 = 0.3374.
    """
    (weights,) = fit_weights(np.array([[2.0], [2.0]]), np.ones(2), [1.0])
    assert weights == pytest.approx([0.3374], abs=1e-3)


def test_the_weight_with_a_margin_is_as_computed_by_hand():
    """With a margin of 1: w = 2 / (1 + exp(w - 1)); at w = 1, 2 / (1 + 1) = 1. For the original feature 1 / 2."""
    (weights,) = fit_weights(np.array([[2.0], [2.0]]), np.ones(2), [1.0], np.ones(2))
    assert weights == pytest.approx([0.5], abs=1e-6)


@pytest.mark.parametrize("comparisons", [4, 50])
def test_tiny_margins_hardly_change_the_weights(comparisons):
    """Both starting points lead to the same minimum, with fewer comparisons than features and with more."""
    differences, weights = differences_of(comparisons, 6), np.linspace(0.5, 1, comparisons)
    without, tiny = (fit_weights(differences, weights, [0.1, 1.0], margin) for margin in (0.0, 1e-9))
    assert tiny == pytest.approx(without, abs=1e-4)


def test_trap_23_all_comparisons_may_have_the_same_class():
    """All comparisons are of the class "chosen"; scikit-learn refuses a single class."""
    (weights,) = fit_weights(np.ones((5, 1)), np.ones(5), [0.1])
    assert weights[0] > 0


def test_trap_23_swapping_the_sides_flips_the_sign_of_every_weight():
    differences = differences_of(50, 6)
    forward, backward = (fit_weights(sign * differences, np.ones(50), [0.1]) for sign in (1, -1))
    assert forward == pytest.approx(-backward, abs=1e-6)


def test_the_order_of_comparisons_does_not_matter():
    differences, weights = differences_of(50, 6), np.linspace(0.1, 1, 50)
    fitted = fit_weights(differences, weights, [0.1])
    assert fit_weights(differences[::-1], weights[::-1], [0.1]) == pytest.approx(fitted, abs=1e-5)


def test_a_comparison_of_weight_two_counts_like_two_comparisons():
    differences = differences_of(20, 3)
    twice = fit_weights(np.concatenate([differences, differences[:5]]), np.ones(25), [0.1])
    weighted = fit_weights(differences, np.where(np.arange(20) < 5, 2.0, 1.0), [0.1])
    assert weighted == pytest.approx(twice, abs=1e-5)


def test_the_scale_of_a_feature_does_not_change_the_margins():
    differences, scale = differences_of(50, 4), np.array([1, 1_000, 1e-3, 7])
    plain = differences @ fit_weights(differences, np.ones(50), [0.1])[0]
    scaled = (differences * scale) @ fit_weights(differences * scale, np.ones(50), [0.1])[0]
    assert scaled == pytest.approx(plain, abs=1e-5)


def test_a_feature_that_never_differs_gets_weight_zero():
    differences = differences_of(30, 3)
    differences[:, 1] = 0
    assert fit_weights(differences, np.ones(30), [0.1])[0, 1] == 0


def test_the_shortcut_for_few_comparisons_gives_the_same_weights():
    """Thirty zero rows of weight 0 change nothing, but there are no longer fewer rows than features."""
    differences = differences_of(20, 40)
    short = fit_weights(differences, np.ones(20), [0.01, 0.1])
    padded = np.concatenate([differences, np.zeros((30, 40))])
    assert fit_weights(padded, np.r_[np.ones(20), np.zeros(30)], [0.01, 0.1]) == pytest.approx(short, abs=1e-5)


def test_the_head_beats_longer_wins_if_another_feature_decides():
    differences, weights, clusters = planted(300)
    new, new_weights, _ = planted(200, seed=1)
    head = fit_head(differences[:, None], weights, clusters)
    longer_wins = accuracy(new[:, -1], new_weights)
    assert longer_wins == pytest.approx(0.6, abs=0.1)
    assert accuracy(new @ head.weights, new_weights) > 0.9


def test_the_informative_layer_is_chosen():
    differences, weights, clusters = planted(200)
    noise = differences_of(200, 8, seed=2)
    head = fit_head(np.stack([noise, differences, noise[::-1]], axis=1), weights, clusters)
    assert head.layer == 1
    assert head.cross_validated < 0.5


def test_on_noise_the_penalty_keeps_the_head_near_chance():
    noise = differences_of(100, 50)
    head = fit_head(noise[:, None], np.ones(100), np.arange(100).astype(str))
    assert head.regularisation == REGULARISATION[0] or head.cross_validated < np.log(2)
    assert log_loss(differences_of(500, 50, seed=3) @ head.weights, np.ones(500)) < 0.75


def test_comparisons_of_one_prompt_are_in_the_same_fold():
    """Ten noise comparisons, each five times: with folds by comparison, copies in the fit make the loss tiny."""
    repeated, weights = np.repeat(differences_of(10, 30), 5, axis=0), np.ones(50)
    by_prompt = cross_validate(repeated, weights, np.repeat(np.arange(10), 5).astype(str), [1.0], seed=0)
    by_comparison = cross_validate(repeated, weights, np.arange(50).astype(str), [1.0], seed=0)
    assert by_comparison[0] < 0.3
    assert by_prompt[0] > 0.5


def test_trap_18_a_position_bias_is_estimated_by_a_side_intercept_and_removed():
    """Quality has weight 1 and the first position 1.5. The second policy, marked by the second feature, was shown first
    three times in four. Without an intercept the head credits this policy with half of the position bias; with a column
    for the side shown first, the bias is estimated and the policy gets weight 0.
    """
    rng = np.random.default_rng(7)
    quality, first = rng.normal(size=3_000), np.where(rng.random(3_000) < 0.75, 1.0, -1.0)
    policy = np.ones(3_000)  # feature of the second policy's completion less that of the first
    chosen = rng.random(3_000) < 1 / (1 + np.exp(-(quality + 1.5 * first)))
    signs = np.where(chosen, 1, -1)[:, None]
    without = fit_weights(np.column_stack([quality, policy]) * signs, np.ones(3_000), [10.0])[0]
    with_intercept = fit_weights(np.column_stack([quality, policy, first]) * signs, np.ones(3_000), [10.0])[0]
    assert without[1] > 0.4
    assert with_intercept == pytest.approx([1.0, 0.0, 1.5], abs=0.15)


def test_the_same_seed_gives_the_same_head():
    differences, weights, clusters = planted(60)
    first, second = (fit_head(differences[:, None], weights, clusters, seed=5) for _ in range(2))
    assert np.array_equal(first.weights, second.weights) and first.regularisation == second.regularisation

import math

import numpy as np
import pytest

from reward import metrics

LOG_2 = math.log(2)


def ones(count):
    return np.ones(count)


def test_accuracy_counts_an_exact_tie_half():
    """Right, wrong, tied: (1 + 0 + 0.5) / 3."""
    assert metrics.accuracy(np.array([2.0, -1.0, 0.0]), ones(3)) == pytest.approx(0.5)


def test_a_ranking_has_weight_one_however_many_comparisons_it_implies():
    """Six correct comparisons of one ranking and a wrong one of another: (6/6 + 0) / 2, not 6/7."""
    margins, weights = np.array([1.0] * 6 + [-1.0]), np.array([1 / 6] * 6 + [1.0])
    assert metrics.accuracy(margins, weights) == pytest.approx(0.5)


def test_equal_rewards_have_log_loss_log_2_and_brier_score_a_quarter():
    assert metrics.log_loss(np.zeros(4), ones(4)) == pytest.approx(LOG_2)
    assert metrics.brier(np.zeros(4), ones(4)) == pytest.approx(0.25)


def test_log_loss_and_brier_score_are_as_computed_by_hand():
    """sigmoid(log 3) = 0.75: -log 0.75 = 0.28768, (1 - 0.75)² = 0.0625; reversed -log 0.25, 0.5625."""
    margins = np.array([math.log(3), -math.log(3)])
    assert metrics.losses(margins) == pytest.approx([-math.log(0.75), -math.log(0.25)])
    assert metrics.squared_errors(margins) == pytest.approx([0.0625, 0.5625])


def test_huge_margins_neither_overflow_nor_warn():
    assert metrics.losses(np.array([1e4, -1e4])) == pytest.approx([0, 1e4])
    assert metrics.squared_errors(np.array([1e4, -1e4])) == pytest.approx([0, 1])


def test_without_comparisons_metrics_are_nan():
    none = np.array([])
    assert math.isnan(metrics.accuracy(none, none)) and math.isnan(metrics.ece(none, none))
    assert math.isnan(metrics.temperature(none, none))


def test_calibration_error_is_the_gap_between_confidence_and_accuracy():
    """Four comparisons at confidence 0.75, two of them right: |0.5 - 0.75|."""
    margins = np.array([1, 1, -1, -1]) * math.log(3)
    assert metrics.ece(margins, ones(4), bins=1) == pytest.approx(0.25)
    (one_bin,) = metrics.calibration_bins(margins, ones(4), bins=1)
    assert (one_bin.confidence, one_bin.accuracy, one_bin.comparisons) == (pytest.approx(0.75), 0.5, 4)


def test_a_calibrated_model_has_no_calibration_error():
    """Three of four correct at confidence 0.75, in one bin."""
    margins = np.array([1, -1, 1, 1]) * math.log(3)
    assert metrics.ece(margins, ones(4), bins=1) == pytest.approx(0)


def test_bins_have_equal_shares_and_contain_every_comparison():
    margins = np.random.default_rng(0).normal(size=300)
    bins = metrics.calibration_bins(margins, ones(300))
    assert [one_bin.comparisons for one_bin in bins] == [20] * 15
    assert [one_bin.confidence for one_bin in bins] == sorted(one_bin.confidence for one_bin in bins)


def test_bins_are_equal_in_weight_not_in_number():
    """Two comparisons of weight 1 and four of 0.5, most confident last: two bins of weight 2, of two and of four."""
    bins = metrics.calibration_bins(np.array([1.0, 2, 3, 4, 5, 6]), np.array([1, 1, 0.5, 0.5, 0.5, 0.5]), bins=2)
    assert [(one_bin.comparisons, one_bin.weight) for one_bin in bins] == [(2, 0.5), (4, 0.5)]


def test_the_temperature_corrects_overconfidence():
    """Three right and one wrong, all at margin 10: the best margin is log 3, so T = 10 / log 3 = 9.102."""
    margins = np.array([10.0, 10.0, 10.0, -10.0])
    assert metrics.temperature(margins, ones(4)) == pytest.approx(10 / math.log(3), rel=1e-3)


def test_the_order_of_comparisons_does_not_matter():
    """No measure is a mean of batch means, so it can't depend on what was in a batch."""
    margins = np.random.default_rng(0).normal(size=101)
    weights = np.random.default_rng(1).random(101)
    order = np.random.default_rng(2).permutation(101)
    for measure in (metrics.accuracy, metrics.log_loss, metrics.brier, metrics.ece, metrics.temperature):
        assert measure(margins[order], weights[order]) == pytest.approx(measure(margins, weights), rel=1e-6)


def test_spearman_depends_on_order_alone_and_needs_two_values_that_vary():
    assert metrics.spearman(np.array([1, 2, 3]), np.array([10, 20, 1_000])) == pytest.approx(1)
    assert metrics.spearman(np.array([1, 2, 3]), np.array([3, 2, 1])) == pytest.approx(-1)
    assert math.isnan(metrics.spearman(np.array([1]), np.array([1])))
    assert math.isnan(metrics.spearman(np.array([1, 2]), np.array([5, 5])))

"""Standard deviations of a head's rewards."""

import numpy as np
import pytest
from safetensors.numpy import load_file

from reward.features import compute_features, encode, open_backbone
from reward.head import Head, fit_weights
from reward.model import RewardModel
from reward.uncertainty import POSTERIOR_FILE, Posterior, laplace


def fitted(differences, weights=None, strength=1.0):
    differences = np.asarray(differences, dtype=float)
    weights = np.ones(len(differences)) if weights is None else np.asarray(weights, dtype=float)
    found = Head(fit_weights(differences, weights, [strength])[0], 0, strength, 0.0)
    return laplace(differences, weights, found, np.zeros(differences.shape[1]))


def test_one_feature_and_two_comparisons_give_the_deviation_worked_out_by_hand():
    """Differences 2 and 2, standardised 1 and 1, C = 1: the fit is w = 0.6748 (see test_head). There p is 0.6626,
    sigmoid(0.6748), and p (1 - p) 0.2236, so the precision is 2 x 0.2236 + 1 = 1.4471 and w has 0.8313. Folded
    back it is 0.4156: a reward one away from the origin has 0.4156, a margin of features 2 apart 0.8313.
    """
    posterior = fitted([[2.0], [2.0]])
    assert posterior.deviations(np.array([[1.0], [0.0], [-3.0]])) == pytest.approx([0.4156, 0, 3 * 0.4156], abs=1e-3)
    assert posterior.margin_deviations(np.array([[2.0]])) == pytest.approx([0.8313], abs=1e-3)


def test_the_deviation_is_of_the_distance_from_the_origin():
    chance = np.random.default_rng(0)
    differences, origin, features = chance.normal(size=(40, 3)), np.array([5.0, -2.0, 1.0]), chance.normal(size=(6, 3))
    head = Head(fit_weights(differences, np.ones(40), [0.1])[0], 0, 0.1, 0.0)
    moved = laplace(differences, np.ones(40), head, origin)
    assert moved.deviations(origin[None]) == pytest.approx([0], abs=1e-6)
    assert moved.deviations(features + origin) == pytest.approx(
        fitted(differences, strength=0.1).deviations(features), abs=1e-5
    )


def test_the_covariance_is_the_inverse_of_the_second_derivative():
    """The objective's second derivative, by differences of its gradient, in three features of different scale."""
    chance = np.random.default_rng(1)
    differences, weights = chance.normal(size=(30, 3)) * [1, 10, 0.1], chance.random(30)
    weights_of = fit_weights(differences, weights, [2.0])[0]
    spread = np.sqrt(np.average(differences**2, axis=0, weights=weights))

    def gradient(w):
        return -(weights / (1 + np.exp(differences @ w))) @ differences + w * spread**2 / 2.0

    step = 1e-5 / spread
    second = np.array([(gradient(weights_of + e) - gradient(weights_of - e)) / (2 * e.sum()) for e in np.diag(step)])
    factor = fitted(differences, weights, 2.0).factor
    assert factor.T @ factor == pytest.approx(np.linalg.inv(second), rel=1e-3, abs=1e-6)


def test_a_ranking_counts_once_however_many_comparisons_it_implies():
    """Twelve comparisons of weight 1/6 say as much as two, and two of weight 2 as much as four."""
    two, twelve, four = ([[1.0, 0.5], [0.2, -1.0]] * times for times in (1, 6, 2))
    assert fitted(twelve, [1 / 6] * 12).factor == pytest.approx(fitted(two).factor, rel=1e-4, abs=1e-6)
    assert fitted(two, [2.0, 2.0]).factor == pytest.approx(fitted(four).factor, rel=1e-4, abs=1e-6)


def test_more_comparisons_make_it_surer_where_they_say_something_and_only_there():
    chance = np.random.default_rng(2)
    differences = np.column_stack([chance.normal(size=400), np.where(np.arange(400) < 5, 1.0, 0.0)])
    few, many = fitted(differences[:20]), fitted(differences)
    axes = np.eye(2)
    assert many.deviations(axes)[0] < 0.5 * few.deviations(axes)[0]
    assert many.deviations(axes)[1] > 0.5 * few.deviations(axes)[1]


def test_heads_of_disjoint_halves_differ_as_much_as_their_deviations_say():
    """Where the prior is the truth: weights drawn from N(0, 1), choices from the model, C = 1. The true margin lies
    within 1.96 deviations 95 times in 100; over 40 draws of 50 margins, 0.9 to 0.99.
    """
    chance, within = np.random.default_rng(3), []
    for _ in range(40):
        differences, asked = chance.normal(size=(60, 4)), chance.normal(size=(50, 4))
        spread = np.sqrt(np.mean(differences**2, axis=0))
        truth = chance.normal(size=4) / spread
        choice = np.where(chance.random(60) < 1 / (1 + np.exp(-differences @ truth)), 1, -1)
        signed = differences * choice[:, None]
        head = Head(fit_weights(signed, np.ones(60), [1.0])[0], 0, 1.0, 0.0)
        deviations = laplace(signed, np.ones(60), head, np.zeros(4)).margin_deviations(asked)
        within.append(np.mean(np.abs(asked @ (head.weights - truth)) < 1.96 * deviations))
    assert 0.9 < np.mean(within) < 0.99


def test_a_trained_folder_has_a_deviation_for_every_reward(trained, tiny_backbone_folder):
    model = RewardModel.load(trained)
    prompt, texts = [{"role": "user", "content": "Why?"}], ["abc abc", "vwx", "", "12345 ?!"]
    rewards, deviations = model.score_with_deviations(prompt, texts)
    assert rewards == model.score(prompt, texts)
    backbone = open_backbone(str(tiny_backbone_folder))
    layer = backbone.layers.index(model.network.config.num_hidden_layers)
    inputs = [encode(backbone.tokenizer, prompt, text) for text in texts]
    kept = load_file(trained / POSTERIOR_FILE)
    distance = compute_features(backbone, inputs)[:, layer] - kept["origin"]
    variance = np.einsum("if,fg,ig->i", distance, kept["factor"].T @ kept["factor"], distance)
    assert deviations == pytest.approx(np.sqrt(variance), rel=1e-3)
    assert min(deviations) > 0


def test_a_folder_without_a_posterior_says_that_nobody_knows(trained, tmp_path):
    model = RewardModel.load(trained)
    RewardModel(model.network, model.tokenizer).save(tmp_path)
    assert Posterior.load(tmp_path) is None
    rewards, deviations = RewardModel.load(tmp_path).score_with_deviations([{"role": "user", "content": "Why?"}], ["a"])
    assert deviations is None and len(rewards) == 1


def test_saving_what_was_loaded_keeps_the_deviations(trained, tmp_path):
    model = RewardModel.load(trained)
    model.save(tmp_path)
    asked = ([{"role": "user", "content": "Why?"}], ["abc", "xyz"])
    assert RewardModel.load(tmp_path).score_with_deviations(*asked) == model.score_with_deviations(*asked)


def test_no_second_file_of_weights_lies_beside_the_models_own(trained):
    """A server that loads every safetensors file of the folder would take it for weights of the network."""
    assert [path.name for path in trained.glob("*.safetensors")] == ["model.safetensors"]

"""Standard deviations of the rewards of a linear head."""

import numpy as np
import pytest
from safetensors.numpy import load_file

from reward.file_names import UNCERTAINTY_FILE
from reward.head.covariance import jackknife
from reward.head.fitting import Head, fit_weights
from reward.model.model import RewardModel
from reward.model.uncertainty import Uncertainty
from reward.networks.features import compute_features, encode, open_backbone


def fitted(differences, weights=None, clusters=None, strength=1.0):
    differences = np.asarray(differences, dtype=float)
    weights = np.ones(len(differences)) if weights is None else np.asarray(weights, dtype=float)
    clusters = np.arange(len(differences)) if clusters is None else np.asarray(clusters)
    result = Head(fit_weights(differences, weights, [strength])[0], 0, strength, 0.0)
    return jackknife(differences, weights, clusters, result, np.zeros(differences.shape[1]))


def test_the_deviation_for_one_feature_and_two_prompts_is_as_computed_by_hand():
    """Differences 2 and 2, standardised 1 and 1, C = 1: the fit is w = 0.6748 (see test_fitting), where p = 0.6626, so
    p (1 - p) = 0.2236 and H = 2 x 0.2236 + 1 = 1.4471. Without one prompt the step is -0.3374 / (1.4471 - 0.2236) =
    -0.2758; the variance is 1/2 x 2 x 0.2758², the deviation of w 0.2758, and for the original feature 0.1379.
    """
    result = fitted([[2.0], [2.0]])
    assert result.deviations(np.array([[1.0], [0.0], [-3.0]])) == pytest.approx([0.1379, 0, 3 * 0.1379], abs=1e-3)
    assert result.margin_deviations(np.array([[2.0]])) == pytest.approx([0.2758], abs=1e-3)


def test_newton_steps_match_refitting_without_each_prompt():
    """Compare the covariances of Newton steps and of heads refitted without each of 60 prompts of two comparisons."""
    differences = np.random.default_rng(5).normal(size=(120, 3)) + 0.4
    clusters, scale = np.repeat(np.arange(60), 2), np.sqrt(np.mean(differences**2, axis=0))
    whole = fit_weights(differences, np.ones(120), [5.0])[0]
    steps = []
    for prompt in range(60):
        left = differences[clusters != prompt]
        # The penalty is the same as in the whole fit: each feature keeps its scale.
        rescaled = 5.0 * (np.sqrt(np.mean(left**2, axis=0)) / scale) ** 2
        steps.append(fit_weights(left, np.ones(118), [float(rescaled.mean())])[0] - whole)
    covariance = 59 / 60 * np.transpose(steps) @ np.array(steps)
    factor = fitted(differences, clusters=clusters, strength=5.0).factor
    assert np.sqrt(np.diag(factor.T @ factor)) == pytest.approx(np.sqrt(np.diag(covariance)), rel=0.05)


def test_the_deviation_depends_on_the_distance_from_the_origin():
    rng = np.random.default_rng(0)
    differences, origin, features = rng.normal(size=(40, 3)), np.array([5.0, -2.0, 1.0]), rng.normal(size=(6, 3))
    head = Head(fit_weights(differences, np.ones(40), [0.1])[0], 0, 0.1, 0.0)
    moved = jackknife(differences, np.ones(40), np.arange(40), head, origin)
    assert moved.deviations(origin[None]) == pytest.approx([0], abs=1e-6)
    expected = fitted(differences, strength=0.1).deviations(features)
    assert moved.deviations(features + origin) == pytest.approx(expected, abs=1e-5)


def test_deviations_match_a_bootstrap_over_prompts():
    """200 prompts of three similar comparisons each; 300 heads refitted on resampled prompts."""
    rng = np.random.default_rng(1)
    alike = rng.normal(size=(200, 1, 5)) + 0.3 * rng.normal(size=(200, 3, 5))
    differences = (alike * np.where(rng.random((200, 1, 1)) < 0.8, 1, -1) * [1, 10, 0.1, 1, 1]).reshape(600, 5)
    weights, clusters, new = np.full(600, 1 / 3), np.repeat(np.arange(200), 3), rng.normal(size=(20, 5))
    heads = []
    for _ in range(300):
        drawn = np.bincount(rng.integers(200, size=200), minlength=200)[clusters] * weights
        heads.append(fit_weights(differences[drawn > 0], drawn[drawn > 0], [1.0])[0])
    result = fitted(differences, weights, clusters).margin_deviations(new)
    assert result == pytest.approx(np.std(new @ np.transpose(heads), axis=1), rel=0.25)


def test_repeated_comparisons_of_one_prompt_do_not_reduce_the_deviation():
    """Six copies with weight 1/6 give the same deviation if they are of one prompt, and a smaller one if of six."""
    rng = np.random.default_rng(2)
    differences, clusters = rng.normal(size=(30, 3)), np.arange(30)
    six = np.repeat(differences, 6, axis=0), np.full(180, 1 / 6), np.repeat(clusters, 6)
    axes = np.eye(3)
    once = fitted(differences).deviations(axes)
    assert fitted(*six).deviations(axes) == pytest.approx(once, rel=1e-4)
    assert (fitted(six[0], six[1], np.arange(180)).deviations(axes) < 0.6 * once).all()


def test_more_prompts_reduce_the_deviation():
    """Sixteen times as many prompts: about a quarter of the deviation."""
    differences = np.random.default_rng(3).normal(size=(1_600, 4)) + 0.5
    few, many = (fitted(differences[:size]).deviations(np.eye(4)).mean() for size in (100, 1_600))
    assert many == pytest.approx(few / 4, rel=0.3)


def test_the_true_margin_lies_within_two_deviations_about_95_times_in_100():
    """Choices drawn from a known head, 300 prompts and a weak penalty; 50 margins in each of 40 repetitions."""
    rng, within = np.random.default_rng(4), []
    for _ in range(40):
        differences, new, truth = rng.normal(size=(300, 4)), rng.normal(size=(50, 4)), rng.normal(size=4)
        choice = np.where(rng.random(300) < 1 / (1 + np.exp(-differences @ truth)), 1, -1)
        signed = differences * choice[:, None]
        head = Head(fit_weights(signed, np.ones(300), [10.0])[0], 0, 10.0, 0.0)
        deviations = jackknife(signed, np.ones(300), np.arange(300), head, np.zeros(4)).margin_deviations(new)
        within.append(np.mean(np.abs(new @ (head.weights - truth)) < 1.96 * deviations))
    assert 0.9 < np.mean(within) < 0.98


def test_a_trained_folder_has_a_deviation_for_every_reward(trained, tiny_backbone_folder):
    model = RewardModel.load(trained)
    prompt, texts = [{"role": "user", "content": "Why?"}], ["abc abc", "vwx", "", "12345 ?!"]
    rewards, deviations = model.score_with_deviations(prompt, texts)
    assert rewards == model.score(prompt, texts)
    backbone = open_backbone(str(tiny_backbone_folder))
    layer = backbone.layers.index(model.network.config.num_hidden_layers)
    inputs = [encode(backbone.tokenizer, prompt, text) for text in texts]
    saved = load_file(trained / UNCERTAINTY_FILE)
    distance = compute_features(backbone, inputs)[:, layer] - saved["origin"]
    variance = np.einsum("if,fg,ig->i", distance, saved["factor"].T @ saved["factor"], distance)
    assert deviations == pytest.approx(np.sqrt(variance), rel=1e-3)
    assert min(deviations) > 0


def test_a_folder_without_uncertainty_gives_no_deviations(trained, tmp_path):
    model = RewardModel.load(trained)
    RewardModel(model.network, model.tokenizer).save(tmp_path)
    assert Uncertainty.load(tmp_path) is None
    rewards, deviations = RewardModel.load(tmp_path).score_with_deviations([{"role": "user", "content": "Why?"}], ["a"])
    assert deviations is None and len(rewards) == 1


def test_a_loaded_and_saved_model_keeps_its_deviations(trained, tmp_path):
    model = RewardModel.load(trained)
    model.save(tmp_path)
    arguments = ([{"role": "user", "content": "Why?"}], ["abc", "xyz"])
    assert RewardModel.load(tmp_path).score_with_deviations(*arguments) == model.score_with_deviations(*arguments)


def test_the_folder_has_one_safetensors_file_at_its_top(trained):
    """Some servers load every safetensors file in the folder as weights of the network."""
    assert [path.name for path in trained.glob("*.safetensors")] == ["model.safetensors"]

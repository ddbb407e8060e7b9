import json
import math
import os
from dataclasses import replace
from itertools import chain

import pytest
import torch

from label_data.errors import InputError
from reward.file_names import LOG_FILE
from reward.finetuning.trainer import CHECKPOINTS, RankingTrainer, fit, inputs_to_check, steps_of, training_arguments
from reward.finetuning.training_groups import summed_loss
from reward.networks.ranked_network import RankedNetwork, start_head
from reward.settings import Settings
from tiny_networks import PAD, random_training_groups, tiny_decoder

QUICK = Settings(method="full", epochs=2, groups_per_step=8, learning_rate=3e-3, batch_tokens=200)


class Stopped(Exception):
    pass


def ranked(layout="cache", **options):
    network = tiny_decoder(**options)
    start_head(network.score, seed=0)
    return RankedNetwork(network, PAD, layout)


def weights(network):
    return torch.cat([weight.detach().flatten() for weight in network.parameters()])


def lines(folder):
    return [json.loads(line) for line in (folder / LOG_FILE).read_text().splitlines()]


def gradient(groups, folder, **changed):
    """Return the gradient and the loss of one training step."""
    network, settings = ranked(), Settings(method="full", **changed)
    trainer = RankingTrainer(
        network, training_arguments(settings, folder, 1, False, "cpu"), settings, [groups], [], 0.0
    )
    loss = trainer.training_step(network, groups)
    return torch.cat([weight.grad.flatten() for weight in network.parameters()]), loss


# One step


def test_trap_24_the_gradient_does_not_depend_on_how_a_step_is_divided(tmp_path):
    """Groups of one to ten comparisons in one batch, a few batches, and one batch each: means of means would differ."""
    groups = random_training_groups(8)
    whole, loss = gradient(groups, tmp_path, batch_tokens=100_000)
    for tokens in (150, 1):
        result, same = gradient(groups, tmp_path, batch_tokens=tokens)
        assert (result - whole).norm() <= 1e-5 * whole.norm()
        assert same.item() == pytest.approx(loss.item(), rel=1e-6)


def test_trap_24_the_gradient_is_the_gradient_of_the_mean_over_all_rankings(tmp_path):
    groups = random_training_groups(8)
    result, loss = gradient(groups, tmp_path, batch_tokens=100)
    network = ranked("plain")
    per_group = [summed_loss(network(group.inputs), [group], Settings(method="full")) for group in groups]
    plain = torch.stack(per_group).mean()
    plain.backward()
    expected = torch.cat([weight.grad.flatten() for weight in network.parameters()])
    assert (result - expected).norm() <= 1e-5 * expected.norm()
    assert loss.item() == pytest.approx(plain.item(), rel=1e-5)


def test_every_epoch_uses_every_group_once_in_an_order_of_its_own():
    steps = steps_of(10, Settings(method="full", epochs=2, groups_per_step=4))
    assert [len(step) for step in steps] == [4, 4, 2, 4, 4, 2]
    first, second = [list(chain(*epoch)) for epoch in (steps[:3], steps[3:])]
    assert sorted(first) == sorted(second) == list(range(10)) and first != second
    assert steps == steps_of(10, Settings(method="full", epochs=2, groups_per_step=4))


# Many steps


@pytest.fixture(scope="module")
def taught(tmp_path_factory):
    """A network trained on 64 groups with 24 for validation: weights before, network, result of fit, folder."""
    folder, network = tmp_path_factory.mktemp("taught"), ranked()
    before = {name: weight.detach().clone() for name, weight in network.named_parameters()}
    result = fit(network, random_training_groups(64), random_training_groups(24, seed=2), QUICK, folder)
    return before, network, result, folder


def test_a_planted_rule_is_learned(taught):
    _, _, result, folder = taught
    accuracies = [line["validation_accuracy"] for line in lines(folder) if "validation_accuracy" in line]
    assert max(accuracies) > 0.65
    assert result.best_log_loss == min(line["validation_log_loss"] for line in lines(folder) if len(line) == 4)
    assert (result.steps, result.planned, result.layout, result.fallback) == (16, 16, "cache", None)


def test_trap_12_every_weight_moves_and_the_head_most(taught):
    before, network, result, _ = taught
    moved = {name: (weight - before[name]).abs().max().item() for name, weight in network.named_parameters()}
    assert min(moved.values()) > 0
    assert moved["network.score.weight"] == max(moved.values())
    assert result.weights.keys() == before.keys()


def test_trap_25_the_rate_rises_and_ends_at_a_tenth(taught):
    """16 steps take no warm-up (a twentieth is less than one); the last is one step before the cosine's end."""
    rates = [line["learning_rate"] for line in lines(taught[3]) if "learning_rate" in line]
    assert len(rates) == 16 and rates[0] == 3e-3
    at_last = 3e-3 * (0.1 + 0.9 * (1 + math.cos(math.pi * 15 / 16)) / 2)
    assert rates[-1] == pytest.approx(at_last) and rates[-1] < 0.11 * 3e-3
    assert rates == sorted(rates, reverse=True)


def test_the_log_has_one_line_per_step_and_one_per_evaluation(taught):
    steps = [line for line in lines(taught[3]) if "loss" in line]
    assert [line["step"] for line in steps] == list(range(1, 17))
    assert steps[7]["epoch"] == 1 and steps[15]["epoch"] == 2
    assert all(line["tokens_per_second"] > 0 and line["gradient_norm"] > 0 for line in steps)
    assert [line["step"] for line in lines(taught[3]) if "validation_log_loss" in line] == [2, 4, 6, 8, 10, 12, 14, 16]


def test_the_network_keeps_the_weights_of_the_best_step(taught):
    _, network, result, folder = taught
    groups = random_training_groups(24, seed=2)
    losses = summed_loss(network([item for group in groups for item in group.inputs]), groups, Settings(centring=0.0))
    assert losses.item() / 24 == pytest.approx(result.best_log_loss, rel=1e-4)
    best = [line["step"] for line in lines(folder) if line.get("validation_log_loss") == result.best_log_loss]
    assert best == [result.best_step]


def stopped_after(steps):
    def stop(done, total, message):
        if done == steps:
            raise Stopped

    return stop


def test_a_resumed_run_gives_the_same_weights_bit_for_bit(tmp_path):
    """Six steps at once, or three, a stop, and three more; with dropout, so the state of the rng is restored too."""
    groups, settings = (
        random_training_groups(24),
        Settings(method="full", epochs=2, groups_per_step=8, learning_rate=1e-3),
    )
    at_once = ranked(attention_dropout=0.1)
    fit(at_once, groups, [], settings, tmp_path / "at once")
    first = ranked(attention_dropout=0.1)
    with pytest.raises(Stopped):
        fit(first, groups, [], settings, tmp_path / "twice", on_progress=stopped_after(3))
    second = ranked(attention_dropout=0.1)
    fit(second, groups, [], settings, tmp_path / "twice", resume=True)
    assert torch.equal(weights(second), weights(at_once))
    assert not torch.equal(weights(first), weights(at_once))
    steps = [line["step"] for line in lines(tmp_path / "twice")]
    assert steps == list(range(1, 7))
    losses = [[line["loss"] for line in lines(tmp_path / name)] for name in ("at once", "twice")]
    assert losses[0] == losses[1]


def test_the_same_seed_gives_the_same_weights_and_another_seed_different_weights(tmp_path):
    groups, results = random_training_groups(16), []
    for number, seed in enumerate((0, 0, 1)):
        network = ranked()
        fit(
            network, groups, [], Settings(method="full", epochs=1, groups_per_step=8, seed=seed), tmp_path / str(number)
        )
        results.append(weights(network))
    assert torch.equal(results[0], results[1]) and not torch.equal(results[0], results[2])


def opposite_of(groups):
    return [
        replace(
            group, comparisons=tuple(replace(p, first=p.second, second=p.first) for p in group.comparisons), orders=()
        )
        for group in groups
    ]


def test_training_stops_early_without_a_lower_validation_log_loss_but_not_within_the_first_epoch(tmp_path):
    """With validation on reversed comparisons, the first of the four evaluations per epoch is the best."""
    taught, opposite = random_training_groups(64), opposite_of(random_training_groups(24, seed=2))
    for patience, stops in ((2, 8), (3, 8), (4, 10)):
        settings = Settings(method="full", epochs=4, groups_per_step=8, learning_rate=1e-3, patience=patience)
        result = fit(ranked(), taught, opposite, settings, tmp_path / str(patience))
        assert (result.best_step, result.steps, result.planned) == (2, stops, 32)


def test_a_resumed_run_stops_early_at_the_same_step(tmp_path):
    taught, opposite = random_training_groups(64), opposite_of(random_training_groups(24, seed=2))
    settings = Settings(method="full", epochs=4, groups_per_step=8, learning_rate=1e-3, patience=4)
    with pytest.raises(Stopped):
        fit(ranked(), taught, opposite, settings, tmp_path, on_progress=stopped_after(7))
    result = fit(ranked(), taught, opposite, settings, tmp_path, resume=True)
    assert (result.best_step, result.steps) == (2, 10)


@pytest.mark.parametrize(("precision", "used"), [("bfloat16", "bfloat16"), ("float32", "float32"), (None, "float32")])
def test_a_cpu_computes_in_the_given_precision_and_keeps_its_weights_in_float32(tmp_path, monkeypatch, precision, used):
    """The planted rule is learned in bfloat16, which any CPU can compute slowly, as well as in `taught`."""
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": True})
    network = ranked("row")
    kinds = []
    layer = network.network.model.layers[0].mlp.up_proj
    layer.register_forward_hook(lambda _module, _inputs, output: kinds.append(output.dtype))
    result = fit(
        network,
        random_training_groups(64),
        random_training_groups(24, seed=2),
        replace(QUICK, precision=precision),
        tmp_path,
    )
    assert (result.precision, result.layout, result.fallback) == (used, "row", None)
    assert os.environ["LRU_CACHE_CAPACITY"] == "32"  # oneDNN's default of 1,024 cached shapes took gigabytes
    assert str(kinds[-1]) == f"torch.{used}"
    assert {weight.dtype for weight in network.parameters()} == {torch.float32}
    assert max(line["validation_accuracy"] for line in lines(tmp_path) if "validation_accuracy" in line) > 0.65


def test_bfloat16_is_refused_on_a_processor_without_instructions_for_it(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_f": True})
    with pytest.raises(InputError, match="no instructions for bfloat16"):
        fit(ranked(), random_training_groups(8), [], replace(QUICK, precision="bfloat16"), tmp_path, device="cpu")


def test_with_too_few_validation_prompts_there_is_no_validation(tmp_path):
    result = fit(
        ranked(),
        random_training_groups(8),
        random_training_groups(5, seed=2),
        Settings(method="full", epochs=1),
        tmp_path,
    )
    assert math.isnan(result.best_log_loss) and result.best_step == result.steps == 1


def test_an_inexact_layout_is_replaced_with_a_warning_and_a_reason(tmp_path, caplog):
    network = ranked("row", kind="mistral", sliding_window=4)
    result = fit(network, random_training_groups(8), [], Settings(method="full", epochs=1), tmp_path)
    assert (result.layout, network.layout) == ("plain", "plain")
    assert "rewards differ" in str(result.fallback) and str(result.fallback) in caplog.text


@pytest.mark.parametrize("tokens", [10, 60, 100, 300, 10_000])
def test_the_check_of_the_layout_reads_at_most_as_many_tokens_at_once_as_training(tokens):
    groups = random_training_groups(20)
    result = inputs_to_check(groups, tokens)
    padded = len(result) * max(len(item.ids) for item in result)
    least = min(2 * max(len(item.ids) for item in group.inputs[:2]) for group in groups)
    assert padded <= max(tokens, least) and 2 <= len(result) <= 8
    assert len({item.prompt for item in result}) < len(result)
    assert padded > 0.4 * tokens or len(result) == 8


def test_trap_11_without_dropout_two_readings_in_training_are_equal_and_with_it_they_are_not():
    inputs = [item for group in random_training_groups(3) for item in group.inputs]
    for dropout in (0.0, 0.5):
        network = ranked(attention_dropout=dropout).train()
        assert torch.equal(network(inputs), network(inputs)) == (dropout == 0)


def test_without_anything_to_train_on_there_is_an_input_error(tmp_path):
    with pytest.raises(InputError, match="Rank some prompts first"):
        fit(ranked(), [], [], QUICK, tmp_path)
    assert not (tmp_path / CHECKPOINTS).exists()

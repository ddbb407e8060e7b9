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
    """Return the gradient of one step, by the trainer's own step, and its loss."""
    network, settings = ranked(), Settings(method="full", **changed)
    trainer = RankingTrainer(
        network, training_arguments(settings, folder, 1, False, "cpu"), settings, [groups], [], 0.0
    )
    loss = trainer.training_step(network, groups)
    return torch.cat([weight.grad.flatten() for weight in network.parameters()]), loss


# One step


def test_trap_24_the_gradient_does_not_depend_on_how_a_step_is_divided(tmp_path):
    """Groups of one to ten comparisons, read in one batch, in a few, and one by one: means of means would differ."""
    groups = random_training_groups(8)
    whole, loss = gradient(groups, tmp_path, batch_tokens=100_000)
    for tokens in (150, 1):
        found, same = gradient(groups, tmp_path, batch_tokens=tokens)
        assert (found - whole).norm() <= 1e-5 * whole.norm()
        assert same.item() == pytest.approx(loss.item(), rel=1e-6)


def test_trap_24_the_gradient_is_that_of_the_mean_over_all_rankings(tmp_path):
    groups = random_training_groups(8)
    found, loss = gradient(groups, tmp_path, batch_tokens=100)
    network = ranked("plain")
    per_group = [summed_loss(network(one.inputs), [one], Settings(method="full")) for one in groups]
    plain = torch.stack(per_group).mean()
    plain.backward()
    expected = torch.cat([weight.grad.flatten() for weight in network.parameters()])
    assert (found - expected).norm() <= 1e-5 * expected.norm()
    assert loss.item() == pytest.approx(plain.item(), rel=1e-5)


def test_every_epoch_takes_every_group_once_in_another_order():
    steps = steps_of(10, Settings(method="full", epochs=2, groups_per_step=4))
    assert [len(step) for step in steps] == [4, 4, 2, 4, 4, 2]
    first, second = [list(chain(*some)) for some in (steps[:3], steps[3:])]
    assert sorted(first) == sorted(second) == list(range(10)) and first != second
    assert steps == steps_of(10, Settings(method="full", epochs=2, groups_per_step=4))


# Many steps


@pytest.fixture(scope="module")
def taught(tmp_path_factory):
    """A network trained on 64 groups with 24 to validate: its weights before, itself, what fit said, the folder."""
    folder, network = tmp_path_factory.mktemp("taught"), ranked()
    before = {name: weight.detach().clone() for name, weight in network.named_parameters()}
    found = fit(network, random_training_groups(64), random_training_groups(24, seed=2), QUICK, folder)
    return before, network, found, folder


def test_it_learns_what_a_planted_rule_says(taught):
    _, _, found, folder = taught
    accuracies = [line["validation_accuracy"] for line in lines(folder) if "validation_accuracy" in line]
    assert max(accuracies) > 0.65
    assert found.best_log_loss == min(line["validation_log_loss"] for line in lines(folder) if len(line) == 4)
    assert (found.steps, found.planned, found.layout, found.fallback) == (16, 16, "cache", None)


def test_trap_12_every_weight_moves_and_the_head_most(taught):
    before, network, found, _ = taught
    moved = {name: (weight - before[name]).abs().max().item() for name, weight in network.named_parameters()}
    assert min(moved.values()) > 0
    assert moved["network.score.weight"] == max(moved.values())
    assert found.weights.keys() == before.keys()


def test_trap_25_the_rate_rises_and_ends_at_a_tenth(taught):
    """16 steps take no warm-up (a twentieth is less than one); the last is one step before the cosine's end."""
    rates = [line["learning_rate"] for line in lines(taught[3]) if "learning_rate" in line]
    assert len(rates) == 16 and rates[0] == 3e-3
    at_last = 3e-3 * (0.1 + 0.9 * (1 + math.cos(math.pi * 15 / 16)) / 2)
    assert rates[-1] == pytest.approx(at_last) and rates[-1] < 0.11 * 3e-3
    assert rates == sorted(rates, reverse=True)


def test_the_log_has_a_line_a_step_and_a_line_an_evaluation(taught):
    steps = [line for line in lines(taught[3]) if "loss" in line]
    assert [line["step"] for line in steps] == list(range(1, 17))
    assert steps[7]["epoch"] == 1 and steps[15]["epoch"] == 2
    assert all(line["tokens_per_second"] > 0 and line["gradient_norm"] > 0 for line in steps)
    assert [line["step"] for line in lines(taught[3]) if "validation_log_loss" in line] == [2, 4, 6, 8, 10, 12, 14, 16]


def test_the_best_step_is_what_remains(taught):
    _, network, found, folder = taught
    groups = random_training_groups(24, seed=2)
    losses = summed_loss(network([one for group in groups for one in group.inputs]), groups, Settings(centring=0.0))
    assert losses.item() / 24 == pytest.approx(found.best_log_loss, rel=1e-4)
    best = [line["step"] for line in lines(folder) if line.get("validation_log_loss") == found.best_log_loss]
    assert best == [found.best_step]


def stopped_after(steps):
    def stop(done, total, message):
        if done == steps:
            raise Stopped

    return stop


def test_going_on_after_a_stop_gives_the_same_weights_to_the_bit(tmp_path):
    """Six steps at once, and three, a stop, and three more, with dropout, whose chance must go on where it was."""
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


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(tmp_path):
    groups, found = random_training_groups(16), []
    for number, seed in enumerate((0, 0, 1)):
        network = ranked()
        fit(
            network, groups, [], Settings(method="full", epochs=1, groups_per_step=8, seed=seed), tmp_path / str(number)
        )
        found.append(weights(network))
    assert torch.equal(found[0], found[1]) and not torch.equal(found[0], found[2])


def opposite_of(groups):
    return [
        type(one)(one.inputs, tuple(type(p)(p.second, p.first, p.weight) for p in one.comparisons), (), (), one.weight)
        for one in groups
    ]


def test_it_stops_when_the_validation_prompts_no_longer_gain_but_not_amid_the_first_epoch(tmp_path):
    """Validated on the opposite of what is taught, the first of four looks an epoch is the best."""
    taught, opposite = random_training_groups(64), opposite_of(random_training_groups(24, seed=2))
    for patience, stops in ((2, 8), (3, 8), (4, 10)):
        settings = Settings(method="full", epochs=4, groups_per_step=8, learning_rate=1e-3, patience=patience)
        found = fit(ranked(), taught, opposite, settings, tmp_path / str(patience))
        assert (found.best_step, found.steps, found.planned) == (2, stops, 32)


def test_a_training_that_is_resumed_stops_where_it_would_have(tmp_path):
    taught, opposite = random_training_groups(64), opposite_of(random_training_groups(24, seed=2))
    settings = Settings(method="full", epochs=4, groups_per_step=8, learning_rate=1e-3, patience=4)
    with pytest.raises(Stopped):
        fit(ranked(), taught, opposite, settings, tmp_path, on_progress=stopped_after(7))
    found = fit(ranked(), taught, opposite, settings, tmp_path, resume=True)
    assert (found.best_step, found.steps) == (2, 10)


@pytest.mark.parametrize(("asked", "used"), [("bfloat16", "bfloat16"), ("float32", "float32"), (None, "float32")])
def test_a_cpu_computes_in_the_precision_asked_for_and_keeps_its_weights_in_float32(tmp_path, monkeypatch, asked, used):
    """In bfloat16, which any CPU computes somehow, the planted rule is learned as well as in `taught`."""
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": True})
    network = ranked("row")
    kinds = []
    layer = network.network.model.layers[0].mlp.up_proj
    layer.register_forward_hook(lambda _module, _inputs, output: kinds.append(output.dtype))
    found = fit(
        network,
        random_training_groups(64),
        random_training_groups(24, seed=2),
        replace(QUICK, precision=asked),
        tmp_path,
    )
    assert (found.precision, found.layout, found.fallback) == (used, "row", None)
    assert os.environ["LRU_CACHE_CAPACITY"] == "32"  # 1,024 shapes kept ready by oneDNN took gigabytes
    assert str(kinds[-1]) == f"torch.{used}"
    assert {weight.dtype for weight in network.parameters()} == {torch.float32}
    assert max(line["validation_accuracy"] for line in lines(tmp_path) if "validation_accuracy" in line) > 0.65


def test_bfloat16_is_refused_where_the_processor_would_crawl(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_f": True})
    with pytest.raises(InputError, match="no instructions for bfloat16"):
        fit(ranked(), random_training_groups(8), [], replace(QUICK, precision="bfloat16"), tmp_path, device="cpu")


def test_with_too_few_validation_prompts_none_is_used(tmp_path):
    found = fit(
        ranked(),
        random_training_groups(8),
        random_training_groups(5, seed=2),
        Settings(method="full", epochs=1),
        tmp_path,
    )
    assert math.isnan(found.best_log_loss) and found.best_step == found.steps == 1


def test_a_layout_that_is_inexact_is_left_with_a_warning_and_a_reason(tmp_path, caplog):
    network = ranked("row", kind="mistral", sliding_window=4)
    found = fit(network, random_training_groups(8), [], Settings(method="full", epochs=1), tmp_path)
    assert (found.layout, network.layout) == ("plain", "plain")
    assert "rewards differ" in str(found.fallback) and str(found.fallback) in caplog.text


@pytest.mark.parametrize("tokens", [10, 60, 100, 300, 10_000])
def test_the_check_of_the_layout_reads_no_more_at_once_than_training_does(tokens):
    groups = random_training_groups(20)
    found = inputs_to_check(groups, tokens)
    padded = len(found) * max(len(one.ids) for one in found)
    least = min(2 * max(len(one.ids) for one in group.inputs[:2]) for group in groups)
    assert padded <= max(tokens, least) and 2 <= len(found) <= 8
    assert len({one.prompt for one in found}) < len(found)
    assert padded > 0.4 * tokens or len(found) == 8


def test_trap_11_without_dropout_two_readings_in_training_are_equal_and_with_it_they_are_not():
    inputs = [one for group in random_training_groups(3) for one in group.inputs]
    for dropout in (0.0, 0.5):
        network = ranked(attention_dropout=dropout).train()
        assert torch.equal(network(inputs), network(inputs)) == (dropout == 0)


def test_nothing_to_learn_from_is_an_error_for_the_person(tmp_path):
    with pytest.raises(InputError, match="Rank some prompts first"):
        fit(ranked(), [], [], QUICK, tmp_path)
    assert not (tmp_path / CHECKPOINTS).exists()

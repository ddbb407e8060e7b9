import numpy as np
import pytest
import torch

from label_data.errors import InputError
from reward.finetuning.full_and_lora import network_with_head
from reward.finetuning.last_layers import last_layers_network, whole_network
from reward.finetuning.trainer import fit
from reward.finetuning.training_groups import summed_loss
from reward.networks.backbones import load_tokenizer
from reward.networks.ranked_network import RankedNetwork
from reward.settings import Settings
from tiny_networks import random_training_groups

LAST_LAYERS = Settings(method="last-layers", last_layers=2, epochs=1, groups_per_step=4, learning_rate=1e-3)


@pytest.fixture(scope="module")
def tokenizer(tiny_backbone_folder):
    return load_tokenizer(tiny_backbone_folder)


@pytest.fixture
def groups():
    return random_training_groups(8)


def inputs_of(groups):
    return [item for group in groups for item in group.inputs]


def last_layers_of(folder, tokenizer, groups, tmp_path, **options):
    return last_layers_network(
        folder, tokenizer, LAST_LAYERS, inputs_of(groups), tmp_path / "activations.db", **options
    )


def frozen_below(folder, tokenizer):
    """Return the whole network of six layers, of which only the last two, the norm and the head are trainable."""
    network = network_with_head(folder, tokenizer.pad_token_id, LAST_LAYERS)
    network.model.embed_tokens.requires_grad_(False)
    network.model.layers[:4].requires_grad_(False)
    return network


def test_the_last_layers_give_the_rewards_and_gradients_of_the_whole_network(
    tiny_backbone_folder, tokenizer, groups, tmp_path
):
    last_layers = last_layers_of(tiny_backbone_folder, tokenizer, groups, tmp_path)
    whole = frozen_below(tiny_backbone_folder, tokenizer)
    results = {}
    for name, ranked in (("last", last_layers), ("whole", RankedNetwork(whole, tokenizer.pad_token_id))):
        rewards = ranked(inputs_of(groups))
        summed_loss(rewards, groups, LAST_LAYERS).backward()
        weights = [
            weight.grad.flatten() for weight in ranked.parameters() if weight.requires_grad and weight.grad is not None
        ]
        results[name] = rewards.detach(), torch.cat(weights)
    for last, whole_result in zip(results["last"], results["whole"], strict=True):
        assert last.shape == whole_result.shape and (last - whole_result).norm() <= 1e-5 * whole_result.norm()


def test_training_the_last_layers_alone_equals_training_them_inside_the_whole_network(
    tiny_backbone_folder, tokenizer, groups, tmp_path
):
    last_layers = last_layers_of(tiny_backbone_folder, tokenizer, groups, tmp_path)
    fit(last_layers, groups, [], LAST_LAYERS, tmp_path / "last")
    exported = whole_network(tiny_backbone_folder, last_layers, LAST_LAYERS).state_dict()
    whole = frozen_below(tiny_backbone_folder, tokenizer)
    before = {name: weight.clone() for name, weight in whole.state_dict().items()}
    fit(RankedNetwork(whole, tokenizer.pad_token_id), groups, [], LAST_LAYERS, tmp_path / "whole")
    expected = whole.state_dict()
    assert exported.keys() == expected.keys()
    moved = [name for name in expected if not torch.equal(expected[name], before[name])]
    assert {name.split(".layers.")[-1][0] for name in moved if ".layers." in name} == {"4", "5"}
    for name, weight in expected.items():
        assert torch.allclose(exported[name], weight, atol=1e-5), name
    moved_by = (expected["score.weight"] - before["score.weight"]).abs().max()
    assert moved_by > 100 * 1e-5


def test_activations_are_computed_once_and_then_read_from_the_cache(tiny_backbone_folder, tokenizer, groups, tmp_path):
    progress = []
    for _ in range(2):
        last_layers = last_layers_of(
            tiny_backbone_folder,
            tokenizer,
            groups,
            tmp_path,
            on_progress=lambda done, total, _: progress.append((done, total)),
        )
    completions = len(inputs_of(groups))
    assert progress[-1] == (completions, completions) and sum(done == total for done, total in progress) == 1
    prompt, completion = last_layers.cache.keys(groups[0].inputs[0])
    activations = last_layers.cache.read([prompt, completion])
    assert [len(vectors) for vectors in activations.values()] == [
        groups[0].inputs[0].prompt_tokens,
        len(groups[0].inputs[0].completion),
    ]
    assert all(vectors.dtype == np.float32 and vectors.shape[1] == 64 for vectors in activations.values())


def test_a_cache_without_the_needed_activations_is_an_input_error(tiny_backbone_folder, tokenizer, groups, tmp_path):
    last_layers = last_layers_of(tiny_backbone_folder, tokenizer, groups[:4], tmp_path)
    with pytest.raises(InputError, match="was changed during training"):
        last_layers(inputs_of(groups[4:]))


def test_as_many_layers_as_the_network_has_are_refused(tiny_backbone_folder, tokenizer, groups, tmp_path):
    settings = Settings(method="last-layers", last_layers=6)
    with pytest.raises(InputError, match="6 layers"):
        last_layers_network(tiny_backbone_folder, tokenizer, settings, inputs_of(groups), tmp_path / "activations.db")

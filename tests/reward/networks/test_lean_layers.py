"""Lean layers save less for the gradient, and have the same values and gradients."""

from contextlib import nullcontext

import pytest
import torch
from torch import nn
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from transformers.models.cohere.modeling_cohere import CohereLayerNorm
from transformers.models.llama.modeling_llama import LlamaMLP, LlamaRMSNorm

from reward.finetuning.full_and_lora import trainable_network
from reward.networks.backbones import load_tokenizer
from reward.networks.lean_layers import use_lean_layers
from reward.networks.ranked_network import RankedNetwork
from reward.settings import Settings
from tiny_networks import PAD, all_in_float64, tiny_decoder, token_groups


def lean(network):
    return {type(module) for module in network.modules() if "forward" in vars(module)}


def rewards_and_gradients(network, precision=None):
    ranked = RankedNetwork(network.train(), PAD, "row")
    network.zero_grad()
    with torch.autocast("cpu", precision) if precision else nullcontext():
        rewards = ranked([item for group in token_groups(3) for item in group])
    rewards.square().sum().backward()
    gradients = {name: weight.grad for name, weight in network.named_parameters() if weight.grad is not None}
    return {"rewards": rewards.detach(), **gradients}


@pytest.mark.parametrize("kind", ["llama", "qwen2"])
@pytest.mark.parametrize("act", ["silu", "gelu", "linear"])
def test_values_and_gradients_are_those_of_the_stock_layers(kind, act, monkeypatch):
    all_in_float64(monkeypatch)
    stock, changed = (tiny_decoder(kind, torch.float64, hidden_act=act) for _ in range(2))
    use_lean_layers(changed)
    assert len(lean(changed)) == 2 and not lean(stock)
    expected, results = rewards_and_gradients(stock), rewards_and_gradients(changed)
    assert expected.keys() == results.keys()
    for name, tensor in expected.items():
        assert (results[name] - tensor).norm() <= 1e-10 * tensor.norm(), name


def test_in_bfloat16_the_error_is_that_of_the_stock_layers():
    stock, changed = tiny_decoder(initializer_range=0.1), tiny_decoder(initializer_range=0.1)
    use_lean_layers(changed)
    exact, expected = rewards_and_gradients(stock), rewards_and_gradients(stock, torch.bfloat16)
    results = rewards_and_gradients(changed, torch.bfloat16)
    for name, tensor in exact.items():
        bound = 1.2 * (expected[name] - tensor).norm() + 1e-3 * tensor.norm()
        assert (results[name] - tensor).norm() <= bound, name


class LiveBytes(TorchDispatchMode):
    """Count the bytes of the outputs of all operations that are still in memory."""

    def __init__(self):
        super().__init__()
        self.sizes = {}

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        output = operation(*args, **(kwargs or {}))
        for tensor in output if isinstance(output, tuple | list) else [output]:
            if isinstance(tensor, torch.Tensor):
                storage = tensor.untyped_storage()
                self.sizes[StorageWeakRef(storage)] = storage.nbytes()
        return output

    @property
    def bytes(self):
        return sum(size for storage, size in self.sizes.items() if not storage.expired())


def saved_per_token_and_layer(change):
    """Return how many floats a forward pass saves for each additional token and layer; weights cancel out."""
    tokens, saved = [], []
    for groups in (4, 12):
        inputs = [item for group in token_groups(groups) for item in group]
        tokens.append(sum(map(len, {item.prompt for item in inputs})) + sum(len(item.completion) for item in inputs))
        for layers in (2, 6):
            network = tiny_decoder(layers=layers)
            change(network)
            with LiveBytes() as live:
                rewards = RankedNetwork(network, PAD, "row")(inputs)
            saved.append(live.bytes / 4)
            del rewards
    few, more = saved[1] - saved[0], saved[3] - saved[2]
    return (more - few) / 4 / (tokens[1] - tokens[0])


def test_what_a_single_operation_can_recompute_is_not_saved():
    width, inner, key_width, heads = 32, 64, 16, 4
    attention = width + 2 * key_width + width + heads  # queries, keys and values, output, sums of exponentials
    stock = saved_per_token_and_layer(lambda network: None)
    changed = saved_per_token_and_layer(use_lean_layers)
    assert stock == pytest.approx(6 * width + attention + 4 * inner, rel=0.02)
    assert changed == pytest.approx(4 * width + attention + 2 * inner, rel=0.02)


def test_after_the_backward_pass_as_little_is_saved_as_by_the_stock_layers():
    def held(network):
        with LiveBytes() as saved:
            rewards = RankedNetwork(network, PAD, "row")(token_groups(1)[0])
            before = saved.bytes
            rewards.sum().backward()
            del rewards
        return before, saved.bytes

    stock, changed = tiny_decoder(), tiny_decoder()
    use_lean_layers(changed)
    (_, after_stock), (before, after) = held(stock), held(changed)
    assert after == after_stock < before


class Doubled(LlamaMLP):
    def forward(self, hidden):
        return 2 * super().forward(hidden)


class Clamped(LlamaMLP):
    def forward(self, hidden):
        return super().forward(hidden.clamp(-7, 7))


class Dropping(LlamaMLP):
    def forward(self, hidden):
        return nn.functional.dropout(super().forward(hidden), 0.1, self.training)


class Root(nn.Module):
    def forward(self, hidden):
        return hidden.sqrt()


class Rooted(LlamaMLP):
    """An MLP whose activation is nan below 0, so it clamps the input of the activation."""

    def __init__(self, config):
        super().__init__(config)
        self.act_fn = Root()

    def forward(self, hidden):
        return self.down_proj(self.act_fn(self.gate_proj(hidden).clamp(min=0.1)) * self.up_proj(hidden))


class MaybeGated(LlamaRMSNorm):
    def forward(self, hidden, gate=None):
        return super().forward(hidden if gate is None else hidden * gate)


@pytest.mark.parametrize("layer", [Doubled, Clamped, Dropping, Rooted, MaybeGated, CohereLayerNorm])
def test_a_layer_with_another_formula_is_left_unchanged(layer):
    network = tiny_decoder().eval()
    first = network.model.layers[0]
    if issubclass(layer, LlamaMLP):
        first.mlp = layer(network.config)
    else:
        first.input_layernorm = layer(32)
    before = torch.get_rng_state()
    use_lean_layers(network)
    assert lean(network) == {LlamaRMSNorm, LlamaMLP}
    assert torch.equal(torch.get_rng_state(), before) and not network.model.layers[1].mlp.training


def test_under_autocast_a_norm_has_the_precision_of_the_stock_norm():
    network = tiny_decoder()
    use_lean_layers(network)
    norm, hidden = network.model.norm, torch.randn(3, 32).bfloat16()
    assert torch.equal(norm(hidden), LlamaRMSNorm.forward(norm, hidden))
    assert norm(hidden).dtype == torch.float32


@pytest.mark.parametrize("method", ["full", "lora"])
def test_fine_tuning_uses_lean_layers_but_not_with_gradient_checkpointing(method, tiny_backbone_folder):
    tokenizer, inputs, results = load_tokenizer(tiny_backbone_folder), token_groups(1)[0], []
    for checkpointing, expected in ((False, {LlamaRMSNorm, LlamaMLP}), (True, set())):
        settings = Settings(method=method, gradient_checkpointing=checkpointing)
        ranked = trainable_network(tiny_backbone_folder, tokenizer, settings).train()
        assert lean(ranked.network) == expected
        weights = [weight for weight in ranked.parameters() if weight.requires_grad]
        results.append(torch.autograd.grad(ranked(inputs).square().sum(), weights, allow_unused=True))
    for lean_gradient, stock_gradient in zip(*results, strict=True):
        both_unused = lean_gradient is None and stock_gradient is None
        assert both_unused or (lean_gradient - stock_gradient).norm() <= 1e-4 * stock_gradient.norm()

"""Layers that keep less for the gradient, and have the same values and gradients."""

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
        rewards = ranked([one for group in token_groups(3) for one in group])
    rewards.square().sum().backward()
    gradients = {name: weight.grad for name, weight in network.named_parameters() if weight.grad is not None}
    return {"rewards": rewards.detach(), **gradients}


@pytest.mark.parametrize("kind", ["llama", "qwen2"])
@pytest.mark.parametrize("act", ["silu", "gelu", "linear"])
def test_values_and_gradients_are_those_of_the_stock_layers(kind, act, monkeypatch):
    all_in_float64(monkeypatch)
    stock, ours = (tiny_decoder(kind, torch.float64, hidden_act=act) for _ in range(2))
    use_lean_layers(ours)
    assert len(lean(ours)) == 2 and not lean(stock)
    wanted, found = rewards_and_gradients(stock), rewards_and_gradients(ours)
    assert wanted.keys() == found.keys()
    for name, one in wanted.items():
        assert (found[name] - one).norm() <= 1e-10 * one.norm(), name


def test_in_bfloat16_they_are_as_near_as_bfloat16_is():
    stock, ours = tiny_decoder(initializer_range=0.1), tiny_decoder(initializer_range=0.1)
    use_lean_layers(ours)
    exact, wanted = rewards_and_gradients(stock), rewards_and_gradients(stock, torch.bfloat16)
    found = rewards_and_gradients(ours, torch.bfloat16)
    for name, one in exact.items():
        assert (found[name] - one).norm() <= 1.2 * (wanted[name] - one).norm() + 1e-3 * one.norm(), name


class Kept(TorchDispatchMode):
    """Counts the bytes that operations gave and that are still held when it is asked."""

    def __init__(self):
        super().__init__()
        self.given = {}

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        found = operation(*args, **(kwargs or {}))
        for one in found if isinstance(found, tuple | list) else [found]:
            if isinstance(one, torch.Tensor):
                storage = one.untyped_storage()
                self.given[StorageWeakRef(storage)] = storage.nbytes()
        return found

    @property
    def bytes(self):
        return sum(size for storage, size in self.given.items() if not storage.expired())


def kept_of_a_token_by_a_layer(change):
    """Return how many floats a forward pass keeps for each token and layer more; weights count, but do not grow."""
    tokens, kept = [], []
    for groups in (4, 12):
        inputs = [one for group in token_groups(groups) for one in group]
        tokens.append(sum(map(len, {one.prompt for one in inputs})) + sum(len(one.completion) for one in inputs))
        for layers in (2, 6):
            network = tiny_decoder(layers=layers)
            change(network)
            with Kept() as seen:
                rewards = RankedNetwork(network, PAD, "row")(inputs)
            kept.append(seen.bytes / 4)
            del rewards
    few, more = kept[1] - kept[0], kept[3] - kept[2]
    return (more - few) / 4 / (tokens[1] - tokens[0])


def test_what_one_operation_computes_again_is_not_kept():
    width, inner, of_keys, heads = 32, 64, 16, 4
    attention = width + 2 * of_keys + width + heads  # queries, keys and values, what is seen, sums of exponentials
    stock = kept_of_a_token_by_a_layer(lambda network: None)
    ours = kept_of_a_token_by_a_layer(use_lean_layers)
    assert stock == pytest.approx(6 * width + attention + 4 * inner, rel=0.02)
    assert ours == pytest.approx(4 * width + attention + 2 * inner, rel=0.02)


def test_after_the_gradient_no_more_is_kept_than_by_the_stock_layers():
    def held(network):
        with Kept() as kept:
            rewards = RankedNetwork(network, PAD, "row")(token_groups(1)[0])
            before = kept.bytes
            rewards.sum().backward()
            del rewards
        return before, kept.bytes

    stock, ours = tiny_decoder(), tiny_decoder()
    use_lean_layers(ours)
    (_, after_stock), (before, after) = held(stock), held(ours)
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
    """Its activation gives no number below 0, so it takes care to give it none."""

    def __init__(self, config):
        super().__init__(config)
        self.act_fn = Root()

    def forward(self, hidden):
        return self.down_proj(self.act_fn(self.gate_proj(hidden).clamp(min=0.1)) * self.up_proj(hidden))


class MaybeGated(LlamaRMSNorm):
    def forward(self, hidden, gate=None):
        return super().forward(hidden if gate is None else hidden * gate)


@pytest.mark.parametrize("other", [Doubled, Clamped, Dropping, Rooted, MaybeGated, CohereLayerNorm])
def test_a_layer_with_another_formula_is_left_as_it_is(other):
    network = tiny_decoder().eval()
    first = network.model.layers[0]
    if issubclass(other, LlamaMLP):
        first.mlp = other(network.config)
    else:
        first.input_layernorm = other(32)
    before = torch.get_rng_state()
    use_lean_layers(network)
    assert lean(network) == {LlamaRMSNorm, LlamaMLP}
    assert torch.equal(torch.get_rng_state(), before) and not network.model.layers[1].mlp.training


def test_a_norm_of_what_autocast_made_is_as_precise_as_its_kind_has_it():
    network = tiny_decoder()
    use_lean_layers(network)
    norm, hidden = network.model.norm, torch.randn(3, 32).bfloat16()
    assert torch.equal(norm(hidden), LlamaRMSNorm.forward(norm, hidden))
    assert norm(hidden).dtype == torch.float32


@pytest.mark.parametrize("method", ["full", "lora"])
def test_fine_tuning_keeps_less_but_not_beside_gradient_checkpointing(method, tiny_backbone_folder):
    tokenizer, inputs, found = load_tokenizer(tiny_backbone_folder), token_groups(1)[0], []
    for checkpointing, wanted in ((False, {LlamaRMSNorm, LlamaMLP}), (True, set())):
        settings = Settings(method=method, gradient_checkpointing=checkpointing)
        ranked = trainable_network(tiny_backbone_folder, tokenizer, settings).train()
        assert lean(ranked.network) == wanted
        weights = [weight for weight in ranked.parameters() if weight.requires_grad]
        found.append(torch.autograd.grad(ranked(inputs).square().sum(), weights, allow_unused=True))
    for one, other in zip(*found, strict=True):
        assert (one is None and other is None) or (one - other).norm() <= 1e-4 * other.norm()

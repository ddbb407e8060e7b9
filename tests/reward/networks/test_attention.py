"""Attention over a row of families: a token attends to its prompt and to its own completion up to itself."""

import json
import math
from types import SimpleNamespace

import pytest
import torch
from transformers import (
    AutoModelForSequenceClassification,
    NemotronConfig,
    NemotronForSequenceClassification,
    StableLmConfig,
    StableLmForSequenceClassification,
)

from reward.model.model import RewardModel
from reward.networks.attention import IN_FAMILIES, attend_in_families, attends_in_families, attention
from reward.networks.ranked_network import RankedNetwork, layout_to_score
from tiny_networks import PAD, tiny_decoder, token_groups

FAMILIES = ((3, (2, 1, 4)), (1, (1,)), (5, (2, 2)))
"""Three prompts of 3, 1 and 5 tokens with three, one and two completions: 21 tokens in all."""
TOKENS = 21
SCALING = 0.3


def visible(families=FAMILIES):
    """Return for every token the set of tokens that it attends to, by definition."""
    sets = []
    for prompt, completions in families:
        start = len(sets)
        own_prompt = range(start, start + prompt)
        sets += [set(own_prompt[: place + 1]) for place in range(prompt)]
        for length in completions:
            start = len(sets)
            sets += [{*own_prompt, *range(start, start + place + 1)} for place in range(length)]
    return sets


def random_inputs(dtype=torch.float64, heads=4, key_heads=2, width=8):
    generator = torch.Generator().manual_seed(0)
    shapes = [(1, number, TOKENS, width) for number in (heads, key_heads, key_heads)]
    return [torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype).requires_grad_() for shape in shapes]


def by_definition(query, key, value):
    """Return the softmax over the visible tokens, shape (1, tokens, heads, width), one token and head at a time."""
    outputs = []
    for token, tokens in enumerate(visible()):
        places, head_outputs = sorted(tokens), []
        for head in range(query.shape[1]):
            key_head = head * key.shape[1] // query.shape[1]
            share = torch.softmax(SCALING * key[0, key_head, places] @ query[0, head, token], dim=0)
            head_outputs.append(share @ value[0, key_head, places])
        outputs.append(torch.stack(head_outputs))
    return torch.stack(outputs)[None]


def in_families(query, key, value):
    return attention(None, query, key, value, None, scaling=SCALING, families=FAMILIES)[0]


def gradients(output, inputs):
    factors = torch.linspace(-1, 1, output.numel(), dtype=output.dtype).reshape(output.shape)
    return torch.autograd.grad((output * factors).sum(), inputs)


def test_values_and_gradients_are_those_of_a_softmax_over_the_visible_tokens():
    inputs = random_inputs()
    output, expected = in_families(*inputs), by_definition(*inputs)
    assert torch.allclose(output, expected, rtol=0, atol=1e-12)
    for actual, exact in zip(gradients(output, inputs), gradients(expected, inputs), strict=True):
        assert torch.allclose(actual, exact, rtol=0, atol=1e-12)


def test_every_query_head_may_have_its_own_key_head():
    inputs = random_inputs(heads=3, key_heads=3)
    assert torch.allclose(in_families(*inputs), by_definition(*inputs), rtol=0, atol=1e-12)


def test_sums_of_exponentials_beyond_float32_are_combined_exactly():
    """With keys this large attention is almost all on one token: exp(300) overflows float32."""
    query, key, value = random_inputs(torch.float32)
    large = (query * 20, key * 20, value)
    output, expected = in_families(*large), by_definition(*(tensor.double() for tensor in large))
    assert (SCALING * large[0] @ large[1].repeat_interleave(2, 1).mT).max() > 300
    assert torch.allclose(output.double(), expected, atol=1e-4)


def test_bfloat16_inputs_are_computed_in_float32_and_the_output_is_bfloat16():
    """The error is that of rounding the result, 2**-8 of its size, and not that of every product."""
    inputs = random_inputs(torch.bfloat16)
    exact = [tensor.detach().double().requires_grad_() for tensor in inputs]
    output, expected = in_families(*inputs), by_definition(*exact)
    assert output.dtype == torch.bfloat16
    assert ((output.double() - expected).abs() <= 2**-8 * expected.abs() + 1e-6).all()
    for actual, precise in zip(gradients(output, inputs), gradients(expected, exact), strict=True):
        assert actual.dtype == torch.bfloat16
        assert (actual.double() - precise).norm() <= 0.01 * precise.norm()


def test_inputs_without_families_give_the_same_logits_as_before():
    network, ids = tiny_decoder(), torch.tensor([[5, 6, 7, 8], [9, 10, PAD, PAD]])
    mask = (ids != PAD).long()
    before = network(ids, attention_mask=mask).logits
    attend_in_families(network)
    assert torch.equal(network(ids, attention_mask=mask).logits, before)


def test_a_network_with_another_attention_is_left_unchanged():
    eager = tiny_decoder(attn_implementation="eager")
    attend_in_families(eager)
    assert eager.config._attn_implementation == "eager" and not attends_in_families(eager)
    assert not attends_in_families(RankedNetwork(tiny_decoder("mistral", sliding_window=4), PAD).network)


@pytest.mark.parametrize(
    ("config", "network"),
    [(NemotronConfig, NemotronForSequenceClassification), (StableLmConfig, StableLmForSequenceClassification)],
)
def test_a_network_that_ignores_families_is_detected_and_scores_in_another_layout(config, network):
    """Otherwise all tokens would attend to each other without any error."""
    torch.manual_seed(0)
    small = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
    model = network(config(vocab_size=100, num_key_value_heads=2, num_labels=1, pad_token_id=PAD, **small)).eval()
    inputs = [item for group in token_groups(3, 1) for item in group]
    rewards = RewardModel(model, SimpleNamespace(pad_token_id=PAD)).rewards(inputs)
    assert model.config._attn_implementation == "sdpa" and layout_to_score(model) == "cache"
    for item, reward in zip(inputs, rewards, strict=True):
        assert math.isclose(model(torch.tensor([item.ids])).logits.item(), reward, abs_tol=1e-4)


def test_the_check_for_families_changes_neither_the_network_nor_the_rng():
    network, before = tiny_decoder(attention_dropout=0.1).train(), torch.get_rng_state()
    attend_in_families(network)
    assert network.training and network.config._attn_implementation == IN_FAMILIES
    assert torch.equal(torch.get_rng_state(), before)


def test_with_attention_dropout_rows_are_read_with_a_mask():
    network = RankedNetwork(tiny_decoder(attention_dropout=0.1), PAD, "row").network
    assert network.config._attn_implementation == IN_FAMILIES
    assert not attends_in_families(network.train()) and attends_in_families(network.eval())


def test_a_saved_folder_does_not_name_the_attention_and_gives_the_same_rewards_in_transformers(tmp_path):
    inputs = [item for group in token_groups(3, 1) for item in group]
    ranked = RankedNetwork(tiny_decoder(), PAD, "row")
    ranked.network.save_pretrained(tmp_path)
    assert IN_FAMILIES not in json.dumps(json.loads((tmp_path / "config.json").read_text()))
    stock = AutoModelForSequenceClassification.from_pretrained(tmp_path)
    assert stock.config._attn_implementation == "sdpa"
    for item, reward in zip(inputs, ranked(inputs), strict=True):
        assert math.isclose(stock(torch.tensor([item.ids])).logits.item(), reward.item(), abs_tol=1e-4)


@pytest.mark.parametrize("layers", [1, 2])
def test_gradients_are_the_same_with_gradient_checkpointing(layers):
    network = tiny_decoder(layers=layers).train()
    inputs = [item for group in token_groups(3, 1) for item in group]
    ranked = RankedNetwork(network, PAD, "row")

    def gradient():
        network.zero_grad()
        ranked(inputs).square().sum().backward()
        return torch.cat([weight.grad.flatten() for weight in network.parameters()])

    without_checkpointing = gradient()
    network.activation_checkpointing_enable({"use_reentrant": False})
    assert torch.allclose(
        gradient(), without_checkpointing, rtol=1e-5, atol=1e-5 * float(without_checkpointing.abs().max())
    )

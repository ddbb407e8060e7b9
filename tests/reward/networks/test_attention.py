"""Attention of a row of families: a token sees its prompt and its own completion up to itself, and nothing else."""

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
"""Three prompts of 3, 1 and 5 tokens, with three completions, one and two: 21 tokens in all."""
TOKENS = 21
SCALING = 0.3


def seen(families=FAMILIES):
    """Return for every token the set of those it sees, as the definition has it."""
    of_token = []
    for prompt, completions in families:
        start = len(of_token)
        own_prompt = range(start, start + prompt)
        of_token += [set(own_prompt[: place + 1]) for place in range(prompt)]
        for length in completions:
            start = len(of_token)
            of_token += [{*own_prompt, *range(start, start + place + 1)} for place in range(length)]
    return of_token


def drawn(dtype=torch.float64, heads=4, of_keys=2, width=8):
    chance = torch.Generator().manual_seed(0)
    shapes = [(1, number, TOKENS, width) for number in (heads, of_keys, of_keys)]
    return [torch.randn(shape, generator=chance, dtype=torch.float64).to(dtype).requires_grad_() for shape in shapes]


def by_definition(query, key, value):
    """Return the softmax over what each token sees, shape (1, tokens, heads, width), one token and head at a time."""
    of_tokens = []
    for token, sees in enumerate(seen()):
        places, of_heads = sorted(sees), []
        for head in range(query.shape[1]):
            other = head * key.shape[1] // query.shape[1]
            share = torch.softmax(SCALING * key[0, other, places] @ query[0, head, token], dim=0)
            of_heads.append(share @ value[0, other, places])
        of_tokens.append(torch.stack(of_heads))
    return torch.stack(of_tokens)[None]


def in_families(query, key, value):
    return attention(None, query, key, value, None, scaling=SCALING, families=FAMILIES)[0]


def gradients(found, inputs):
    signs = torch.linspace(-1, 1, found.numel(), dtype=found.dtype).reshape(found.shape)
    return torch.autograd.grad((found * signs).sum(), inputs)


def test_it_is_the_softmax_over_what_a_token_sees_and_so_is_its_gradient():
    inputs = drawn()
    found, wanted = in_families(*inputs), by_definition(*inputs)
    assert torch.allclose(found, wanted, rtol=0, atol=1e-12)
    for one, other in zip(gradients(found, inputs), gradients(wanted, inputs), strict=True):
        assert torch.allclose(one, other, rtol=0, atol=1e-12)


def test_every_head_may_have_keys_of_its_own():
    inputs = drawn(heads=3, of_keys=3)
    assert torch.allclose(in_families(*inputs), by_definition(*inputs), rtol=0, atol=1e-12)


def test_a_sum_of_exponentials_that_float32_could_not_hold_is_joined_all_the_same():
    """Keys so large that a completion all but sees one token: exp(300) is no float32."""
    query, key, value = drawn(torch.float32)
    large = (query * 20, key * 20, value)
    found, wanted = in_families(*large), by_definition(*(one.double() for one in large))
    assert (SCALING * large[0] @ large[1].repeat_interleave(2, 1).mT).max() > 300
    assert torch.allclose(found.double(), wanted, atol=1e-4)


def test_what_comes_in_bfloat16_is_computed_in_float32_and_goes_out_in_bfloat16():
    """Its error is that of rounding the result alone, 2**-8 of its size, and not that of every product."""
    inputs = drawn(torch.bfloat16)
    exact = [one.detach().double().requires_grad_() for one in inputs]
    found, wanted = in_families(*inputs), by_definition(*exact)
    assert found.dtype == torch.bfloat16
    assert ((found.double() - wanted).abs() <= 2**-8 * wanted.abs() + 1e-6).all()
    for one, other in zip(gradients(found, inputs), gradients(wanted, exact), strict=True):
        assert one.dtype == torch.bfloat16
        assert (one.double() - other).norm() <= 0.01 * other.norm()


def test_without_families_a_network_attends_as_before():
    network, ids = tiny_decoder(), torch.tensor([[5, 6, 7, 8], [9, 10, PAD, PAD]])
    mask = (ids != PAD).long()
    before = network(ids, attention_mask=mask).logits
    attend_in_families(network)
    assert torch.equal(network(ids, attention_mask=mask).logits, before)


def test_a_network_that_attends_in_another_way_is_left_alone():
    eager = tiny_decoder(attn_implementation="eager")
    attend_in_families(eager)
    assert eager.config._attn_implementation == "eager" and not attends_in_families(eager)
    assert not attends_in_families(RankedNetwork(tiny_decoder("mistral", sliding_window=4), PAD).network)


@pytest.mark.parametrize(
    ("config", "network"),
    [(NemotronConfig, NemotronForSequenceClassification), (StableLmConfig, StableLmForSequenceClassification)],
)
def test_a_network_that_does_not_hand_families_on_is_found_and_scores_as_it_would_alone(config, network):
    """Its tokens would all see each other, and nothing would say so."""
    torch.manual_seed(0)
    small = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
    model = network(config(vocab_size=100, num_key_value_heads=2, num_labels=1, pad_token_id=PAD, **small)).eval()
    inputs = [one for group in token_groups(3, 1) for one in group]
    rewards = RewardModel(model, SimpleNamespace(pad_token_id=PAD)).rewards(inputs)
    assert model.config._attn_implementation == "sdpa" and layout_to_score(model) == "cache"
    for one, reward in zip(inputs, rewards, strict=True):
        assert math.isclose(model(torch.tensor([one.ids])).logits.item(), reward, abs_tol=1e-4)


def test_a_look_at_whether_a_network_heeds_families_changes_nothing_of_it():
    network, before = tiny_decoder(attention_dropout=0.1).train(), torch.get_rng_state()
    attend_in_families(network)
    assert network.training and network.config._attn_implementation == IN_FAMILIES
    assert torch.equal(torch.get_rng_state(), before)


def test_while_a_share_of_what_is_seen_is_dropped_rows_are_read_under_a_mask():
    network = RankedNetwork(tiny_decoder(attention_dropout=0.1), PAD, "row").network
    assert network.config._attn_implementation == IN_FAMILIES
    assert not attends_in_families(network.train()) and attends_in_families(network.eval())


def test_a_folder_says_nothing_of_it_and_gives_the_same_rewards_elsewhere(tmp_path):
    inputs = [one for group in token_groups(3, 1) for one in group]
    ranked = RankedNetwork(tiny_decoder(), PAD, "row")
    ranked.network.save_pretrained(tmp_path)
    assert IN_FAMILIES not in json.dumps(json.loads((tmp_path / "config.json").read_text()))
    stock = AutoModelForSequenceClassification.from_pretrained(tmp_path)
    assert stock.config._attn_implementation == "sdpa"
    for one, reward in zip(inputs, ranked(inputs), strict=True):
        assert math.isclose(stock(torch.tensor([one.ids])).logits.item(), reward.item(), abs_tol=1e-4)


@pytest.mark.parametrize("layers", [1, 2])
def test_it_goes_with_gradient_checkpointing(layers):
    network = tiny_decoder(layers=layers).train()
    inputs = [one for group in token_groups(3, 1) for one in group]
    ranked = RankedNetwork(network, PAD, "row")

    def gradient():
        network.zero_grad()
        ranked(inputs).square().sum().backward()
        return torch.cat([weight.grad.flatten() for weight in network.parameters()])

    plainly = gradient()
    network.activation_checkpointing_enable({"use_reentrant": False})
    assert torch.allclose(gradient(), plainly, rtol=1e-5, atol=1e-5 * float(plainly.abs().max()))

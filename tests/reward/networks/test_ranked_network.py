import pytest
import torch

from label_data.errors import InputError
from reward.networks.attention import IN_FAMILIES
from reward.networks.batches import Input, in_rows
from reward.networks.ranked_network import (
    RankedNetwork,
    layout_difference,
    layout_for,
    layout_to_score,
    shares_prompts,
    start_head,
)
from tiny_networks import PAD, all_in_float64, tiny_decoder, tiny_encoder, token_groups


def reading(network, layout):
    """Return the network that reads in this layout; "mask" are rows as on a GPU."""
    ranked = RankedNetwork(network, PAD, "row" if layout == "mask" else layout)
    network.set_attn_implementation("sdpa" if layout == "mask" else IN_FAMILIES)
    return ranked


def rewards_and_gradients(network, inputs, layout):
    """Return rewards, and the gradient of all weights of a sum of them with signs that no two inputs share."""
    network.zero_grad()
    rewards = reading(network, layout)(inputs)
    (rewards * torch.linspace(-1, 1, len(inputs)).to(rewards.dtype)).sum().backward()
    return rewards.detach(), torch.cat([weight.grad.flatten() for weight in network.parameters()])


def everything(groups=4, seed=1):
    return [one for group in token_groups(groups, seed) for one in group]


# Exact against the plain computation


@pytest.mark.parametrize("kind", ["llama", "qwen2"])
@pytest.mark.parametrize("layout", ["cache", "row", "mask"])
def test_trap_3_reading_prompts_once_is_exact_in_float64(kind, layout, monkeypatch):
    """Ragged prompts, two to five completions each, in train mode: 1e-12 of the size, for gradients of every weight."""
    all_in_float64(monkeypatch)
    network, inputs = tiny_decoder(kind, torch.float64).train(), everything()
    rewards, gradients = rewards_and_gradients(network, inputs, layout)
    plain_rewards, plain_gradients = rewards_and_gradients(network, inputs, "plain")
    assert (rewards - plain_rewards).abs().max() <= 1e-12 * plain_rewards.abs().max()
    assert (gradients - plain_gradients).abs().max() <= 1e-12 * plain_gradients.abs().max()


@pytest.mark.parametrize("kind", ["llama", "qwen2"])
@pytest.mark.parametrize("layout", ["cache", "row", "mask"])
def test_trap_3_reading_prompts_once_is_rounding_away_in_float32(kind, layout):
    network, inputs = tiny_decoder(kind), everything()
    for found, plain in zip(
        rewards_and_gradients(network, inputs, layout), rewards_and_gradients(network, inputs, "plain"), strict=True
    ):
        assert (found - plain).norm() <= 1e-5 * plain.norm()


def test_trap_3_with_wrong_positions_the_rewards_are_others():
    """The negative control: what the tests above would show if completions were counted from 0 again."""
    network, inputs = tiny_decoder(), everything()
    arguments, rows, last = in_rows(inputs, PAD, network.device)
    plain = RankedNetwork(network, PAD)(inputs)

    def rewards(**changed):
        return network.score(network.model(**{**arguments, **changed}).last_hidden_state[rows, last])[:, 0]

    assert torch.allclose(rewards(), plain, atol=1e-4)
    counted_on = torch.arange(arguments["input_ids"].shape[1])[None]
    assert not torch.allclose(rewards(position_ids=counted_on), plain, atol=1e-2)
    see_all = torch.ones_like(arguments["attention_mask"]).tril()
    assert not torch.allclose(rewards(attention_mask=see_all), plain, atol=1e-2)


@pytest.mark.parametrize("layout", ["plain", "cache", "row", "mask"])
def test_trap_2_a_reward_does_not_depend_on_what_else_is_read(layout):
    ranked, inputs = reading(tiny_decoder(), layout), everything()
    together = ranked(inputs)
    assert torch.allclose(ranked(inputs[::-1]).flip(0), together, atol=1e-4)
    alone = torch.cat([ranked([one]) for one in inputs])
    assert torch.allclose(alone, together, atol=1e-4)


@pytest.mark.parametrize("layout", ["plain", "cache", "row", "mask"])
def test_trap_1_the_reward_is_read_at_the_last_token_even_if_it_is_the_pad_token(layout):
    ranked = reading(tiny_decoder(), layout)
    prompt, longer = (5, 6), Input((5, 6, 7, 8, 9, 10), 2)
    for completion in ((7, PAD, 8), (7, 8, PAD), (PAD,)):
        one = Input((*prompt, *completion), 2)
        alone = ranked.network.model(torch.tensor([one.ids])).last_hidden_state[0, -1] @ ranked.network.score.weight[0]
        assert torch.allclose(ranked([one, longer])[0], alone, atol=1e-4)


# What reads how


def test_kept_prompts_are_refused_where_fsdp_divides_the_network(monkeypatch):
    """Their keys are part of two uses of a layer, whose weights FSDP takes away after one."""
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    network = tiny_decoder()
    with pytest.raises(InputError, match=r"cached prompts use them twice.*--layout row"):
        layout_for(network, "cache", checkpointing=False)
    assert layout_for(network, None, checkpointing=False) == "row"


def test_trap_4_gradient_checkpointing_with_kept_prompts_is_refused():
    network = tiny_decoder()
    with pytest.raises(InputError, match=r"checkpointing drops the cached prompts.*--layout row"):
        layout_for(network, "cache", checkpointing=True)
    assert layout_for(network, None, checkpointing=True) == "row"
    assert layout_for(network, None, checkpointing=False) == "row"
    assert layout_to_score(RankedNetwork(network, PAD).network) == "row"


def test_trap_4_a_network_that_kept_nothing_is_an_error_and_not_a_wrong_reward():
    network = tiny_decoder().train()
    network.activation_checkpointing_enable()
    with pytest.raises(RuntimeError, match="without their prompts"):
        RankedNetwork(network, PAD, "cache")(everything())
    rewards, gradients = rewards_and_gradients(network, everything(), "row")
    plain, plain_gradients = rewards_and_gradients(tiny_decoder(), everything(), "plain")
    assert torch.allclose(rewards, plain, atol=1e-4)
    assert (gradients - plain_gradients).norm() <= 1e-5 * plain_gradients.norm()


def test_an_encoder_reads_every_prompt_with_its_completion_and_gives_its_own_logits():
    network, inputs = tiny_encoder().eval(), everything()
    rewards = RankedNetwork(network, PAD)(inputs)
    for one, reward in zip(inputs, rewards, strict=True):
        assert torch.allclose(network(torch.tensor([one.ids])).logits[0, 0], reward, atol=1e-4)
    assert not shares_prompts(network) and layout_for(network, None, False) == "plain"
    with pytest.raises(InputError, match="its prompt attends to the completion"):
        layout_for(network, "cache", False)


def test_a_network_whose_layers_see_a_window_reads_plainly():
    assert not shares_prompts(tiny_decoder("mistral", sliding_window=4))
    assert shares_prompts(tiny_decoder("mistral", sliding_window=4_096))
    assert shares_prompts(tiny_decoder("qwen2"))


@pytest.mark.parametrize("layout", ["cache", "row"])
def test_a_layout_that_is_inexact_is_found_on_a_few_inputs(layout):
    """One row whose mask knows no window, for a network that sees four tokens back."""
    inputs = everything()
    assert layout_difference(RankedNetwork(tiny_decoder(), PAD, layout), inputs) is None
    ranked = RankedNetwork(tiny_decoder("mistral", sliding_window=4), PAD, "row").train()
    assert layout_difference(ranked, inputs).key == "reward.networks.rewards_differ"
    assert ranked.layout == "row" and ranked.training


def test_a_prompt_that_is_read_without_its_gradient_is_found():
    """Right rewards, wrong gradients: the last layer's keys of the prompts are kept as numbers only."""
    ranked = RankedNetwork(tiny_decoder(), PAD, "cache")

    def forget(module, arguments, output):
        with_completions = arguments[0].shape[0] > 4
        return output if with_completions or ranked.layout == "plain" else output.detach()

    ranked.network.model.layers[-1].self_attn.k_proj.register_forward_hook(forget)
    assert layout_difference(ranked, everything()).key == "reward.networks.gradients_differ"


# The head


def test_trap_12_the_head_starts_at_one_over_the_root_of_its_width():
    """Width 4096 - 1 gives deviation 1 / 64; over 4,095 draws its estimate is right to 1 / (64 · 90)."""
    head = torch.nn.Linear(4_095, 1)
    start_head(head, seed=0)
    assert head.weight.std().item() == pytest.approx(1 / 64, rel=0.05)
    assert head.bias.item() == 0
    again = torch.nn.Linear(4_095, 1)
    start_head(again, seed=0)
    assert torch.equal(head.weight, again.weight)


def test_trap_12_the_head_computes_in_its_own_precision():
    network = tiny_decoder(dtype=torch.bfloat16)
    network.score.float()
    with torch.autocast("cpu", torch.bfloat16):
        assert RankedNetwork(network, PAD)(everything()).dtype == torch.float32


def test_a_checkpoint_holds_the_weights_that_are_trained_and_no_others():
    network = tiny_decoder()
    network.model.requires_grad_(False)
    assert list(RankedNetwork(network, PAD).state_dict()) == ["network.score.weight"]


def test_trap_14_a_checkpoint_without_the_head_is_an_error():
    ranked = RankedNetwork(tiny_decoder(), PAD)
    weights = ranked.state_dict()
    ranked.load_state_dict(weights)
    del weights["network.score.weight"]
    with pytest.raises(RuntimeError, match=r"score\.weight"):
        ranked.load_state_dict(weights)

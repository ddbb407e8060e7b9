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
    """Return the network in this layout; "mask" is the layout "row" as on a GPU."""
    ranked = RankedNetwork(network, PAD, "row" if layout == "mask" else layout)
    network.set_attn_implementation("sdpa" if layout == "mask" else IN_FAMILIES)
    return ranked


def rewards_and_gradients(network, inputs, layout):
    """Return the rewards, and the gradient in all weights of a sum with a different factor for each reward."""
    network.zero_grad()
    rewards = reading(network, layout)(inputs)
    (rewards * torch.linspace(-1, 1, len(inputs)).to(rewards.dtype)).sum().backward()
    return rewards.detach(), torch.cat([weight.grad.flatten() for weight in network.parameters()])


def all_inputs(groups=4, seed=1):
    return [item for group in token_groups(groups, seed) for item in group]


# Exact compared with the plain layout


@pytest.mark.parametrize("kind", ["llama", "qwen2"])
@pytest.mark.parametrize("layout", ["cache", "row", "mask"])
def test_trap_3_reading_prompts_once_is_exact_in_float64(kind, layout, monkeypatch):
    """Prompts of different lengths, two to five completions each, in training mode: within 1e-12 of the size."""
    all_in_float64(monkeypatch)
    network, inputs = tiny_decoder(kind, torch.float64).train(), all_inputs()
    rewards, gradients = rewards_and_gradients(network, inputs, layout)
    plain_rewards, plain_gradients = rewards_and_gradients(network, inputs, "plain")
    assert (rewards - plain_rewards).abs().max() <= 1e-12 * plain_rewards.abs().max()
    assert (gradients - plain_gradients).abs().max() <= 1e-12 * plain_gradients.abs().max()


@pytest.mark.parametrize("kind", ["llama", "qwen2"])
@pytest.mark.parametrize("layout", ["cache", "row", "mask"])
def test_trap_3_reading_prompts_once_differs_by_rounding_in_float32(kind, layout):
    network, inputs = tiny_decoder(kind), all_inputs()
    for actual, plain in zip(
        rewards_and_gradients(network, inputs, layout), rewards_and_gradients(network, inputs, "plain"), strict=True
    ):
        assert (actual - plain).norm() <= 1e-5 * plain.norm()


def test_trap_3_with_wrong_positions_or_a_wrong_mask_the_rewards_differ():
    """The negative control: the tests above would notice wrong positions and a wrong mask."""
    network, inputs = tiny_decoder(), all_inputs()
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
def test_trap_2_a_reward_does_not_depend_on_the_rest_of_the_batch(layout):
    ranked, inputs = reading(tiny_decoder(), layout), all_inputs()
    together = ranked(inputs)
    assert torch.allclose(ranked(inputs[::-1]).flip(0), together, atol=1e-4)
    alone = torch.cat([ranked([item]) for item in inputs])
    assert torch.allclose(alone, together, atol=1e-4)


@pytest.mark.parametrize("layout", ["plain", "cache", "row", "mask"])
def test_trap_1_the_reward_is_read_at_the_last_token_even_if_it_is_the_pad_token(layout):
    ranked = reading(tiny_decoder(), layout)
    prompt, longer = (5, 6), Input((5, 6, 7, 8, 9, 10), 2)
    for completion in ((7, PAD, 8), (7, 8, PAD), (PAD,)):
        item = Input((*prompt, *completion), 2)
        alone = ranked.network.model(torch.tensor([item.ids])).last_hidden_state[0, -1] @ ranked.network.score.weight[0]
        assert torch.allclose(ranked([item, longer])[0], alone, atol=1e-4)


# Which network reads in which layout


def test_cached_prompts_are_refused_with_fsdp(monkeypatch):
    """They need the weights of a layer twice, but FSDP frees the weights after the first use."""
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    network = tiny_decoder()
    with pytest.raises(InputError, match=r"cached prompts use them twice.*--layout row"):
        layout_for(network, "cache", checkpointing=False)
    assert layout_for(network, None, checkpointing=False) == "row"


def test_trap_4_gradient_checkpointing_with_cached_prompts_is_refused():
    network = tiny_decoder()
    with pytest.raises(InputError, match=r"checkpointing drops the cached prompts.*--layout row"):
        layout_for(network, "cache", checkpointing=True)
    assert layout_for(network, None, checkpointing=True) == "row"
    assert layout_for(network, None, checkpointing=False) == "row"
    assert layout_to_score(RankedNetwork(network, PAD).network) == "row"


def test_trap_4_a_network_that_cached_nothing_is_an_error_and_not_a_wrong_reward():
    network = tiny_decoder().train()
    network.activation_checkpointing_enable()
    with pytest.raises(RuntimeError, match="without their prompts"):
        RankedNetwork(network, PAD, "cache")(all_inputs())
    rewards, gradients = rewards_and_gradients(network, all_inputs(), "row")
    plain, plain_gradients = rewards_and_gradients(tiny_decoder(), all_inputs(), "plain")
    assert torch.allclose(rewards, plain, atol=1e-4)
    assert (gradients - plain_gradients).norm() <= 1e-5 * plain_gradients.norm()


def test_an_encoder_reads_every_prompt_with_its_completion_and_gives_its_own_logits():
    network, inputs = tiny_encoder().eval(), all_inputs()
    rewards = RankedNetwork(network, PAD)(inputs)
    for item, reward in zip(inputs, rewards, strict=True):
        assert torch.allclose(network(torch.tensor([item.ids])).logits[0, 0], reward, atol=1e-4)
    assert not shares_prompts(network) and layout_for(network, None, False) == "plain"
    with pytest.raises(InputError, match="its prompt attends to the completion"):
        layout_for(network, "cache", False)


def test_a_network_with_a_sliding_window_reads_in_the_plain_layout():
    assert not shares_prompts(tiny_decoder("mistral", sliding_window=4))
    assert shares_prompts(tiny_decoder("mistral", sliding_window=4_096))
    assert shares_prompts(tiny_decoder("qwen2"))


@pytest.mark.parametrize("layout", ["cache", "row"])
def test_an_inexact_layout_is_detected_on_a_few_inputs(layout):
    """A row with a mask without a window, for a network with a window of four tokens."""
    inputs = all_inputs()
    assert layout_difference(RankedNetwork(tiny_decoder(), PAD, layout), inputs) is None
    ranked = RankedNetwork(tiny_decoder("mistral", sliding_window=4), PAD, "row").train()
    assert layout_difference(ranked, inputs).key == "reward.networks.rewards_differ"
    assert ranked.layout == "row" and ranked.training


def test_a_prompt_cached_without_its_gradient_is_detected():
    """Correct rewards, wrong gradients: the prompts' keys in the last layer are detached."""
    ranked = RankedNetwork(tiny_decoder(), PAD, "cache")

    def forget(module, arguments, output):
        with_completions = arguments[0].shape[0] > 4
        return output if with_completions or ranked.layout == "plain" else output.detach()

    ranked.network.model.layers[-1].self_attn.k_proj.register_forward_hook(forget)
    assert layout_difference(ranked, all_inputs()).key == "reward.networks.gradients_differ"


# The head


def test_trap_12_the_head_starts_with_deviation_one_over_the_root_of_its_width():
    """Width 4096 - 1 gives deviation 1 / 64, estimated from 4,095 draws to within 1 / (64 · 90)."""
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
        assert RankedNetwork(network, PAD)(all_inputs()).dtype == torch.float32


def test_a_checkpoint_has_only_the_trainable_weights():
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

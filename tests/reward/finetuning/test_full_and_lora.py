import pytest
import torch

from label_data.records import Message
from reward.finetuning.full_and_lora import effective_dropout, trainable_network
from reward.finetuning.trainer import fit
from reward.networks.backbones import load_tokenizer
from reward.networks.batches import Input, encode
from reward.settings import Settings
from tiny_networks import random_training_groups

LORA = Settings(method="lora", lora_rank=4, epochs=1, groups_per_step=4, learning_rate=1e-2)


@pytest.fixture(scope="module")
def tokenizer(tiny_backbone_folder):
    return load_tokenizer(tiny_backbone_folder)


@pytest.fixture(scope="module")
def encoder_tokenizer(tiny_encoder_folder):
    return load_tokenizer(tiny_encoder_folder)


def inputs_of(groups):
    return [item for group in groups for item in group.inputs]


def test_full_fine_tuning_trains_all_weights(tiny_backbone_folder, tokenizer):
    ranked = trainable_network(tiny_backbone_folder, tokenizer, Settings(method="full"))
    assert all(weight.requires_grad for weight in ranked.parameters())
    assert ranked.layout == "row" and ranked.network.config.num_labels == 1


def test_trap_14_a_lora_checkpoint_has_the_adapters_and_the_head_and_nothing_else(tiny_backbone_folder, tokenizer):
    ranked = trainable_network(tiny_backbone_folder, tokenizer, LORA)
    names = list(ranked.state_dict())
    assert "network.score.weight" in names
    assert all("lora_" in name for name in names if name != "network.score.weight")
    assert sum("lora_A" in name for name in names) == 6 * 7  # layers, linear maps in each


def test_adapters_start_at_zero(tiny_backbone_folder, tokenizer):
    inputs = inputs_of(random_training_groups(2))
    plain = trainable_network(tiny_backbone_folder, tokenizer, Settings(method="full"))(inputs)
    assert torch.equal(trainable_network(tiny_backbone_folder, tokenizer, LORA)(inputs), plain)


def test_trap_14_the_merged_network_gives_the_rewards_of_the_trained_adapters(
    tiny_backbone_folder, tokenizer, tmp_path
):
    groups = random_training_groups(8)
    ranked = trainable_network(tiny_backbone_folder, tokenizer, LORA)
    before = ranked(inputs_of(groups))
    fit(ranked, groups, [], LORA, tmp_path)
    trained = ranked.eval()(inputs_of(groups))
    assert (trained - before).abs().max() > 0.1
    whole = ranked.merged()
    assert not [name for name in whole.state_dict() if "lora" in name]
    rewards = torch.cat(
        [whole.score(whole.model(torch.tensor([item.ids])).last_hidden_state[0, -1]) for item in inputs_of(groups)]
    )
    assert torch.allclose(rewards, trained, atol=1e-3)


def test_adapters_and_head_are_resumed_bit_for_bit(tiny_backbone_folder, tokenizer, tmp_path):
    groups, results = random_training_groups(12), []

    def stop(done, total, message):
        if done == 2:
            raise InterruptedError

    for folder, stops in (("once", False), ("twice", True)):
        ranked = trainable_network(tiny_backbone_folder, tokenizer, LORA)
        if stops:
            with pytest.raises(InterruptedError):
                fit(ranked, groups, [], LORA, tmp_path / folder, on_progress=stop)
            ranked = trainable_network(tiny_backbone_folder, tokenizer, LORA)
        fit(ranked, groups, [], LORA, tmp_path / folder, resume=stops)
        results.append(ranked.state_dict())
    assert all(torch.equal(results[0][name], results[1][name]) for name in results[0])


# Dropout


def test_trap_11_the_dropout_of_an_encoder_is_off_by_default(tiny_encoder_folder, encoder_tokenizer):
    """BERT's configuration has dropout 0.1: two readings in training mode would differ, and training from serving."""
    inputs = [Input((2, 5, 6, 3, 7, 3), 4), Input((2, 8, 3, 9, 3), 3)]
    for dropout in (0.0, 0.3):
        ranked = trainable_network(
            tiny_encoder_folder, encoder_tokenizer, Settings(method="full", dropout=dropout)
        ).train()
        assert effective_dropout(ranked) == dropout
        assert torch.equal(ranked(inputs), ranked(inputs)) == (dropout == 0)


def test_trap_11_the_dropout_of_lora_is_the_setting(tiny_backbone_folder, tokenizer):
    settings = Settings(method="lora", dropout=0.3)
    assert effective_dropout(trainable_network(tiny_backbone_folder, tokenizer, settings)) == 0.3


# Encoders


def test_the_tokens_of_an_encoder_are_its_first_token_and_every_turn_with_a_separator(encoder_tokenizer):
    item = encode(encoder_tokenizer, (Message("user", "ab"),), "cd")
    assert encoder_tokenizer.convert_ids_to_tokens(item.ids) == ["[CLS]", "a", "b", "[SEP]", "c", "d", "[SEP]"]
    assert item.prompt_tokens == 4 and not item.trimmed


def test_trap_8_long_encoder_inputs_lose_the_start_of_the_prompt_and_then_the_end_of_the_completion(encoder_tokenizer):
    """The encoder has 64 positions. Of 100 letters it keeps 64 - 5 = 59 in a prompt, and 62 in a completion."""
    long_prompt = encode(encoder_tokenizer, (Message("user", "a" * 99 + "b"),), "cd")
    tokens = encoder_tokenizer.convert_ids_to_tokens(long_prompt.ids)
    assert tokens == ["[CLS]", *["a"] * 58, "b", "[SEP]", "c", "d", "[SEP]"] and long_prompt.trimmed
    assert encoder_tokenizer.convert_ids_to_tokens(long_prompt.completion) == ["c", "d", "[SEP]"]
    long_completion = encode(encoder_tokenizer, (Message("user", "ab"),), "c" * 100)
    tokens = encoder_tokenizer.convert_ids_to_tokens(long_completion.ids)
    assert tokens == ["[CLS]", *["c"] * 62, "[SEP]"] and long_completion.trimmed

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
    return [one for group in groups for one in group.inputs]


def test_full_trains_everything(tiny_backbone_folder, tokenizer):
    ranked = trainable_network(tiny_backbone_folder, tokenizer, Settings(method="full"))
    assert all(weight.requires_grad for weight in ranked.parameters())
    assert ranked.layout == "row" and ranked.network.config.num_labels == 1


def test_trap_14_low_rank_changes_come_with_the_head_and_nothing_else(tiny_backbone_folder, tokenizer):
    ranked = trainable_network(tiny_backbone_folder, tokenizer, LORA)
    names = list(ranked.state_dict())
    assert "network.score.weight" in names
    assert all("lora_" in name for name in names if name != "network.score.weight")
    assert sum("lora_A" in name for name in names) == 6 * 7  # layers, linear maps in each


def test_low_rank_changes_start_from_none(tiny_backbone_folder, tokenizer):
    inputs = inputs_of(random_training_groups(2))
    plain = trainable_network(tiny_backbone_folder, tokenizer, Settings(method="full"))(inputs)
    assert torch.equal(trainable_network(tiny_backbone_folder, tokenizer, LORA)(inputs), plain)


def test_trap_14_the_whole_network_gives_the_rewards_that_the_changes_were_trained_to(
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
    found = torch.cat(
        [whole.score(whole.model(torch.tensor([one.ids])).last_hidden_state[0, -1]) for one in inputs_of(groups)]
    )
    assert torch.allclose(found, trained, atol=1e-3)


def test_changes_and_head_go_on_to_the_bit_after_a_stop(tiny_backbone_folder, tokenizer, tmp_path):
    groups, found = random_training_groups(12), []

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
        found.append(ranked.state_dict())
    assert all(torch.equal(found[0][name], found[1][name]) for name in found[0])


# Dropout


def test_trap_11_an_encoders_dropout_is_off_unless_it_is_asked_for(tiny_encoder_folder, encoder_tokenizer):
    """BERT's settings say 0.1: in train mode two readings of the same would differ, and so train and serve."""
    inputs = [Input((2, 5, 6, 3, 7, 3), 4), Input((2, 8, 3, 9, 3), 3)]
    for dropout in (0.0, 0.3):
        ranked = trainable_network(
            tiny_encoder_folder, encoder_tokenizer, Settings(method="full", dropout=dropout)
        ).train()
        assert effective_dropout(ranked) == dropout
        assert torch.equal(ranked(inputs), ranked(inputs)) == (dropout == 0)


def test_trap_11_low_rank_dropout_is_what_was_asked_for(tiny_backbone_folder, tokenizer):
    settings = Settings(method="lora", dropout=0.3)
    assert effective_dropout(trainable_network(tiny_backbone_folder, tokenizer, settings)) == 0.3


# Encoders


def test_an_encoders_tokens_are_its_first_token_and_every_turn_with_a_separator(encoder_tokenizer):
    one = encode(encoder_tokenizer, (Message("user", "ab"),), "cd")
    assert encoder_tokenizer.convert_ids_to_tokens(one.ids) == ["[CLS]", "a", "b", "[SEP]", "c", "d", "[SEP]"]
    assert one.prompt_tokens == 4 and not one.trimmed


def test_trap_8_what_is_too_long_for_an_encoder_loses_the_prompts_start_and_then_the_completions_end(encoder_tokenizer):
    """It has 64 places. 100 letters of prompt leave 64 - 5 = 59 of them; 100 of completion leave [CLS], 62, [SEP]."""
    long_prompt = encode(encoder_tokenizer, (Message("user", "a" * 99 + "b"),), "cd")
    tokens = encoder_tokenizer.convert_ids_to_tokens(long_prompt.ids)
    assert tokens == ["[CLS]", *["a"] * 58, "b", "[SEP]", "c", "d", "[SEP]"] and long_prompt.trimmed
    assert encoder_tokenizer.convert_ids_to_tokens(long_prompt.completion) == ["c", "d", "[SEP]"]
    long_completion = encode(encoder_tokenizer, (Message("user", "ab"),), "c" * 100)
    tokens = encoder_tokenizer.convert_ids_to_tokens(long_completion.ids)
    assert tokens == ["[CLS]", *["c"] * 62, "[SEP]"] and long_completion.trimmed

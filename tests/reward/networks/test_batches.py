import pytest
import torch

from label_data.errors import InputError
from label_data.records import Message
from reward.networks.backbones import load_tokenizer
from reward.networks.batches import LONGEST_INPUT, Input, batches, encode, group_batches, in_one_row, in_rows

ASKED = (Message("user", "Can pigs fly?"),)


@pytest.fixture(scope="module")
def tokenizer(tiny_backbone_folder):
    return load_tokenizer(tiny_backbone_folder)


def inputs_of(tokenizer, *completions):
    return [encode(tokenizer, ASKED, completion) for completion in completions]


# Text to tokens


def test_trap_5_the_tokens_are_those_of_the_chat_template_with_a_single_first_token(tokenizer):
    """In this template every turn begins with <|start|>, the BOS: twice in two turns."""
    (item,) = inputs_of(tokenizer, "No.")
    text = "<|start|>user\nCan pigs fly?<|end|>\n<|start|>assistant\nNo.<|end|>\n"
    assert tokenizer.decode(item.ids) == text
    assert item.ids[0] == tokenizer.bos_token_id
    assert item.ids.count(tokenizer.bos_token_id) == 2


def test_the_tokens_of_the_packaged_model_are_those_of_its_own_template(packaged_model_folder):
    tokenizer = load_tokenizer(packaged_model_folder)
    turns = [{"role": "user", "content": "Can pigs fly?"}, {"role": "assistant", "content": "No."}]
    expected = tokenizer.apply_chat_template(turns, return_dict=True)["input_ids"]
    assert list(inputs_of(tokenizer, "No.")[0].ids) == expected
    assert expected.count(tokenizer.bos_token_id) == 3  # system, user, assistant: none added at the start


def test_messages_may_be_records_or_objects(tokenizer):
    objects = [{"role": "user", "content": "Can pigs fly?"}]
    assert encode(tokenizer, objects, "No.") == inputs_of(tokenizer, "No.")[0]


def test_trap_8_a_long_prompt_loses_its_start_and_the_completion_stays_whole(tokenizer):
    long = (Message("user", "x" * 5_000),)
    first, second = (encode(tokenizer, long, text) for text in ("yes", "no"))
    assert first.trimmed and len(first.ids) == LONGEST_INPUT
    assert tokenizer.decode(first.ids).endswith("x<|end|>\n<|start|>assistant\nyes<|end|>\n")
    assert first.ids != second.ids


def test_a_completion_longer_than_the_limit_is_kept_whole_without_its_prompt(tokenizer):
    """3,000 bytes are 3,000 tokens here, without <|end|> and the line break."""
    item = encode(tokenizer, ASKED, "y" * 3_000)
    assert item.trimmed and tokenizer.decode(item.ids) == "y" * 3_000 + "<|end|>\n"


def test_a_template_that_refuses_the_conversation_is_an_input_error(tiny_backbone_folder):
    strict = load_tokenizer(tiny_backbone_folder)
    strict.chat_template = "{{ raise_exception('no system turn') }}"
    with pytest.raises(InputError, match="no system turn"):
        encode(strict, ASKED, "No.")


def test_all_completions_of_a_prompt_begin_with_its_tokens(tokenizer):
    first, second = inputs_of(tokenizer, "No.", "Yes.")
    assert first.prompt == second.prompt
    assert tokenizer.decode(first.prompt) == "<|start|>user\nCan pigs fly?<|end|>\n<|start|>assistant\n"
    assert tokenizer.decode(second.completion) == "Yes.<|end|>\n"


def test_trap_7_a_token_across_the_boundary_belongs_to_the_completion(packaged_model_folder):
    """Line breaks at the start of a completion join the line break at the end of the prompt in a single token."""
    tokenizer = load_tokenizer(packaged_model_folder)
    plain, broken = inputs_of(tokenizer, "No.", "\n\nNo.")
    assert broken.prompt == plain.prompt[:-1]
    assert broken.prompt + broken.completion == broken.ids


# Tokens to batches


def test_batches_have_every_input_once_and_keep_completions_of_a_prompt_together():
    """Prompt a (2 tokens) has completions of 3 and 1, b (2) of 3, c (2) of 2. With room for 14 a and b cost
    2 x 2 + 3 x 3 = 13; with c it would be 3 x 2 + 4 x 3 = 18, so c has a batch of its own.
    """
    a, b, c = (1, 1), (2, 2), (3, 3)
    inputs = [Input((*prompt, *[9] * more), 2) for prompt, more in ((c, 2), (a, 3), (b, 3), (a, 1))]
    assert list(batches(inputs, 14)) == [[1, 3, 2], [0]]
    assert list(batches(inputs, 1)) == [[1, 3], [2], [0]]
    assert list(batches([], 10)) == []


def test_groups_are_never_divided_and_each_layout_has_its_own_cost():
    """Two groups of a prompt of 4 with completions of 1 and 3. The plain layout costs 4 x 7 = 28 tokens, padded; with
    cached prompts 2 x 4 + 4 x 3 = 20; in one row 2 x (4 + 1 + 3) = 16.
    """
    groups = [[Input((*[prompt] * 4, *[9] * more), 4) for more in (1, 3)] for prompt in (1, 2)]
    for layout, cost in (("plain", 28), ("cache", 20), ("row", 16)):
        assert list(group_batches(groups, cost, layout)) == [[0, 1]], layout
        assert list(group_batches(groups, cost - 1, layout)) == [[0], [1]], layout


def test_one_row_has_every_prompt_once_before_its_completions_and_no_padding():
    """Prompt a b with completions c and d e, prompt f with g, read in the order c, g, d e."""
    inputs = [Input((1, 2, 3), 2), Input((6, 7), 1), Input((1, 2, 4, 5), 2)]
    arguments, rows, last = in_one_row(inputs, torch.device("cpu"))
    assert arguments["input_ids"].tolist() == [[1, 2, 3, 4, 5, 6, 7]]
    assert arguments["position_ids"].tolist() == [[0, 1, 2, 2, 3, 0, 1]]
    assert arguments["families"] == ((2, (1, 2)), (1, (1,)))
    assert (rows.tolist(), last.tolist()) == ([0, 0, 0], [2, 6, 4])


def test_in_a_masked_row_a_token_attends_to_its_prompt_and_its_own_completion_up_to_itself():
    """Prompt a b with completions c and d e: a attends to a; b to a b; c to a b c; d to a b d; e to a b d e."""
    arguments, rows, last = in_rows([Input((1, 2, 3), 2), Input((1, 2, 4, 5), 2)], 0, torch.device("cpu"))
    assert arguments["input_ids"].tolist() == [[1, 2, 3, 4, 5]]
    assert arguments["position_ids"].tolist() == [[0, 1, 2, 2, 3]]
    assert arguments["attention_mask"][0, 0].int().tolist() == [
        [1, 0, 0, 0, 0],
        [1, 1, 0, 0, 0],
        [1, 1, 1, 0, 0],
        [1, 1, 0, 1, 0],
        [1, 1, 0, 1, 1],
    ]
    assert (rows.tolist(), last.tolist()) == ([0, 0], [2, 4])


def test_prompts_share_rows_as_long_as_the_longest_family_and_do_not_attend_to_each_other():
    """Three families of four, two and two tokens: two rows, the second of which holds two prompts.

    The padding of a row of three attends to itself, and nothing else attends to it.
    """
    inputs = [Input((5, 6), 1), Input((1, 2, 3, 4), 2), Input((7, 8), 1)]
    arguments, rows, last = in_rows(inputs, 0, torch.device("cpu"))
    assert arguments["input_ids"].tolist() == [[1, 2, 3, 4], [5, 6, 7, 8]]
    assert arguments["position_ids"].tolist() == [[0, 1, 2, 3], [0, 1, 0, 1]]
    assert arguments["attention_mask"][1, 0].int().tolist() == [
        [1, 0, 0, 0],
        [1, 1, 0, 0],
        [0, 0, 1, 0],
        [0, 0, 1, 1],
    ]
    assert (rows.tolist(), last.tolist()) == ([1, 0, 1], [1, 3, 3])
    arguments, rows, last = in_rows([Input((1, 2, 3), 1), Input((5, 6), 1)], 0, torch.device("cpu"))
    assert arguments["input_ids"].tolist() == [[1, 2, 3], [5, 6, 0]]
    assert arguments["attention_mask"][1, 0].int().tolist() == [[1, 0, 0], [1, 1, 0], [0, 0, 1]]
    assert (rows.tolist(), last.tolist()) == ([0, 1], [2, 1])

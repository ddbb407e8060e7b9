"""Policies in this process, with the real packaged model and few tokens, so that the tests take seconds."""

import pytest
import torch
from transformers import AutoModelForCausalLM

from label_data.records import Message, Prompt, user_prompt
from label_data.settings import PolicySettings
from reward.networks.backbones import load_model, load_tokenizer
from reward.policy import Request, local_policy, open_policy
from reward.policy.local_policy import MARGIN, choose, gumbel_noise

PROMPTS = [
    user_prompt("Why?"),
    user_prompt("Write the first line of a poem about the sea."),
    user_prompt("Explain step by step how bread is baked, for somebody who has never done it. " * 3),
]
REQUESTS = [Request(prompt, seed) for prompt in PROMPTS for seed in (1, 2)]


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Use one thread, as the worker does on two cores; with more, busy processes delay every step."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def policy_with(max_tokens=10, **settings):
    return open_policy(PolicySettings("small", max_tokens=max_tokens, **settings))


@pytest.fixture(scope="module")
def policy(packaged_model_folder):
    return policy_with()


@pytest.fixture(scope="module")
def completions(policy):
    """The completions of the requests, written in one batch."""
    return policy.sample(REQUESTS)


def test_completions_come_in_the_order_asked_and_say_how_they_were_made(policy, completions):
    assert [(c.prompt_id, c.seed) for c in completions] == [(r.prompt.id, r.seed) for r in REQUESTS]
    assert {c.policy_revision for c in completions} == {policy.revision}
    assert completions[0].sampling == {"temperature": 0.8, "top_p": 0.95, "max_tokens": 10, "system_prompt": ""}
    assert len({completion.text for completion in completions}) == len(completions)


def test_the_same_request_gives_the_same_completion_in_any_batch(policy, completions):
    """A request alone has no padding; in the batch of all, the shortest prompt is padded to the longest."""
    assert policy.sample(REQUESTS[:1]) == completions[:1]
    assert policy.sample(REQUESTS[4:1:-1]) == completions[4:1:-1]


def test_a_token_chosen_without_the_batch_is_the_token_chosen_in_the_batch(policy, completions, monkeypatch):
    """With a margin wider than the gap between any two logits, every token is chosen without the batch."""
    monkeypatch.setattr(local_policy, "MARGIN", 1e4)
    assert policy.sample(REQUESTS[:1]) == completions[:1]


def test_another_seed_or_another_system_prompt_gives_another_completion(policy, completions):
    assert policy.sample([Request(PROMPTS[1], 3)])[0].text not in [completion.text for completion in completions]
    (capitals,) = policy_with(system_prompt="Answer in capital letters.").sample(REQUESTS[:1])
    assert capitals.text != completions[0].text
    assert capitals.sampling["system_prompt"] == "Answer in capital letters."


def test_temperature_0_writes_what_transformers_writes_greedily(packaged_model_folder):
    tokenizer = load_tokenizer(packaged_model_folder)
    network = load_model(AutoModelForCausalLM, packaged_model_folder, "cpu")
    ids = tokenizer.apply_chat_template(
        PROMPTS[1].as_dicts, add_generation_prompt=True, return_tensors="pt", return_dict=True
    )
    written = network.generate(**ids, do_sample=False, max_new_tokens=10)[0, ids["input_ids"].shape[1] :]
    first, second = policy_with(temperature=0).sample(REQUESTS[2:4])
    assert first.text == second.text == tokenizer.decode(written, skip_special_tokens=True)


def test_a_completion_stops_at_the_end_of_the_turn_or_at_the_limit(packaged_model_folder):
    short = user_prompt("What is the capital of France?")
    (ended,) = policy_with(max_tokens=24, temperature=0).sample([Request(short, 0)])
    (cut,) = policy_with(max_tokens=2, temperature=0).sample([Request(short, 0)])
    assert (ended.finish_reason, cut.finish_reason) == ("stop", "length")
    assert ended.text == "The capital of France is Paris."
    assert cut.text == "The capital"


def test_a_row_that_ends_early_leaves_the_others_as_they_were(packaged_model_folder):
    greedy = policy_with(max_tokens=14, temperature=0)
    requests = [Request(user_prompt("What is the capital of France?"), 0), REQUESTS[2]]
    together = greedy.sample(requests)
    assert [completion.finish_reason for completion in together] == ["stop", "length"]
    assert [greedy.sample([request])[0] for request in requests] == together


def test_a_prompt_too_long_for_the_model_is_refused_with_its_length_and_affects_no_other(policy):
    long = user_prompt("word " * 9_000)
    refused, written = policy.sample([Request(long, 0), REQUESTS[0]])
    assert refused.reason.key == "reward.policy.prompt_too_long"
    assert refused.reason.values["limit"] == 8_192 and refused.reason.values["tokens"] > 9_000
    assert written.text


def test_an_exception_from_on_progress_ends_the_sampling_between_two_tokens(policy):
    messages = []

    def stop_at_the_third(message):
        messages.append(str(message))
        if len(messages) == 3:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        policy.sample(REQUESTS[:2], stop_at_the_third)
    assert messages == [
        "small: 0 of 2 completions written; reading 1 prompts.",
        "small: 0 of 2 completions written; writing 2 more, token 1 of at most 10.",
        "small: 0 of 2 completions written; writing 2 more, token 2 of at most 10.",
    ]


def test_a_conversation_of_several_turns_can_be_answered(policy):
    turns = Prompt((Message("user", "Hi"), Message("assistant", "Hello!"), Message("user", "How are you?")))
    assert policy.sample([Request(turns, 0)])[0].text


def test_the_nucleus_holds_each_token_whose_predecessors_sum_to_less_than_top_p():
    """Probabilities 0.5, 0.3, 0.15, 0.05. top_p 0.7: the first two sum to 0.8, so two stay. 0.9: three stay."""
    logits = torch.tensor([[0.15, 0.5, 0.05, 0.3]]).log()
    favours_the_least = torch.tensor([[5.0, 0.0, 9.0, 1.0]])
    assert choose(logits, favours_the_least, 1.0, 0.7)[0].item() == 3
    assert choose(logits, favours_the_least, 1.0, 0.9)[0].item() == 0
    assert choose(logits, favours_the_least, 1.0, 1.0)[0].item() == 2
    assert choose(logits, favours_the_least, 0.0, 0.9)[0].item() == 1
    assert choose(logits, favours_the_least, 1.0, 0.01)[0].item() == 1


def test_tokens_are_drawn_as_often_as_their_probabilities_say():
    """Logits log 6, log 3, log 1 at top_p 0.9: the third is out, so 2/3 and 1/3; 4,000 draws, 5 standard deviations."""
    logits = torch.tensor([[6.0, 3.0, 1.0]]).log().expand(4_000, 3)
    noise = gumbel_noise(12_000, torch.Generator().manual_seed(0)).view(4_000, 3)
    counts = choose(logits, noise, 1.0, 0.9)[0].bincount(minlength=3)
    assert counts[2] == 0
    assert counts[0] / 4_000 == pytest.approx(2 / 3, abs=5 * (2 / 9 / 4_000) ** 0.5)


def test_temperature_divides_the_logits():
    """Logits 2 log 2 and 0 at temperature 2 are 2/3 and 1/3."""
    logits = torch.tensor([[4.0, 1.0]]).log().expand(4_000, 2)
    noise = gumbel_noise(8_000, torch.Generator().manual_seed(0)).view(4_000, 2)
    counts = choose(logits, noise, 2.0, 1.0)[0].bincount(minlength=2)
    assert counts[0] / 4_000 == pytest.approx(2 / 3, abs=5 * (2 / 9 / 4_000) ** 0.5)


@pytest.mark.parametrize("temperature", [0.0, 0.1, 0.8, 2.0])
@pytest.mark.parametrize("top_p", [0.3, 0.95, 1.0])
def test_a_sure_choice_stays_when_logits_change_by_less_than_half_the_margin(temperature, top_p):
    """Logits on a grid of a fifth of the margin: about every other choice is a near tie."""
    draws = torch.Generator().manual_seed(1)
    grid = MARGIN / 5
    logits = (torch.randn(3_000, 12, generator=draws) * 3 * grid).div(grid).round() * grid
    noise = gumbel_noise(36_000, draws).view(3_000, 12) * (2 * MARGIN)
    shaken = logits + (torch.rand(logits.shape, generator=draws) - 0.5) * 0.99 * MARGIN
    tokens, sure = choose(logits, noise, temperature, top_p)
    again, _ = choose(shaken, noise, temperature, top_p)
    assert torch.equal(tokens[sure], again[sure])
    assert (tokens != again).any()


def test_the_number_of_candidates_sorted_first_does_not_change_the_choice():
    draws = torch.Generator().manual_seed(2)
    logits, noise = torch.randn(50, 300, generator=draws), gumbel_noise(15_000, draws).view(50, 300)
    assert torch.equal(choose(logits, noise, 1.0, 0.9, candidates=4)[0], choose(logits, noise, 1.0, 0.9)[0])

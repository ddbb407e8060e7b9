"""The sampler, with policies on a real server on this machine."""

import pytest

from chat_server import Answer, says
from label_data.oversight.progress import item_counts, store_counts
from label_data.records import user_prompt
from label_data.sentences import say as sentence
from label_data.settings import PolicySettings, ProjectSettings
from label_data.store.adding import add_prompts
from label_data.store.samples import retry_failed
from label_data.store.stored_groups import groups
from reward.policy import PolicyError, Sampled, open_policy, sample_batch
from reward.policy.sampler import REDRAWS, completion_seed


@pytest.fixture
def address(sqlite_store):
    """Return the address of a store on SQLite alone: these tests are about files and wording, not about SQL."""
    return sqlite_store


PROMPTS = [user_prompt(f"Question {number}?") for number in range(3)]


def settings_for(chat_server, *names, k=4, temperature=0.8):
    policies = [
        PolicySettings(name, "openai", name, chat_server.base_url, temperature=temperature) for name in names or ("p",)
    ]
    return ProjectSettings(completions_per_prompt=k, policies=tuple(policies), seed=7)


def sample(store, settings, limit=8):
    return sample_batch(store, settings, [open_policy(policy) for policy in settings.policies], limit)


def texts(store):
    return {group.prompt.id: [completion.text for completion in group.completions] for group in groups(store)}


def test_each_waiting_prompt_gets_k_completions_shared_out_among_the_policies(store, chat_server):
    """Five places over two policies: the first has places 0, 2 and 4, the second 1 and 3."""
    add_prompts(store, PROMPTS)
    sampled = sample(store, settings_for(chat_server, "first", "second", k=5))
    assert (sampled.ready, sampled.failed, sampled.completions) == (3, 0, 15)
    assert sampled.prompts == tuple(prompt.id for prompt in PROMPTS)
    assert item_counts(store) == {"waiting": 0, "ready": 3, "ranked": 0, "failed": 0}
    for group in groups(store):
        assert [completion.policy for completion in group.completions] == [
            "first",
            "second",
            "first",
            "second",
            "first",
        ]
        assert [completion.seed for completion in group.completions] == [
            completion_seed(7, group.prompt.id, policy, place, 0)
            for place, policy in enumerate(["first", "second", "first", "second", "first"])
        ]


def test_completions_depend_neither_on_the_order_of_prompts_nor_on_the_batch(tmp_path, chat_server):
    from label_data.database.engine import open_store

    together, apart = open_store(tmp_path / "together.db"), open_store(tmp_path / "apart.db")
    settings = settings_for(chat_server)
    add_prompts(together, PROMPTS)
    sample(together, settings)
    add_prompts(apart, reversed(PROMPTS))
    for _ in PROMPTS:
        sample(apart, settings, limit=1)
    assert texts(together) == texts(apart)


def test_seeds_differ_by_project_prompt_policy_place_and_redraw_and_fit_31_bits():
    first = (0, "a", "p", 0, 0)
    others = [(1, "a", "p", 0, 0), (0, "b", "p", 0, 0), (0, "a", "q", 0, 0), (0, "a", "p", 1, 0), (0, "a", "p", 0, 1)]
    seeds = {completion_seed(*arguments) for arguments in (first, *others)}
    assert len(seeds) == 6
    assert all(0 <= seed < 2**31 for seed in seeds)


def test_texts_that_repeat_or_are_empty_are_drawn_again_with_new_seeds(store, chat_server):
    """Places 0 to 2 differ only in white space and place 3 is empty: 0 stays, and 1 to 3 are drawn again."""
    prompt = PROMPTS[0]
    add_prompts(store, [prompt])
    first = {
        completion_seed(7, prompt.id, "p", place, 0): text for place, text in enumerate(["a b", "a  b", "a b\n", " "])
    }
    chat_server.answer = lambda body: says(first.get(body["seed"], f"text {body['seed']}"))
    sample(store, settings_for(chat_server))
    again = [f"text {completion_seed(7, prompt.id, 'p', place, 1)}" for place in (1, 2, 3)]
    assert texts(store)[prompt.id] == ["a b", *again]
    assert len(chat_server.bodies) == 4 + 3


def test_a_prompt_with_only_one_text_fails_after_the_last_redraw_and_can_be_resampled(store, chat_server):
    """One of four places is kept, so each redraw asks for three: 4 + 3 REDRAWS requests."""
    add_prompts(store, PROMPTS[:1])
    chat_server.answer = lambda body: says("Always this.")
    sampled = sample(store, settings_for(chat_server))
    assert sampled == Sampled(failed=1, reasons=(sentence("reward.policy.no_two_texts", count=4),))
    assert len(chat_server.bodies) == 4 + 3 * REDRAWS
    assert item_counts(store)["failed"] == 1
    retry_failed(store)
    chat_server.answer = lambda body: says(f"text {body['seed']}")
    assert sample(store, settings_for(chat_server)).ready == 1


def test_a_prompt_with_fewer_than_k_different_texts_is_ready_with_the_texts_it_has(store, chat_server):
    add_prompts(store, PROMPTS[:1])
    chat_server.answer = lambda body: says(["odd", "even"][body["seed"] % 2 == 0])
    assert sample(store, settings_for(chat_server, k=9)).completions == 2
    assert sorted(texts(store)[PROMPTS[0].id]) == ["even", "odd"]


def test_a_policy_at_temperature_0_is_not_asked_for_another_text(store, chat_server):
    add_prompts(store, PROMPTS[:1])
    chat_server.answer = lambda body: says("Always this.")
    assert sample(store, settings_for(chat_server, temperature=0)).failed == 1
    assert len(chat_server.bodies) == 4


def test_a_prompt_that_the_policy_refuses_fails_with_the_reason_and_the_others_are_ready(store, chat_server):
    def answer(body):
        refused = body["messages"][-1]["content"] == PROMPTS[1].messages[-1].content
        return Answer(400, {}) if refused else says(f"text {body['seed']}")

    add_prompts(store, PROMPTS)
    chat_server.answer = answer
    sampled = sample(store, settings_for(chat_server))
    assert (sampled.ready, sampled.failed) == (2, 1)
    assert sampled.reasons == (sentence("reward.policy.refused", policy="p", status="400"),)


def test_when_a_policy_cannot_be_used_nothing_is_saved_and_the_prompts_wait(store, chat_server):
    """The first policy has answered before the server turns out not to know the second."""
    chat_server.answer = lambda body: Answer(404, {}) if body["model"] == "second" else says(f"text {body['seed']}")
    add_prompts(store, PROMPTS)
    with pytest.raises(PolicyError, match="has no model 'second'"):
        sample(store, settings_for(chat_server, "first", "second"))
    assert item_counts(store)["waiting"] == 3
    assert store_counts(store).completions == 0


def test_without_waiting_prompts_nothing_is_sampled(store, chat_server):
    assert sample(store, settings_for(chat_server)) == Sampled()
    assert chat_server.bodies == []

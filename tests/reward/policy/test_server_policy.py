"""Policies on a server, tested against a real server on this machine."""

import threading

import pytest

from chat_server import Answer, says
from label_data.records import Message, Prompt, user_prompt
from label_data.sentences import say as sentence
from label_data.settings import PolicySettings
from reward.policy import PolicyError, Refused, Request
from reward.policy.policies import storable
from reward.policy.server_policy import AT_ONCE, OpenAIPolicy

SOON = {"retry-after": "0.01"}
PROMPT = user_prompt("What is the capital of France?")


def policy_of(chat_server, seconds=30, retries=4, **settings):
    settings = {"name": "far", "kind": "openai", "model": "m", "base_url": chat_server.base_url, **settings}
    return OpenAIPolicy(PolicySettings(**settings), seconds, retries)


def requests(count):
    return [Request(PROMPT, seed) for seed in range(count)]


def test_a_request_carries_the_settings_and_the_completion_records_them(chat_server):
    chat_server.answer = lambda body: says("Paris.", "length", system_fingerprint="fp1")
    policy = policy_of(chat_server, system_prompt="Be brief.", temperature=0.5, top_p=0.9, max_tokens=7)
    (completion,) = policy.sample([Request(PROMPT, 41)])
    assert chat_server.bodies == [
        {
            "model": "m",
            "messages": [
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": "What is the capital of France?"},
            ],
            "temperature": 0.5,
            "top_p": 0.9,
            "max_tokens": 7,
            "seed": 41,
        }
    ]
    assert (completion.text, completion.finish_reason, completion.seed) == ("Paris.", "length", 41)
    assert completion.sampling == {"temperature": 0.5, "top_p": 0.9, "max_tokens": 7, "system_prompt": "Be brief."}
    assert completion.policy_revision == f"{policy.revision}+fp1"


def test_the_revision_distinguishes_models_and_servers_and_shows_no_url():
    def revision(model, url):
        return OpenAIPolicy(PolicySettings("p", "openai", model, url)).revision

    assert revision("m", "http://a/v1") == revision("m", "http://a/v1")
    assert len({revision("m", "http://a/v1"), revision("n", "http://a/v1"), revision("m", "http://b/v1")}) == 3
    assert "http" not in revision("m", "http://user:secret@a/v1")


def test_many_requests_run_at_once_and_answers_come_in_the_order_of_requests(chat_server):
    """The server holds every answer until AT_ONCE requests are there, so requests in sequence would time out."""
    everyone = threading.Barrier(AT_ONCE)

    def answer(body):
        everyone.wait(60)
        return says(f"text {body['seed']}")

    chat_server.answer = answer
    completions = policy_of(chat_server, retries=0).sample(requests(2 * AT_ONCE))
    assert [completion.text for completion in completions] == [f"text {seed}" for seed in range(2 * AT_ONCE)]


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_server_that_fails_twice_is_retried_after_the_pause_it_asks_for(chat_server, status):
    answers = [Answer(status, {}, SOON), Answer(status, {}, SOON), says("At last.")]
    chat_server.answer = lambda body: answers[len(chat_server.bodies) - 1]
    (completion,) = policy_of(chat_server).sample(requests(1))
    assert completion.text == "At last."
    assert len(chat_server.bodies) == 3


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (Answer(500, {}, SOON), "failed with status 500. See the server's log."),
        (Answer(429, {}, SOON), "limits the number of requests (status 429). Wait, or raise the rate limit"),
        (Answer(404, {}), "has no model 'm', or the URL is wrong (status 404). The URL often ends with /v1."),
        (Answer(200, "<html>Welcome</html>"), "is not that of a chat completions server."),
        (Answer(200, "<html>Welcome</html>", {"Content-Type": "text/html"}), "is not that of a chat completions"),
        (Answer(200, {"choices": []}), "is not that of a chat completions server."),
        (Answer(200, {"choices": [{"text": "old"}]}), "is not that of a chat completions server."),
        (Answer(200, [1]), "is not that of a chat completions server."),
    ],
)
def test_an_error_about_a_failing_server_names_it_and_the_remedy(chat_server, answer, sentence):
    chat_server.answer = lambda body: answer
    with pytest.raises(PolicyError, match="Policy 'far': ") as raised:
        policy_of(chat_server, retries=1).sample(requests(1))
    assert chat_server.base_url in str(raised.value)
    assert sentence in str(raised.value)


def test_an_error_about_a_server_that_is_down_names_it_and_the_remedy(chat_server):
    policy = policy_of(chat_server, retries=0)
    chat_server.close()
    with pytest.raises(PolicyError) as raised:
        policy.sample(requests(2))
    assert str(raised.value) == (
        f"Policy 'far': no server answers at {chat_server.base_url}. "
        "Start the server, or change the base URL in Project settings."
    )


def test_a_server_that_hangs_ends_in_a_timeout(chat_server):
    chat_server.answer = chat_server.hang
    with pytest.raises(PolicyError, match="did not answer within 0 seconds"):
        policy_of(chat_server, seconds=0.2, retries=0).sample(requests(1))


def test_an_exception_from_on_progress_ends_the_sampling_at_once(chat_server):
    """The server never answers and the timeout is 10 minutes, so only dropping the requests can end this."""
    chat_server.answer = chat_server.hang
    messages = []

    def stop_at_the_second(message):
        messages.append(str(message))
        if len(messages) == 2:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        policy_of(chat_server, seconds=600).sample(requests(3), stop_at_the_second)
    assert messages == ["far: 0 of 3 completions received."] * 2


def test_on_progress_may_sample_from_the_same_policy(chat_server):
    policy, inner = policy_of(chat_server), []

    def sample_once(message):
        if not inner:
            inner.append(None)
            inner[:] = policy.sample([Request(PROMPT, 99)])

    (outer,) = policy.sample([Request(PROMPT, 1)], sample_once)
    assert (outer.text, inner[0].text) == ("text 1", "text 99")


def test_the_key_comes_from_the_environment_and_appears_in_no_error(chat_server, monkeypatch):
    monkeypatch.setenv("FAR_KEY", "sk-very-secret")
    policy = policy_of(chat_server, key_name="FAR_KEY")
    policy.sample(requests(1))
    assert chat_server.keys == ["Bearer sk-very-secret"]
    chat_server.answer = lambda body: Answer(401, {"error": {"message": "Incorrect API key: sk-very-secret"}})
    with pytest.raises(PolicyError, match=r"rejects the API key in FAR_KEY \(status 401\)") as raised:
        policy.sample(requests(1))
    assert "secret" not in str(raised.value)
    assert "secret" not in repr(vars(policy))


def test_a_server_that_needs_a_key_where_none_is_named_says_so(chat_server):
    chat_server.answer = lambda body: Answer(401, {})
    with pytest.raises(PolicyError, match="requires an API key"):
        policy_of(chat_server).sample(requests(1))


def test_without_its_key_nothing_is_sent(chat_server, monkeypatch):
    monkeypatch.delenv("FAR_KEY", raising=False)
    with pytest.raises(PolicyError, match="the environment variable FAR_KEY holds no API key"):
        policy_of(chat_server, key_name="FAR_KEY").sample(requests(1))
    assert chat_server.bodies == []


def test_a_prompt_that_the_server_refuses_affects_no_other(chat_server):
    """The server's message repeats the prompt, so only its code is passed on."""
    too_long = {"error": {"message": "Too long: What is the capital", "code": "context_length_exceeded"}}
    chat_server.answer = lambda body: Answer(400, too_long) if body["seed"] == 1 else says("Paris.")
    first, second = policy_of(chat_server).sample(requests(2))
    assert first.text == "Paris."
    status = "400, context_length_exceeded"
    assert second == Refused(sentence("reward.policy.refused", policy="far", status=status))


def test_a_prompt_with_its_own_system_message_keeps_it(chat_server):
    own = Prompt((Message("system", "Rhyme."), Message("user", "Hello")))
    policy_of(chat_server, system_prompt="Be brief.").sample([Request(own, 0)])
    assert chat_server.bodies[0]["messages"] == own.as_dicts


def test_an_answer_without_text_is_an_empty_completion(chat_server):
    chat_server.answer = lambda body: says(None)
    assert policy_of(chat_server).sample(requests(1))[0].text == ""


def test_characters_that_no_database_stores_are_replaced():
    assert storable("a\0b") == "a\ufffdb"
    assert storable("half \ud83d, whole \ud83d\ude00") == "half \ufffd, whole 😀"

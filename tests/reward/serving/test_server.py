"""A real server process with real clients: rewards, APIs, limits, and how it stops."""

import http.client
import json
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from urllib.parse import urlsplit

import pytest
from typer.testing import CliRunner

from browser import LEASH
from reward.__main__ import app
from reward.model.model import RewardModel
from reward.serving.server import Limits, ended

PROMPT = [{"role": "user", "content": "Can pigs fly?"}]
COMPLETIONS = ["No.", "Yes, if they are thrown hard enough.", "abc abc", "vwx", ""]
SECRET = "xyzzy plugh"

SERVER = """
import sys
from reward.serving.server import Limits, serve_model
serve_model(sys.argv[1], "127.0.0.1", 0, Limits(body=20_000, completions=8, tokens=1_000, longest=300, queue=2))
"""


@contextmanager
def running(*command):
    """Yield a server's process and its address, once it listens."""
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    process = subprocess.Popen([sys.executable, *map(str, command)], text=True, env=environment, **pipes)
    try:
        line = process.stdout.readline()
        assert "answers at" in line, process.stderr.read()
        yield process, urlsplit(line.split(" at ")[1].split()[0]).netloc
    finally:
        process.kill()
        process.communicate()


@pytest.fixture(scope="module")
def server(trained):
    with running(LEASH, "reward", "serve", trained, "--port", "0") as (_, address):
        yield address


@pytest.fixture(scope="module")
def model(trained):
    return RewardModel.load(trained)


def ask(address, path, body=None, method=None):
    """Return (status, headers, JSON or text)."""
    connection = http.client.HTTPConnection(address, timeout=120)
    content = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
    headers = {"Content-Type": "application/json"} if content else {}
    connection.request(method or ("GET" if body is None else "POST"), path, content, headers)
    response = connection.getresponse()
    text = response.read().decode()
    connection.close()
    is_json = response.headers.get("Content-Type", "").startswith("application/json")
    return response.status, response.headers, json.loads(text) if is_json else text


def refused(address, path, body):
    status, _, result = ask(address, path, body)
    assert result["error"]["code"] == status
    return status, result["error"]["message"]


# The APIs


def test_score_gives_the_rewards_and_deviations_of_the_model(server, model):
    rewards, deviations = model.score_with_deviations(PROMPT, COMPLETIONS)
    for request in ({"messages": PROMPT}, {"prompt": "Can pigs fly?"}):
        status, _, result = ask(server, "/score", {**request, "completions": COMPLETIONS})
        assert status == 200
        assert result["rewards"] == pytest.approx(rewards, abs=1e-5)
        assert result["standard_deviations"] == pytest.approx(deviations, rel=1e-4)
        assert result["trimmed"] == 0 and result["tokens"] > 100


def test_trap_13_a_served_reward_has_no_sigmoid(server, model):
    """The trained head gives rewards beyond 1 or below 0, which no sigmoid does."""
    texts = ["abcde abcde abcde", "vwxyz vwxyz vwxyz"]
    raw = model.score(PROMPT, texts)
    assert min(raw) < 0 or max(raw) > 1
    turns = [[*PROMPT, {"role": "assistant", "content": text}] for text in texts]
    classified = [ask(server, "/classify", {"messages": turn})[2]["data"][0]["probs"][0] for turn in turns]
    assert classified == pytest.approx(raw, abs=1e-5)


def test_openrlhf_s_client_gets_the_fields_it_reads(server, model):
    """It sends whole conversations as the template writes them, and their prompts; it reads rewards, scores, logs."""
    whole = [
        model.tokenizer.apply_chat_template([*PROMPT, {"role": "assistant", "content": text}], tokenize=False)
        for text in COMPLETIONS
    ]
    prompt = model.tokenizer.apply_chat_template(PROMPT, tokenize=False, add_generation_prompt=True)
    rewards = model.score(PROMPT, COMPLETIONS)
    for request in ({"query": whole}, {"query": whole, "prompts": [prompt] * 5, "labels": [""] * 5}):
        _, _, result = ask(server, "/get_reward", request)
        assert result["rewards"] == result["scores"] == pytest.approx(rewards, abs=1e-5)
        assert len(result["extra_logs"]["standard_deviations"]) == 5


@pytest.mark.parametrize("stopped_at", ["<|end|>\n", "<|end|>", ""])
def test_trap_5_a_conversation_that_a_policy_ended_early_gets_the_ending_of_training(server, model, stopped_at):
    """The reward is read at the last token of the template; without the ending, it would be read at another token."""
    prompt = model.tokenizer.apply_chat_template(PROMPT, tokenize=False, add_generation_prompt=True)
    _, _, result = ask(server, "/get_reward", {"query": [f"{prompt}abc abc{stopped_at}"]})
    assert result["rewards"] == pytest.approx(model.score(PROMPT, ["abc abc"]), abs=1e-5)


def test_only_the_missing_part_of_an_ending_is_added():
    for text in ("a<e>\n", "a<e>", "a"):
        assert ended(text, "<e>\n") == "a<e>\n"
    assert ended("a", "") == "a"
    assert ended("a<e>\n<e>", "<e>\n") == "a<e>\n<e>\n"


def test_vllm_s_client_gets_its_format(server, model):
    whole = model.tokenizer.apply_chat_template([*PROMPT, {"role": "assistant", "content": "No."}], tokenize=False)
    for given in (whole, [whole, whole]):
        status, _, result = ask(server, "/classify", {"model": "any", "input": given, "use_activation": False})
        assert status == 200 and result["object"] == "list" and result["id"].startswith("classify-")
        assert result["usage"]["prompt_tokens"] == result["usage"]["total_tokens"] > 0
        details = {"prompt_tokens_details": None, "completion_tokens_details": None}
        assert result["usage"] == {**details, **result["usage"], "completion_tokens": 0} and len(result["usage"]) == 5
        for number, item in enumerate(result["data"]):
            assert (item["index"], item["num_classes"], item["label"]) == (number, 1, "reward")
            assert item["probs"] == pytest.approx(model.score(PROMPT, ["No."]), abs=1e-5)
    assert refused(server, "/classify", {"input": whole, "use_activation": True})[0] == 422


def test_many_clients_at_once_get_their_own_rewards_in_fewer_batches(server, model):
    requests = [(f"Question {number}?", [letter * number for letter in "abv"]) for number in range(1, 33)]
    before = metric(server, "reward_batches_total")
    with ThreadPoolExecutor(16) as clients:
        answers = list(
            clients.map(lambda item: ask(server, "/score", {"prompt": item[0], "completions": item[1]})[2], requests)
        )
    for (prompt, completions), result in zip(requests, answers, strict=True):
        expected = model.score([{"role": "user", "content": prompt}], completions)
        assert result["rewards"] == pytest.approx(expected, abs=1e-5)
    assert metric(server, "reward_batches_total") - before < 32


def test_health_and_metrics_describe_the_server(server, trained):
    status, _, result = ask(server, "/health")
    assert (status, result["status"], result["model"]) == (200, "ok", trained.name)
    assert result["standard_deviations"] is True and len(result["revision"]) == 16
    before = metric(server, 'reward_requests_total{path="/score",status="200"}')
    tokens = metric(server, "reward_tokens_total")
    _, _, answer = ask(server, "/score", {"prompt": "Why?", "completions": ["a", "b"]})
    assert metric(server, 'reward_requests_total{path="/score",status="200"}') == before + 1
    assert metric(server, "reward_tokens_total") == tokens + answer["tokens"]
    assert metric(server, 'reward_request_seconds_bucket{le="+Inf",path="/score"}') == before + 1
    assert ask(server, "/metrics")[1]["Content-Type"].startswith("text/plain; version=0.0.4")


def metric(address, name):
    lines = ask(address, "/metrics")[2].splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.rpartition(" ")[0] == name)


# Refused requests


@pytest.mark.parametrize(
    ("path", "body", "status", "message"),
    [
        ("/score", b"{", 400, "not JSON"),
        ("/score", b"[" * 100_000, 400, "not JSON"),
        ("/score", b"\xff\xfe{}", 400, "not JSON"),
        ("/score", [], 400, "not an object"),
        ("/score", {}, 422, "either"),
        ("/score", {"prompt": "a", "messages": PROMPT, "completions": ["b"]}, 422, "either"),
        ("/score", {"prompt": "a", "completions": []}, 422, "at least one"),
        ("/score", {"prompt": "a", "completions": ["b", 3]}, 422, "number 2 is int"),
        ("/score", {"prompt": 3, "completions": ["b"]}, 422, "not text"),
        ("/score", {"prompt": " ", "completions": ["b"]}, 422, "empty"),
        ("/score", {"messages": [{"role": "user"}], "completions": ["b"]}, 422, "message 1"),
        ("/score", {"prompt": "a", "completion": ["b"]}, 422, "Unknown field 'completion'"),
        ("/get_reward", {"query": "a"}, 422, "not a list"),
        ("/get_reward", {"query": ["a", "b"], "prompts": ["a"]}, 422, "one prompt for each"),
        ("/classify", {"input": 3}, 422, "not a list"),
        ("/classify", {"messages": PROMPT}, 422, "not from the assistant"),
    ],
)
def test_a_wrong_request_gets_one_sentence(server, path, body, status, message):
    assert refused(server, path, body)[0] == status
    assert message in refused(server, path, body)[1]


def test_another_path_or_method_lists_the_routes(server):
    assert ask(server, "/")[0] == 404 and "POST /score" in ask(server, "/")[2]["error"]["message"]
    assert ask(server, "/score")[0] == 405


@pytest.fixture(scope="module")
def small_server(trained):
    """The address of a server with the limits in SERVER."""
    with running("-c", SERVER, trained) as (_, address):
        yield address


def test_a_request_that_is_too_large_is_refused(small_server):
    """Limits of 20,000 bytes, 8 completions, 1,000 tokens and 300 for one completion; a token a byte here."""
    for body, output in (
        ({"prompt": "a", "completions": ["b" * 20_000]}, "over 20,000 bytes"),
        ({"prompt": "a", "completions": ["b"] * 9}, "at most 8"),
        ({"prompt": "a", "completions": ["b" * 200] * 6}, "at most 1,000"),
        ({"prompt": "a", "completions": ["b" * 300]}, "at most 300"),
    ):
        status, message = refused(small_server, "/score", body)
        assert status == 413 and output in message
    assert ask(small_server, "/score", {"prompt": "a", "completions": ["b"]})[0] == 200


def test_a_long_prompt_is_truncated_at_its_start_and_counted(server):
    for letters, trimmed in ((1_000, 0), (3_000, 1)):
        status, _, result = ask(server, "/score", {"prompt": "a" * letters, "completions": ["b"]})
        assert (status, result["trimmed"]) == (200, trimmed)


def test_a_full_queue_asks_clients_to_retry_after_a_second(small_server):
    """Two may wait. Of thirty at once some are answered, and the others are asked to retry."""
    body = {"prompt": "a" * 100, "completions": ["b" * 50] * 4}
    with ThreadPoolExecutor(30) as clients:
        answers = list(clients.map(lambda _: ask(small_server, "/score", body), range(60)))
    assert {status for status, *_ in answers} == {200, 503}
    away = next(answer for answer in answers if answer[0] == 503)
    assert away[1]["Retry-After"] == "1" and "requests are waiting" in away[2]["error"]["message"]
    assert ask(small_server, "/score", body)[0] == 200


# How it stops


def test_a_request_open_when_the_server_is_stopped_is_answered(trained):
    """SIGTERM once the server has the whole request: it answers, logs none of the texts, and exits with 0."""
    with running(LEASH, "reward", "serve", trained, "--port", "0") as (process, address):
        ask(address, "/score", {"prompt": SECRET, "completions": [SECRET]})
        ask(address, f"/score?text={SECRET.replace(' ', '+')}", {"prompt": SECRET, "completions": 3})
        body = {"prompt": SECRET * 50, "completions": [SECRET * number for number in range(1, 60)]}
        with ThreadPoolExecutor(1) as client:
            answer = client.submit(ask, address, "/score", body)
            while metric(address, "reward_in_progress") == 0 and not answer.done():
                pass
            assert not answer.done()
            process.send_signal(signal.SIGTERM)
            status, _, result = answer.result(timeout=120)
        assert status == 200 and len(result["rewards"]) == 59
        process.stdin.close()
        process.stdin = None
        out, err = process.communicate(timeout=60)
        assert process.returncode == 0, err
        assert SECRET not in out + err and "plugh" not in out + err


def test_a_port_that_is_taken_is_one_sentence(server, trained):
    port = server.rpartition(":")[2]
    command = [sys.executable, "-m", "reward", "serve", str(trained), "--port", port]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1 and f"port {port}" in done.stderr and "Traceback" not in done.stderr


def test_a_folder_that_is_no_model_is_one_sentence(tmp_path):
    done = CliRunner().invoke(app, ["serve", str(tmp_path / "nothing")])
    assert done.exit_code == 1 and "neither a local folder" in done.stderr and "Traceback" not in done.output


def test_the_default_limits_hold_a_batch_of_a_rollout():
    """128 prompts with 2,048 tokens each, at four bytes a token, is what OpenRLHF may send at once."""
    limits = Limits()
    assert limits.body >= 128 * 2_048 * 4 and limits.tokens >= 128 * 2_048 and limits.completions >= 128

import json

import pytest
from typer.testing import CliRunner

from label_data.database import open_store
from label_data.store import add_groups
from reward.__main__ import app
from reward.model import RewardModel
from reward_fixtures import planted_groups


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.setenv("WORKBENCH_DATA", str(tmp_path / "data"))
    return lambda *arguments, **options: CliRunner().invoke(app, [str(one) for one in arguments], **options)


def test_train_writes_the_folder_and_prints_the_report(run, tmp_path, tiny_backbone_folder):
    add_groups(open_store(tmp_path / "data" / "workbench.db"), planted_groups(40))  # the store by default
    done = run("train", "--out", tmp_path / "model", "--backbone", tiny_backbone_folder)
    assert done.exit_code == 0, done.output
    assert "Too few held-out prompts" in done.stdout and "Features" in done.stderr
    assert run("report", tmp_path / "model").stdout.strip() in done.stdout


def test_score_prints_rewards_and_their_order(run, trained):
    done = run("score", trained, "--prompt", "Why?", "--completion", "vvv www", "--completion", "abc abc")
    first, second = done.stdout.splitlines()
    rewards = RewardModel.load(trained).score([{"role": "user", "content": "Why?"}], ["vvv www", "abc abc"])
    assert rewards[1] > rewards[0]
    assert first == f"1. {rewards[1]:+.4f}  completion 2: abc abc"
    assert second == f"2. {rewards[0]:+.4f}  completion 1: vvv www"


def test_score_reads_json_lines_from_a_file_or_standard_input_and_writes_them(run, trained, tmp_path):
    lines = [
        {"prompt": "Why?", "completions": ["vvv www", "abc abc"]},
        {"messages": [{"role": "user", "content": "Why?"}], "completions": ["abc abc"]},
    ]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (tmp_path / "asked.jsonl").write_text(text)
    from_file = run("score", trained, tmp_path / "asked.jsonl", "--json")
    piped = run("score", trained, "-", "--json", input=text)
    assert from_file.stdout == piped.stdout
    first, second = map(json.loads, piped.stdout.splitlines())
    assert first["order"] == [2, 1]
    assert first["rewards"][1] == pytest.approx(second["rewards"][0], abs=1e-5)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "line 1"),
        ('{"prompt": "a", "completions": ["b"]}\n[]', "line 2"),
        ('{"prompt": "a", "completions": []}', "at least one text"),
        ('{"prompt": "", "completions": ["a"]}', "empty"),
        ('{"prompt": 3, "completions": ["a"]}', "not text"),
        ('{"messages": [{"role": "user"}], "completions": ["a"]}', "message 1"),
        ("", "is empty"),
    ],
)
def test_a_bad_line_is_named_before_anything_is_scored(run, trained, text, said):
    done = run("score", trained, "-", input=text)
    assert done.exit_code == 1 and done.stdout == ""
    assert said in done.stderr and "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("train", "nothing.db", "--out", "model"),
        ("score", "nothing", "--prompt", "a", "--completion", "b"),
        ("score", "nothing"),
        ("score", "nothing", "--prompt", "a"),
        ("report", "nothing"),
    ],
)
def test_what_the_person_can_put_right_is_one_sentence_and_exit_code_1(run, tmp_path, monkeypatch, arguments):
    monkeypatch.chdir(tmp_path)
    done = run(*arguments)
    assert done.exit_code == 1
    assert done.stderr.strip() and "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []

import inspect
import json
import os
import signal
import subprocess
import sys
from dataclasses import fields

import pytest
from typer.testing import CliRunner

from label_data.database.engine import open_store
from label_data.store.adding import add_groups
from label_data.versions.making import make_version
from label_data.versions.recipes import Recipe
from label_data.versions.version import models_of
from reward.__main__ import app
from reward.commands.evaluation import suspects
from reward.commands.train import train
from reward.model.model import RewardModel
from reward.settings import DEFAULTS, Settings
from reward_fixtures import planted_groups


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.setenv("WORKBENCH_DATA", str(tmp_path / "data"))
    return lambda *arguments, **options: CliRunner().invoke(app, [str(argument) for argument in arguments], **options)


def test_train_writes_the_folder_and_prints_the_report(run, tmp_path, tiny_backbone_folder):
    add_groups(open_store(tmp_path / "data" / "workbench.db"), planted_groups(40))  # the store by default
    done = run("train", "--out", tmp_path / "model", "--backbone", tiny_backbone_folder)
    assert done.exit_code == 0, done.output
    assert "Trained, but not evaluated" in done.stdout and "Features" in done.stderr
    assert run("report", tmp_path / "model").stdout.strip() in done.stdout


def test_train_on_a_version_says_so_and_the_version_knows(run, tmp_path, tiny_backbone_folder):
    store = open_store(tmp_path / "data" / "workbench.db")
    add_groups(store, planted_groups(40))
    created = make_version(store, "v1", Recipe("default", held_out=0.4))
    refused = run("train", "--out", tmp_path / "model", "--version", "v1", "--margin", "0.5")
    assert refused.exit_code == 1 and "--margin" in refused.stderr
    done = run("train", "--out", tmp_path / "model", "--version", "v1", "--backbone", tiny_backbone_folder)
    assert done.exit_code == 0, done.output
    assert f"version `v1` (sha256 `{created.sha256}`)" in done.stdout
    assert [model.folder for model in models_of(store, created)] == [str(tmp_path / "model")]
    store.dispose()


def test_score_prints_rewards_and_their_order(run, trained):
    done = run("score", trained, "--prompt", "Why?", "--completion", "vvv www", "--completion", "abc abc")
    first, second = done.stdout.splitlines()
    request = ([{"role": "user", "content": "Why?"}], ["vvv www", "abc abc"])
    rewards, deviations = RewardModel.load(trained).score_with_deviations(*request)
    assert rewards[1] > rewards[0]
    assert first == f"1. {rewards[1]:+.4f} ± {deviations[1]:.4f}  completion 2: abc abc"
    assert second == f"2. {rewards[0]:+.4f} ± {deviations[0]:.4f}  completion 1: vvv www"


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
    assert first["standard_deviations"][1] == pytest.approx(second["standard_deviations"][0], rel=1e-3)


@pytest.mark.parametrize(
    ("text", "message"),
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
def test_a_bad_line_is_named_before_anything_is_scored(run, trained, text, message):
    done = run("score", trained, "-", input=text)
    assert done.exit_code == 1 and done.stdout == ""
    assert message in done.stderr and "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("train", "nothing.db", "--out", "model"),
        ("train", "--resume", "--out", "model"),
        ("train", "nothing.db", "--out", "model", "--epochs", "0"),
        ("score", "nothing", "--prompt", "a", "--completion", "b"),
        ("score", "nothing"),
        ("score", "nothing", "--prompt", "a"),
        ("report", "nothing"),
    ],
)
def test_wrong_input_gives_one_sentence_and_exit_code_1(run, tmp_path, monkeypatch, arguments):
    monkeypatch.chdir(tmp_path)
    done = run(*arguments)
    assert done.exit_code == 1
    assert done.stderr.strip() and "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_train_by_another_method_is_stopped_and_resumed_from_the_command_line(run, tmp_path, tiny_backbone_folder):
    """A first SIGINT lets the step finish, as Ctrl+C does; the printed command resumes."""
    add_groups(open_store(tmp_path / "store.db"), planted_groups(30))
    flags = ("--method", "full", "--backbone", tiny_backbone_folder, "--epochs", 2, "--groups-per-step", 1)
    command = [sys.executable, "-m", "reward", "train", tmp_path / "store.db", "--out", tmp_path / "model", *flags]
    environment = {**os.environ, "WORKBENCH_DATA": str(tmp_path / "data")}
    started = subprocess.Popen(
        [str(argument) for argument in command], stderr=subprocess.PIPE, text=True, env=environment
    )
    output = ""
    while "Step 1 of" not in output and "Step 2 of" not in output:
        output += started.stderr.read(1)
    started.send_signal(signal.SIGINT)
    output += started.communicate(timeout=300)[1]
    assert started.returncode == 130, output
    assert f"train --resume --out {tmp_path / 'model'}" in output and "Traceback" not in output
    done = run("train", "--resume", "--out", tmp_path / "model")
    assert done.exit_code == 0, done.output
    assert "by full fine-tuning" in done.stdout
    lines = [json.loads(line) for line in (tmp_path / "model" / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == list(range(1, len(lines) + 1))


def test_every_setting_is_a_flag_with_the_same_default():
    parameters = inspect.signature(train).parameters
    for field in fields(Settings):
        default = parameters[field.name].default
        empty = field.name in ("annotator_weights", "report_to")
        assert default == (None if empty else getattr(DEFAULTS, field.name)), field.name
    others = {"store", "out", "project", "resume", "version"}
    assert parameters.keys() - {field.name for field in fields(Settings)} == others


@pytest.mark.parametrize("message", ["ana", "=1", "ana=much"])
def test_a_wrong_annotator_s_weight_is_refused(run, tmp_path, message):
    done = run("train", "--out", tmp_path / "model", "--annotator-weight", message)
    assert done.exit_code == 1 and "NAME=NUMBER" in done.stderr


def test_help_shows_every_setting_without_importing_torch(run, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    command = [sys.executable, "-c", "import sys; from reward.__main__ import app; print('torch' in sys.modules)"]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "False\n"
    text = run("train", "--help").stdout
    assert all(part in text for part in ("--annotator-weight", "--groups-per-step", "head|last-layers|lora|full|top"))


def test_relabel_keeps_its_old_name(run):
    text = run("suspects", "--help").stdout
    assert "--relabel" in text and "--ask-again" not in text
    assert "ask_again" in inspect.signature(suspects).parameters

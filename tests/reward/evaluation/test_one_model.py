"""Any checkpoint on any rankings."""

import json
import os
import signal
import subprocess
import sys

import numpy as np
import pytest
from typer.testing import CliRunner

from label_data.errors import InputError
from label_data.formats import groups as groups_format
from label_data.intervals import mean_with_interval
from label_data.sentences import say
from reward import metrics
from reward.__main__ import app
from reward.data.sides import side
from reward.evaluation.one_model import evaluate_model, learned_from, read_data, read_evaluation
from reward.evaluation.saved_rewards import saved_rewards
from reward.model.model import RewardModel
from reward.report.report import read_report
from reward_fixtures import planted_groups
from tiny_networks import tiny_decoder


class Stopped(Exception):
    pass


@pytest.fixture
def planted_file(tmp_path):
    """A file of forty prompts that the trained model never saw."""
    path = tmp_path / "fresh.jsonl"
    groups_format.write(path, planted_groups(40, seed=99))
    return path


@pytest.fixture(scope="module")
def planted_data(planted_store):
    return read_data(str(planted_store.url.database))


def test_a_model_on_its_own_store_is_evaluated_as_in_training(trained, planted_data):
    """Its training prompts are left out, so the held-out prompts remain, with the same numbers."""
    result, report = evaluate_model(str(trained), planted_data), read_report(trained)
    assert result.learned_from == report.counts.train_prompts
    assert result.counts.held_out_comparisons == report.counts.held_out_comparisons
    for name in ("accuracy", "log_loss", "prompt_shuffled", "longer_wins", "tau"):
        item, other = getattr(result.held_out, name), getattr(report.held_out, name)
        assert (item.value, item.low, item.high) == pytest.approx((other.value, other.low, other.high), abs=1e-4), name


def test_trap_10_a_model_is_not_evaluated_on_its_training_prompts(trained, planted_data):
    learned = learned_from(trained)
    fresh = side([group for group in planted_data.groups if side([group]).clusters[0] not in learned])
    assert len(learned) + fresh.prompts == 120 and not learned & set(fresh.clusters)
    everything = evaluate_model(str(trained), planted_data, include_learned=True)
    assert (everything.counts.held_out_prompts, everything.learned_from) == (120, 0)


def test_a_file_is_read_as_a_store_would_read_it(trained, planted_file, tmp_path):
    """The same prompts twice in a file are the same prompts once."""
    twice = tmp_path / "twice.jsonl"
    twice.write_text(planted_file.read_text() * 2)
    once, again = (evaluate_model(str(trained), read_data(str(path))) for path in (planted_file, twice))
    assert once.counts == again.counts and once.counts.held_out_prompts == 40
    assert once.held_out == again.held_out and once.held_out.accuracy.low > 0.6


def test_trap_17_every_measure_can_be_recomputed_from_the_saved_rewards_at_any_batch_size(
    trained, planted_file, tmp_path, monkeypatch
):
    result = evaluate_model(str(trained), read_data(str(planted_file)), tmp_path / "out")
    rows = [json.loads(line) for line in (tmp_path / "out" / "comparisons.jsonl").read_text().splitlines()]
    margins = np.array([row["reward_chosen"] - row["reward_rejected"] for row in rows])
    weights = np.array([row["weight"] for row in rows])
    accuracy = mean_with_interval(metrics.correct(margins), weights, [row["cluster"] for row in rows])
    assert accuracy == result.held_out.accuracy
    assert metrics.log_loss(margins, weights) == pytest.approx(result.held_out.log_loss.value)
    shuffled = np.array([row["shuffled_chosen"] - row["shuffled_rejected"] for row in rows])
    assert metrics.accuracy(shuffled, weights) == pytest.approx(result.held_out.prompt_shuffled.value)
    rewards = [json.loads(line) for line in (tmp_path / "out" / "rewards.jsonl").read_text().splitlines()]
    assert len(rewards) == 120 and all(row["deviation"] > 0 for row in rewards)
    assert read_evaluation(tmp_path / "out") == result
    monkeypatch.setattr("reward.evaluation.saved_rewards.tokens_at_once", lambda device, layout: 50)
    alone = evaluate_model(str(trained), read_data(str(planted_file)))
    assert alone.held_out.log_loss.value == pytest.approx(result.held_out.log_loss.value, abs=1e-5)


def test_a_stopped_evaluation_resumes_from_its_saved_rewards(trained, planted_file, tmp_path):
    """The last line is cut in the middle, as a kill might leave it."""
    data, seen = read_data(str(planted_file)), []

    def stop(done, total, message):
        if done > 50:
            raise Stopped

    with pytest.raises(Stopped):
        evaluate_model(str(trained), data, tmp_path / "out", on_progress=stop)
    kept = tmp_path / "out.unfinished" / "rewards.jsonl"
    whole = kept.read_bytes()
    kept.write_bytes(whole[:-9])
    result = evaluate_model(
        str(trained), data, tmp_path / "out", on_progress=lambda done, total, message: seen.append(message)
    )
    lines = whole.count(b"\n") - 1  # the first line says what the rewards are of
    assert say("reward.evaluation.saved", saved=lines - 1, missing=240 - lines + 1) in seen
    assert not kept.parent.exists()
    assert result.held_out.log_loss.value == pytest.approx(
        evaluate_model(str(trained), data).held_out.log_loss.value, abs=1e-5
    )


def test_saved_rewards_of_another_model_are_refused(trained, tmp_path):
    model, path = RewardModel.load(trained), tmp_path / "rewards.jsonl"
    saved_rewards(model, {}, path, {"model": "one"})
    with pytest.raises(InputError, match="another model or of other data"):
        saved_rewards(model, {}, path, {"model": "other"})
    path.write_text("something\n")
    with pytest.raises(InputError, match="not a file of saved rewards"):
        saved_rewards(model, {}, path, {"model": "one"})


def test_a_classifier_from_any_trainer_is_evaluated_and_its_training_data_is_unknown(planted_file, tmp_path, trained):
    """A network of another kind and size, saved by transformers alone, with a random head."""
    tokenizer = RewardModel.load(trained).tokenizer
    network = tiny_decoder("qwen2", vocab_size=len(tokenizer), max_position_embeddings=4_096)
    network.save_pretrained(tmp_path / "theirs")
    tokenizer.save_pretrained(tmp_path / "theirs")
    result = evaluate_model(str(tmp_path / "theirs"), read_data(str(planted_file)))
    assert result.learned_from is None and "does not record which prompts it was trained on" in result.as_markdown()
    assert 0.2 < result.held_out.accuracy.value < 0.8


def test_with_too_few_prompts_only_the_number_needed_is_reported(trained, tmp_path):
    path = tmp_path / "few.jsonl"
    groups_format.write(path, planted_groups(5, seed=99))
    result = evaluate_model(str(trained), read_data(str(path)))
    assert result.held_out is None and "5 prompts have comparisons, 20 needed" in result.as_markdown()


def test_wrong_input_is_explained(trained, tmp_path, planted_file, tiny_backbone_folder):
    with pytest.raises(InputError, match="files have no projects"):
        read_data(str(planted_file), "mine")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="exists already"):
        evaluate_model(str(trained), read_data(str(planted_file)), tmp_path / "out")
    with pytest.raises(InputError, match="labels: 2"):
        evaluate_model(str(tiny_backbone_folder), read_data(str(planted_file)))
    (tmp_path / "prompts.txt").write_text("Why?\n")
    with pytest.raises(InputError, match="no comparison"):
        evaluate_model(str(trained), read_data(str(tmp_path / "prompts.txt")))


def test_the_command_prints_the_report_and_saves_everything(trained, planted_file, tmp_path, monkeypatch):
    monkeypatch.setenv("WORKBENCH_DATA", str(tmp_path / "data"))
    done = CliRunner().invoke(app, ["evaluate", str(trained), str(planted_file), "--out", str(tmp_path / "out")])
    assert done.exit_code == 0, done.output
    assert "| on fresh.jsonl | value |" in done.stdout and "best of n by the model" in done.stdout
    assert done.stdout.strip() == (tmp_path / "out" / "report.md").read_text().strip()
    wrong = CliRunner().invoke(app, ["evaluate", str(tmp_path / "nothing"), str(planted_file)])
    assert wrong.exit_code == 1 and "neither a local folder" in wrong.stderr


def test_ctrl_c_says_how_to_resume(trained, tmp_path):
    """A SIGINT while it opens the model: the work stops at the next batch, and the same command resumes it."""
    path = tmp_path / "many.jsonl"
    groups_format.write(path, planted_groups(400, seed=5))
    command = [sys.executable, "-m", "reward", "evaluate", str(trained), str(path), "--out", str(tmp_path / "out")]
    environment = {**os.environ, "WORKBENCH_DATA": str(tmp_path / "data")}
    started = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)
    output = ""
    while "rewards" not in output:
        output += started.stderr.read(1)
    started.send_signal(signal.SIGINT)
    output += started.communicate(timeout=300)[1]
    assert started.returncode == 130, output
    assert "Run the same command again to resume" in output and "Traceback" not in output
    assert (tmp_path / "out.unfinished" / "rewards.jsonl").is_file()

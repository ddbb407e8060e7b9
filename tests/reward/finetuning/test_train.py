import json
import shutil
from contextlib import ExitStack

import numpy as np
import pytest
import torch
from transformers import AutoModel

from full_disks import KIB, refusal
from label_data.database.engine import open_store
from label_data.errors import InputError
from label_data.store.adding import add_groups
from reward.finetuning.train import fine_tune, resume_fine_tuning, unfinished_folder
from reward.model.model import RewardModel
from reward.networks.backbones import load_model
from reward.report.report import read_report
from reward.report.words import METHODS, report_markdown
from reward.settings import Settings
from reward_fixtures import planted_groups
from stock_classifier import stock_rewards

COMPLETIONS = ["abc abc abc", "vwx xyz zzz", "No.", ""]
QUICK = {"epochs": 2, "groups_per_step": 16, "learning_rate": 1e-3}


class Stopped(Exception):
    pass


def stop_at(step):
    def stop(done, total, message):
        if str(message).startswith("Step") and done == step:
            raise Stopped

    return stop


@pytest.fixture(scope="module", autouse=True)
def _own_data_folder(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WORKBENCH_DATA", str(tmp_path_factory.mktemp("data")))
        yield


@pytest.fixture(scope="module")
def tuned(planted_store, tiny_backbone_folder, tmp_path_factory):
    """The folders of the methods lora and top, trained on the planted store."""
    folder = tmp_path_factory.mktemp("tuned")
    for method in ("lora", "last-layers"):
        settings = Settings(method=method, backbone=str(tiny_backbone_folder), **QUICK)
        fine_tune(planted_store, folder / method, settings)
    return folder


@pytest.mark.parametrize("method", ["lora", "last-layers"])
def test_every_method_learns_a_planted_rule(tuned, method):
    held_out = read_report(tuned / method).held_out
    assert held_out.accuracy.low > 0.6 and held_out.over_baseline.low > 0


def test_traps_13_14_15_stock_transformers_gives_the_same_rewards_in_a_fresh_process(tuned):
    """Pipeline included, which would put a sigmoid on the reward; one label; the head is the trained one."""
    rewards = RewardModel.load(tuned / "lora").score([{"role": "user", "content": "Why?"}], COMPLETIONS)
    stock = stock_rewards(tuned / "lora", "Why?", COMPLETIONS)
    assert (stock["dtype"], stock["labels"]) == ("torch.float32", 1)
    assert rewards[0] > rewards[1]
    for way in ("right", "left", "pipeline"):
        assert stock[way] == pytest.approx(rewards, abs=1e-4), way


@pytest.mark.parametrize("method", ["lora", "last-layers"])
def test_the_folder_holds_the_whole_network_and_says_how_it_was_made(tuned, method):
    """All weights are 238,656. Of the top: the last four of six layers, the norm and the head, 64 each."""
    report = read_report(tuned / method)
    layer = 64 * 64 * 2 + 64 * 32 * 2 + 64 * 128 * 3 + 2 * 64  # queries and output, keys and values, three maps, norms
    trained = {"last-layers": 4 * layer + 64 + 64, "lora": report.tuning.trained_weights}
    assert (report.layer, report.layers, report.tuning.weights) == (6, 6, 238_656)
    assert (report.tuning.method, report.tuning.trained_weights) == (method, trained[method])
    assert f"by {METHODS[method]}: " in report_markdown(report)
    assert report_markdown(report) in (tuned / method / "README.md").read_text()
    facts = json.loads((tuned / method / "workbench.json").read_text())
    assert facts["settings"]["method"] == method and facts["data_sha256"] == report.data_sha256
    assert not unfinished_folder(tuned / method).exists()


def test_the_top_method_leaves_the_layers_below_as_they_were(tuned, tiny_backbone_folder):
    base = load_model(AutoModel, tiny_backbone_folder).state_dict()
    after = RewardModel.load(tuned / "last-layers").network.model.state_dict()
    same = {name for name in base if torch.equal(base[name], after[name])}
    assert "layers.1.mlp.up_proj.weight" in same and "embed_tokens.weight" in same
    assert "layers.2.mlp.up_proj.weight" not in same and "norm.weight" not in same


def test_too_few_validation_prompts_are_learned_from(tuned):
    """Of about 97 training prompts a tenth is fewer than 20."""
    assert read_report(tuned / "last-layers").tuning.validation_prompts == 0
    lines = [json.loads(line) for line in (tuned / "last-layers" / "log.jsonl").read_text().splitlines()]
    assert all("loss" in line for line in lines) and len(lines) == read_report(tuned / "last-layers").tuning.steps


def test_a_run_goes_on_by_the_defaults_of_the_version_that_began_it(tiny_backbone_folder, tmp_path, monkeypatch):
    store = open_store(tmp_path / "store.db")
    add_groups(store, planted_groups(40))
    with pytest.raises(Stopped):
        fine_tune(
            store,
            tmp_path / "model",
            Settings(method="last-layers", backbone=str(tiny_backbone_folder), epochs=1),
            stop_at(2),
        )
    monkeypatch.setattr("reward.settings.LEARNING_RATES", {"last-layers": 1.0})
    tuning = resume_fine_tuning(tmp_path / "model").tuning
    assert (tuning.learning_rate, tuning.steps) == (1e-4, tuning.planned_steps)


def test_a_run_that_was_stopped_or_killed_goes_on_to_the_same_model_whatever_the_store_says_by_then(
    tiny_backbone_folder, tmp_path
):
    store = open_store(tmp_path / "store.db")
    settings = Settings(method="full", backbone=str(tiny_backbone_folder), validation=0.4, **QUICK)
    add_groups(store, planted_groups(120))
    at_once = fine_tune(store, tmp_path / "at-once", settings)
    with pytest.raises(Stopped):
        fine_tune(store, tmp_path / "stopped", settings, stop_at(3))
    assert not (tmp_path / "stopped").exists()
    checkpoints = unfinished_folder(tmp_path / "stopped") / "checkpoints"
    shutil.copytree(checkpoints / "checkpoint-3", checkpoints / "checkpoint-4")  # as when killed while it is written
    for later in ("trainer_state.json", "whole"):
        (checkpoints / "checkpoint-4" / later).unlink()
    add_groups(store, planted_groups(10, seed=5))
    with pytest.raises(InputError, match="--resume --out"):
        fine_tune(store, tmp_path / "stopped", settings)
    assert resume_fine_tuning(tmp_path / "stopped") == at_once
    for name in ("model.safetensors", "report.json"):
        assert (tmp_path / "stopped" / name).read_bytes() == (tmp_path / "at-once" / name).read_bytes()
    lines = [json.loads(line) for line in (tmp_path / "stopped" / "log.jsonl").read_text().splitlines()]
    looked = {line["step"]: line["validation_log_loss"] for line in lines if "validation_log_loss" in line}
    assert at_once.tuning.validation_prompts >= 20
    assert at_once.tuning.best_step == min(looked, key=looked.get)
    assert at_once.tuning.validation_log_loss == min(looked.values())


def test_an_encoder_is_fine_tuned_and_its_folder_loads_anywhere(planted_store, tiny_encoder_folder, tmp_path):
    settings = Settings(method="full", backbone=str(tiny_encoder_folder), **QUICK)
    report = fine_tune(planted_store, tmp_path / "model", settings)
    assert report.tuning.layout == "plain" and report.held_out.accuracy.low > 0.6
    rewards = RewardModel.load(tmp_path / "model").score([{"role": "user", "content": "Why?"}], COMPLETIONS[:3])
    stock = stock_rewards(tmp_path / "model", "Why?", COMPLETIONS[:3])
    assert stock["right"] == pytest.approx(rewards, abs=1e-4) and np.ptp(rewards) > 0.1


def test_nothing_to_go_on_with_is_said(tmp_path):
    with pytest.raises(InputError, match="no unfinished run"):
        resume_fine_tuning(tmp_path / "model")


@pytest.mark.parametrize(
    "text",
    ["{", "[]", "{}", '{"report_to": [], "groups_per_step": null}', '{"report_to": [], "sidedness": 1}'],
    ids=["torn", "a list", "nothing", "a number missing", "an unknown name"],
)
def test_settings_that_this_version_cannot_go_on_with_are_named_and_nothing_is_touched(tmp_path, text):
    file = unfinished_folder(tmp_path / "model") / "settings.json"
    file.parent.mkdir()
    file.write_text(text)
    with pytest.raises(InputError) as error:
        resume_fine_tuning(tmp_path / "model")
    assert error.value.key == "reward.finetuning.unreadable_settings"
    assert (error.value.values["file"], error.value.values["folder"]) == (file, file.parent)
    assert file.read_text() == text


def test_a_folder_that_is_taken_is_refused_before_any_work(planted_store, tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="exists"):
        fine_tune(planted_store, tmp_path / "model", Settings(method="full"))
    assert not unfinished_folder(tmp_path / "model").exists()


@pytest.mark.parametrize("weights", [0, 1], ids=["nothing fits", "the weights fit, the optimizer does not"])
def test_a_checkpoint_that_the_disk_did_not_take_costs_the_steps_since_the_one_before_it(
    disk, planted_store, tiny_backbone_folder, weights
):
    out = disk.folder / "model"
    checkpoints = unfinished_folder(out) / "checkpoints"

    with ExitStack() as full:

        def fill(done, total, message):
            if str(message).startswith("Step 3 "):
                size = (checkpoints / "checkpoint-2" / "model.safetensors").stat().st_size
                full.enter_context(disk.full(16 * KIB + size * weights))

        with pytest.raises(InputError) as error:
            settings = Settings(method="full", backbone=str(tiny_backbone_folder), **QUICK)
            fine_tune(planted_store, out, settings, fill)
    assert error.value.key == "reward.finetuning.disk_full" and refusal(error)
    assert sorted(path.name for path in checkpoints.iterdir()) == ["checkpoint-2"]  # kept are every second
    tuning = resume_fine_tuning(out).tuning
    assert tuning.steps == tuning.planned_steps

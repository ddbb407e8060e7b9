import json
import shutil

import numpy as np
import pytest
from safetensors import safe_open

from full_disks import KIB, SAID, refusal
from label_data.errors import InputError
from label_data.files.whole import whole_folder
from label_data.records import user_prompt
from reward.model.model import RewardModel
from reward.networks.features import compute_features, encode, open_backbone
from stock_classifier import stock_rewards

PROMPT = user_prompt("Can pigs fly?")
COMPLETIONS = ["No.", "Yes, if they are thrown hard enough.", "aaaa bbbb <|end|> cccc", "", "<|none|>"]


def test_traps_13_15_stock_transformers_gives_the_same_rewards_in_a_fresh_process(trained):
    rewards = RewardModel.load(trained).score(PROMPT.messages, COMPLETIONS)
    stock = stock_rewards(trained, PROMPT.messages[0].content, COMPLETIONS)
    assert np.ptp(rewards) > 0.1
    assert (stock["dtype"], stock["labels"]) == ("torch.float32", 1)
    for way in ("right", "left", "pipeline"):
        assert stock[way] == pytest.approx(rewards, abs=1e-5), way


def test_trap_18_a_reward_depends_neither_on_the_other_completions_nor_on_their_order(trained):
    model = RewardModel.load(trained)
    together = model.score(PROMPT.messages, COMPLETIONS)
    alone = [model.score(PROMPT.messages, [text])[0] for text in COMPLETIONS]
    assert together == pytest.approx(alone, abs=1e-5)
    assert model.score(PROMPT.messages, COMPLETIONS[::-1])[::-1] == pytest.approx(together, abs=1e-5)
    assert model.score(PROMPT.messages, []) == []


def test_messages_may_be_records_or_objects(trained):
    model = RewardModel.load(trained)
    assert model.score(PROMPT.as_dicts, ["No."]) == model.score(PROMPT.messages, ["No."])


def test_a_reward_is_the_product_of_the_head_and_the_features_of_its_layer(tiny_backbone_folder):
    backbone = open_backbone(str(tiny_backbone_folder))
    weights = np.random.default_rng(0).normal(size=64)
    inputs = [encode(backbone.tokenizer, PROMPT.messages, text) for text in COMPLETIONS]
    features = compute_features(backbone, inputs)
    for position, layer in enumerate(backbone.layers):
        rewards = RewardModel.from_head(backbone, layer, weights).rewards(inputs)
        assert rewards == pytest.approx(features[:, position] @ weights, abs=1e-4)


def test_the_folder_has_the_layers_below_the_head_and_the_head_in_float32(trained):
    config = json.loads((trained / "config.json").read_text())
    layers = json.loads((trained / "report.json").read_text())["layer"]
    assert config["num_hidden_layers"] == layers < 6
    assert (config["problem_type"], config["dtype"]) == ("regression", "float32")
    assert config["pad_token_id"] == 0
    with safe_open(trained / "model.safetensors", "pt") as weights:
        kinds = {name: str(weights.get_tensor(name).dtype) for name in weights.keys()}  # noqa: SIM118 - no mapping
    assert kinds.pop("score.weight") == "torch.float32"
    assert set(kinds.values()) == {"torch.bfloat16"}  # lossless here, and half the size
    assert not any(f"layers.{layers}." in name for name in kinds)


def test_a_loaded_and_saved_model_gives_the_same_rewards(trained, tmp_path):
    model = RewardModel.load(trained)
    model.save(tmp_path)
    again = RewardModel.load(tmp_path).score(PROMPT.messages, COMPLETIONS)
    assert again == model.score(PROMPT.messages, COMPLETIONS)


def test_trap_6_a_folder_with_a_changed_chat_template_is_refused(trained, tmp_path):
    folder = shutil.copytree(trained, tmp_path / "changed")
    with (folder / "chat_template.jinja").open("a") as file:
        file.write("Be kind.")
    with pytest.raises(InputError, match="chat template is not the one"):
        RewardModel.load(folder)


def test_a_folder_without_a_reward_model_is_refused(tmp_path, tiny_backbone_folder):
    with pytest.raises(InputError, match="no such folder"):
        RewardModel.load(tmp_path / "nothing")
    with pytest.raises(InputError, match=r"no config\.json"):
        RewardModel.load(tmp_path)
    with pytest.raises(InputError, match="labels: 2"):
        RewardModel.load(tiny_backbone_folder)


def test_a_model_that_does_not_fit_on_the_disk_leaves_no_folder(disk, tiny_backbone_folder):
    backbone = open_backbone(str(tiny_backbone_folder))
    model = RewardModel.from_head(backbone, backbone.layers[0], np.ones(64, np.float32))
    runs = disk.folder / "runs"
    runs.mkdir()
    for room in (0, 4 * KIB, 64 * KIB, 128 * KIB):
        with disk.full(room), pytest.raises(InputError) as error, whole_folder(runs / "model") as folder:
            model.save(folder)
        assert SAID in refusal(error)
        assert list(runs.iterdir()) == []
    with whole_folder(runs / "model") as folder:
        model.save(folder)
    assert len(RewardModel.load(runs / "model").score(PROMPT.messages, COMPLETIONS)) == len(COMPLETIONS)

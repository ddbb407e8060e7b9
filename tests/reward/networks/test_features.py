import sqlite3
import threading
from contextlib import closing

import numpy as np
import pytest

from full_disks import KIB, refusal
from label_data.errors import InputError
from label_data.records import Message
from reward.networks.batches import Input, encode
from reward.networks.features import cache_features, compute_features, input_features, missing_features, open_backbone
from reward_fixtures import planted_groups

ASKED = (Message("user", "Can pigs fly?"),)


@pytest.fixture(scope="module")
def backbone(tiny_backbone_folder):
    return open_backbone(str(tiny_backbone_folder))


def inputs_of(backbone, *completions):
    return [encode(backbone.tokenizer, ASKED, completion) for completion in completions]


class Stopped(Exception):
    pass


def stop_at_once(done, total, message):
    if done:
        raise Stopped


# Tokens to features


def test_features_do_not_depend_on_what_else_is_in_the_batch(backbone):
    inputs = inputs_of(backbone, "No.", "Yes, if thrown hard enough, though not for long.", "Pigs have no wings.")
    together = compute_features(backbone, inputs)
    backwards = compute_features(backbone, inputs[::-1])[::-1]
    for number, item in enumerate(inputs):
        alone = compute_features(backbone, [item])[0]
        assert together[number] == pytest.approx(alone, abs=1e-5)
        assert backwards[number] == pytest.approx(alone, abs=1e-5)
    assert np.abs(together[0] - together[1]).max() > 0.01


def test_completions_that_share_their_prompt_have_the_same_features_as_alone(backbone):
    """Two prompts of different length, with three completions and one: the prompts are read once and padded."""
    long = (Message("user", "Tell me all about the flight of pigs."),)
    inputs = [
        *inputs_of(backbone, "No.", "Yes, if thrown hard enough.", "Pigs have no wings."),
        encode(backbone.tokenizer, long, "Pigs do not fly."),
    ]
    assert len({item.prompt for item in inputs}) == 2
    shared = compute_features(backbone, inputs)
    for features, item in zip(shared, inputs, strict=True):
        assert features == pytest.approx(compute_features(backbone, [item])[0], abs=1e-5)


def test_features_of_the_packaged_model_do_not_depend_on_sharing_the_prompt(packaged_model_folder):
    """Features go up to 25 here, and float32 has 7 digits: 30 layers agree to 1e-5 of that size."""
    backbone = open_backbone()
    inputs = inputs_of(backbone, "No.", "Yes, if thrown hard enough.")
    alone = np.concatenate([compute_features(backbone, [item]) for item in inputs])
    assert compute_features(backbone, inputs) == pytest.approx(alone, abs=1e-5 * float(np.abs(alone).max()))


def test_a_feature_is_read_at_the_last_token_even_after_pad_and_end_tokens(backbone):
    """A text that ends with the pad token has other features than the same text without it."""
    pad, end = backbone.tokenizer.pad_token_id, backbone.tokenizer.eos_token_id
    plain, inside = (10, 11, 12, 13), (10, pad, end, 13)
    longer = Input(tuple(range(20, 40)))
    for ids in (plain, inside, (*plain, pad), (*plain, end)):
        alone = compute_features(backbone, [Input(ids)])[0]
        assert compute_features(backbone, [Input(ids), longer])[0] == pytest.approx(alone, abs=1e-5)
    with_pad = compute_features(backbone, [Input((*plain, pad)), Input(plain)])
    assert np.abs(with_pad[0] - with_pad[1]).max() > 0.01


def test_the_last_candidate_layer_is_the_output_of_the_whole_network(backbone):
    import torch

    (item,) = inputs_of(backbone, "No.")
    whole = backbone.network(input_ids=torch.tensor([item.ids])).last_hidden_state[0, -1].detach().numpy()
    assert backbone.layers == (3, 4, 5, 6)
    assert compute_features(backbone, [item])[0, -1] == pytest.approx(whole, abs=1e-5)


# The cache


def test_features_are_computed_once_and_then_read_from_the_cache(backbone, tmp_path):
    cache, progress = tmp_path / "features.db", []
    inputs = inputs_of(backbone, "No.", "Yes.", "No.")
    first = input_features(backbone, inputs, cache, lambda done, total, message: progress.append((done, total)))
    again = input_features(backbone, inputs, cache, lambda done, total, message: progress.append((done, total)))
    assert progress == [(0, 2), (2, 2), (0, 0)]
    assert np.array_equal(first, again) and first.dtype == np.float32
    assert np.array_equal(first[0], first[2])


def test_stopped_work_keeps_the_features_computed_so_far(backbone, tmp_path, monkeypatch):
    monkeypatch.setattr("reward.networks.batches.BATCH_TOKENS", {"cpu": 100, "cuda": 100})
    groups, cache = planted_groups(4), tmp_path / "features.db"
    assert missing_features(groups, backbone, cache) == 12
    with pytest.raises(Stopped):
        cache_features(groups, backbone, cache, stop_at_once)
    assert 0 < missing_features(groups, backbone, cache) < 12
    cache_features(groups, backbone, cache)
    assert missing_features(groups, backbone, cache) == 0


def test_concurrent_writers_lose_nothing(backbone, tiny_backbone_folder, tmp_path):
    groups, cache, failures = planted_groups(6), tmp_path / "features.db", []

    def work(part, own_backbone):
        try:
            cache_features(part, own_backbone, cache)
        except Exception as error:
            failures.append(error)

    orders = (groups, groups[::-1], groups[2:])
    own_backbones = [open_backbone(str(tiny_backbone_folder)) for _ in orders]
    assert all(own.network for own in own_backbones)
    writers = [threading.Thread(target=work, args=pair) for pair in zip(orders, own_backbones, strict=True)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert failures == [] and missing_features(groups, backbone, cache) == 0


def test_a_file_that_is_not_a_cache_is_an_input_error_that_says_to_delete_it(backbone, tmp_path):
    (tmp_path / "features.db").write_text("not a database, but long enough to look like something" * 50)
    with pytest.raises(InputError, match=r"features\.db.*Delete the file"):
        input_features(backbone, inputs_of(backbone, "No."), tmp_path / "features.db")


def test_each_backbone_has_its_own_features(backbone, tmp_path, tiny_backbone_folder):
    import shutil

    folder = shutil.copytree(tiny_backbone_folder, tmp_path / "other")
    (folder / "chat_template.jinja").write_text((folder / "chat_template.jinja").read_text() + "{# changed #}")
    groups, cache = planted_groups(1), tmp_path / "features.db"
    cache_features(groups, backbone, cache)
    assert missing_features(groups, open_backbone(str(folder)), cache) == 3


def test_the_cache_is_one_file_of_float32_vectors(backbone, tmp_path):
    input_features(backbone, inputs_of(backbone, "No."), tmp_path / "features.db")
    rows = sqlite3.connect(tmp_path / "features.db")
    stored = rows.execute("SELECT layer, length(vector) FROM features ORDER BY layer").fetchall()
    rows.close()
    assert stored == [(3, 256), (4, 256), (5, 256), (6, 256)]  # width 64, 4 bytes each


def test_after_a_full_disk_missing_features_are_computed_again_and_saved_ones_stay(disk, backbone):
    inputs = inputs_of(backbone, *(f"No, {number}." for number in range(60)))
    expected = input_features(backbone, inputs, disk.folder / "whole.db")
    for room in (0, 16 * KIB, 48 * KIB):
        cache = disk.folder / f"{room}.db"
        input_features(backbone, inputs[:2], cache)
        with disk.full(room), pytest.raises(InputError) as error:
            input_features(backbone, inputs, cache)
        assert error.value.key == "reward.networks.cache_disk_full" and refusal(error)
        with closing(sqlite3.connect(cache)) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            assert connection.execute("SELECT count(*) FROM features").fetchone()[0] >= 2 * len(backbone.layers)
        assert np.allclose(input_features(backbone, inputs, cache), expected, atol=1e-5)

import json
from dataclasses import replace

import numpy as np
import pytest

from label_data.comparisons import split_by_prompt
from label_data.database.engine import open_store
from label_data.errors import InputError
from label_data.records import Completion, Group, Ranking, user_prompt
from label_data.settings import PACKAGED_MODEL
from label_data.store.adding import add_groups
from label_data.store.stored_groups import groups
from reward.data.sides import side
from reward.head.train import train_reward_model
from reward.model.model import RewardModel
from reward.networks.features import missing_features, open_backbone
from reward.report.measuring import data_hash, other_prompts
from reward.report.report import read_report
from reward.report.words import report_markdown
from reward_fixtures import planted_groups


class Stopped(Exception):
    pass


@pytest.fixture
def small(tmp_path, monkeypatch, tiny_backbone_folder):
    """Return a function that trains on the given number of planted prompts, in a folder of the given name."""
    monkeypatch.setenv("WORKBENCH_DATA", str(tmp_path / "data"))

    def train(prompts, name="model", **options):
        store = open_store(tmp_path / f"{prompts}.db")
        add_groups(store, planted_groups(prompts))
        return train_reward_model(store, tmp_path / name, str(tiny_backbone_folder), **options)

    return train


def test_training_on_a_planted_rule_beats_every_baseline_significantly(trained):
    held_out = read_report(trained).held_out
    assert held_out.accuracy.low > 0.7
    assert held_out.over_baseline.low > 0
    assert 0.3 < held_out.longer_wins.value < 0.7


def test_the_report_counts_what_is_in_the_store(trained):
    """120 prompts of three completions in full order: 120 rankings, three comparisons each."""
    counts = read_report(trained).counts
    assert counts.rankings == counts.train_rankings + counts.held_out_rankings == 120
    assert counts.train_prompts + counts.held_out_prompts == 120
    assert counts.train_comparisons + counts.held_out_comparisons == 360
    assert (counts.without_order, counts.tied, counts.twins, counts.trimmed) == (0, 0, 0, 0)


def test_the_saved_model_orders_completions_as_the_rule_does(trained):
    fresh = planted_groups(40, seed=99)
    model, right = RewardModel.load(trained), 0
    for group in fresh:
        best, _, worst = model.score(group.prompt.messages, [completion.text for completion in group.completions])
        right += best > worst
    assert right >= 30  # of 40; by chance one time in a thousand


def test_the_curve_ends_with_the_model_itself_on_all_training_prompts(trained):
    report = read_report(trained)
    assert [point.train_prompts for point in report.curve] == sorted(point.train_prompts for point in report.curve)
    assert report.curve[-1].train_prompts == report.counts.train_prompts
    assert report.curve[-1].accuracy == report.held_out.accuracy


def test_the_folder_says_what_it_was_made_from(trained):
    facts, report = json.loads((trained / "workbench.json").read_text()), read_report(trained)
    assert len(facts["data_sha256"]) == len(facts["template_sha256"]) == 64
    assert (facts["base_revision"], facts["seed"]) == (report.base_revision, 0)
    assert {"torch", "transformers"} <= facts["versions"].keys()
    card = (trained / "README.md").read_text()
    assert report_markdown(report) in card and facts["data_sha256"] in card
    assert "![calibration](calibration.svg)" in card


def test_the_same_store_and_seed_give_the_same_model(small, tmp_path):
    first, second = small(40, "first", seed=3), small(40, "second", seed=3)
    assert first == second
    for name in ("model.safetensors", "report.json", "README.md", "workbench.json"):
        assert (tmp_path / "first" / name).read_bytes() == (tmp_path / "second" / name).read_bytes()
    assert small(40, "third", seed=4).data_sha256 == first.data_sha256


def test_with_too_few_training_prompts_the_error_says_how_many_more_to_rank(small, tmp_path):
    with pytest.raises(InputError, match=r"needed: 10\. Rank about \d+ more prompts"):
        small(8)
    assert not (tmp_path / "model").exists()


def test_with_too_few_held_out_prompts_there_is_a_model_but_no_accuracy(small, tmp_path):
    report = small(40)
    assert report.held_out is None and report.curve == () and report.missing_prompts > 0
    assert "its accuracy is unknown" in report_markdown(report)
    assert "%" not in (tmp_path / "model" / "README.md").read_text()
    assert len(RewardModel.load(tmp_path / "model").score(user_prompt("Why?").messages, ["a", "b"])) == 2


def test_a_folder_that_is_taken_is_refused_before_any_work(small, tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="exists already"):
        small(40)
    assert [path.name for path in (tmp_path / "model").iterdir()] == ["notes.txt"]
    assert not (tmp_path / "data").exists()


def test_a_held_out_share_out_of_range_is_refused(small):
    with pytest.raises(InputError, match="between 0 and 1"):
        small(40, held_out=20)


def test_stopped_training_leaves_no_folder_but_keeps_the_features(small, tmp_path, tiny_backbone_folder):
    def stop(done, total, message):
        if message.key == "reward.head.fitting":
            raise Stopped

    with pytest.raises(Stopped):
        small(20, on_progress=stop)
    assert not (tmp_path / "model").exists()
    assert missing_features(planted_groups(20), open_backbone(str(tiny_backbone_folder))) == 0


def test_progress_counts_every_completion(small):
    calls = []
    small(40, on_progress=lambda done, total, message: calls.append((done, total)))
    counted = [(done, total) for done, total in calls if total]
    assert counted[-1][0] == counted[-1][1] >= 120


def test_trap_10_no_prompt_is_on_both_sides(planted_store):
    train, held_out = (side(part) for part in split_by_prompt(groups(planted_store)))
    assert train.prompts + held_out.prompts == 120
    assert not set(train.clusters) & set(held_out.clusters)
    ids = [{completion.id for group in data.groups for completion in group.completions} for data in (train, held_out)]
    assert not ids[0] & ids[1]


def test_comparisons_of_equal_texts_and_rankings_without_order_are_left_out():
    prompt = user_prompt("Which?")
    first, equal, other = (Completion(prompt.id, text) for text in ("same", "same ", "other"))
    shown = (first.id, equal.id, other.id)
    rankings = (
        Ranking(prompt.id, "ann", shown, ((first.id,), (equal.id,), (other.id,))),
        Ranking(prompt.id, "bob", shown, outcome="all_bad"),
    )
    data = side([Group(prompt, (first, equal, other), rankings)])
    assert [(c.chosen, c.rejected) for c in data.comparisons] == [(first.id, other.id), (equal.id, other.id)]
    assert data.rankings == 1
    assert data.weights == pytest.approx([1 / 3, 1 / 3])


def test_shuffled_prompts_are_always_different_prompts():
    planted = planted_groups(12)
    pairs = other_prompts(planted, seed=0)
    assert sorted(group.prompt.id for group, _ in pairs) == sorted(group.prompt.id for group in planted)
    assert all(group.prompt.first_turn != other.prompt.first_turn for group, other in pairs)
    assert other_prompts(planted[:1], seed=0) == []


def test_the_hash_of_the_data_does_not_depend_on_its_order():
    compared = side(planted_groups(5)).comparisons
    assert data_hash(compared) == data_hash(compared[::-1])
    assert data_hash(compared) != data_hash(compared[1:])
    assert data_hash(compared) != data_hash([replace(compared[0], weight=0.5), *compared[1:]])


def test_a_head_on_the_packaged_model_is_trained_saved_and_scores(packaged_model_folder, tmp_path, monkeypatch):
    """Sixteen prompts, answered kindly or rudely: enough to train on, too few to evaluate."""
    monkeypatch.setenv("WORKBENCH_DATA", str(tmp_path / "data"))
    things = [
        "cats",
        "rain",
        "tea",
        "chess",
        "bread",
        "trains",
        "bees",
        "snow",
        "maps",
        "soup",
        "trees",
        "kites",
        "boats",
        "salt",
        "wool",
        "jazz",
    ]
    store, ranked = open_store(tmp_path / "store.db"), []
    for thing in things:
        prompt = user_prompt(f"Tell me about {thing}.")
        kind = Completion(prompt.id, f"Of course! I love {thing}.")
        rude = Completion(prompt.id, "No. Go away, fool.")
        order = ((kind.id,), (rude.id,))
        ranked.append(Group(prompt, (kind, rude), (Ranking(prompt.id, "ann", (rude.id, kind.id), order),)))
    add_groups(store, ranked)
    report = train_reward_model(store, tmp_path / "model")
    assert (report.base_model, report.layers) == (PACKAGED_MODEL, 30)
    rewards = RewardModel.load(tmp_path / "model").score(
        user_prompt("Tell me about owls.").messages, ["No. Go away, fool.", "Of course! I love owls."]
    )
    assert np.argmax(rewards) == 1

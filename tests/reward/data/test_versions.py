"""Training on a version: exactly its rows, and the version knows of the model."""

import json
from dataclasses import replace

import pytest

from label_data.database.engine import open_store
from label_data.errors import InputError
from label_data.records import Group, Ranking
from label_data.store.adding import add_groups
from label_data.versions.making import make_version
from label_data.versions.recipes import Recipe
from label_data.versions.version import models_of, version_groups
from reward.data.versions import check_settings_for_version, training_version
from reward.finetuning.train import fine_tune, resume_fine_tuning
from reward.finetuning.training_groups import training_group, version_training_group
from reward.head.train import train_reward_model
from reward.networks.backbones import load_tokenizer
from reward.report.measuring import data_hash
from reward.report.report import read_report
from reward.settings import Settings
from reward_fixtures import planted_groups


@pytest.fixture(autouse=True)
def _own_data_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("WORKBENCH_DATA", str(tmp_path / "data"))


def with_strengths(group):
    """The planted ranking, of which the first step is clear and the second slight, and another by Ben, the same."""
    (ranking,) = group.rankings
    both = (replace(ranking, strength=(2, 1)), replace(ranking, annotator="ben", submission="", strength=(3, 3)))
    return Group(group.prompt, group.completions, tuple(Ranking(**_fields(one)) for one in both))


def _fields(ranking):
    names = ("prompt_id", "annotator", "shown", "order", "strength")
    return {name: getattr(ranking, name) for name in names}


@pytest.fixture
def store(tmp_path):
    opened = open_store(tmp_path / "store.db")
    add_groups(opened, map(with_strengths, planted_groups(130)))
    yield opened
    opened.dispose()


RECIPE = {"held_out": 0.3, "seed": 5, "aggregate": "majority", "margins": (0.5, 1.0, 1.5), "weights": "comparison"}


def pairs(some):
    return sorted((one.chosen, one.rejected, one.weight, one.margin) for group in some for one in group.comparisons)


def test_a_version_gives_both_sides_exactly_its_rows(store):
    """Of steps 2, 1 and 3, 3 the margins are 1, 0.5 and 1.5, 1.5: their means 1.25 and 1, and over both steps 2.25."""
    made = make_version(store, "v1", Recipe("default", **RECIPE))
    frozen = training_version(store, "v1")
    for side, found in zip(("train", "held_out"), frozen.sides, strict=True):
        rows = list(version_groups(store, made, side))
        assert sorted((c.chosen, c.rejected, c.weight, c.margin) for c in found.comparisons) == pairs(rows)
        assert set(found.clusters) == {one.family for one in rows}
    assert sorted(set(frozen.sides[0].margins)) == [1.0, 1.25, 2.25]
    assert set(frozen.sides[0].weights) == {1.0}


def test_a_head_learns_from_the_version_and_each_names_the_other(store, tmp_path, tiny_backbone_folder):
    made = make_version(store, "v1", Recipe("default", **RECIPE))
    add_groups(store, planted_groups(20, seed=9))  # what came since is no part of it
    report = train_reward_model(store, tmp_path / "model", str(tiny_backbone_folder), version="v1")
    frozen, counts = training_version(store, "v1"), made.manifest["counts"]
    assert report.data_sha256 == data_hash([c for one in frozen.sides for c in one.comparisons])
    assert (report.version, report.version_sha256, report.held_out_share) == ("v1", made.sha256, 0.3)
    assert report.counts.held_out_comparisons == counts["held-out comparisons"]
    assert report.counts.train_comparisons == counts["comparisons"] - counts["held-out comparisons"]
    assert report.human.agreement.value == 1 and report == read_report(tmp_path / "model")
    card = (tmp_path / "model" / "README.md").read_text()
    assert f"version `v1` of the data, sha256 `{made.sha256}`" in card
    assert "as one annotator did" in card
    assert json.loads((tmp_path / "model" / "workbench.json").read_text())["version_sha256"] == made.sha256
    (model,) = models_of(store, made)
    assert model.folder == str(tmp_path / "model") and model.summary["method"] == "head"
    assert model.summary["accuracy"] == pytest.approx(report.held_out.accuracy.value, abs=1e-4)


def test_a_margin_and_a_weight_reach_the_loss_of_fine_tuning(store, tiny_backbone_folder):
    make_version(store, "v1", Recipe("default", ties="keep", **RECIPE))
    tokenizer = load_tokenizer(tiny_backbone_folder)
    one = training_version(store, "v1").rows[0]
    found = version_training_group(one, tokenizer, Settings(method="full"))
    assert sorted((pair.weight, pair.margin, pair.strength) for pair in found.comparisons) == [
        (1.0, 1.0, 0),
        (1.0, 1.25, 0),
        (1.0, 2.25, 0),
    ]
    assert found.weight == 3.0 and found.ties == () and len(found.inputs) == 3
    assert version_training_group(replace(one, comparisons=()), tokenizer, Settings(method="full")) is None


def said(judged):
    return sorted(
        (judged.inputs[pair.first].ids, judged.inputs[pair.second].ids, round(pair.weight, 6))
        for pair in judged.comparisons
    )


def test_a_raw_version_teaches_what_the_rankings_teach(store, tiny_backbone_folder):
    make_version(store, "v1", Recipe("default"))
    tokenizer, settings = load_tokenizer(tiny_backbone_folder), Settings(method="full")
    for one in training_version(store, "v1").rows[:5]:
        from_version, from_rankings = (
            version_training_group(one, tokenizer, settings),
            training_group(one.group, tokenizer, settings),
        )

        assert said(from_version) == said(from_rankings)
        assert from_version.weight == pytest.approx(from_rankings.weight)


def test_fine_tuning_on_a_version_is_stopped_and_resumed_with_its_rows_alone(store, tmp_path, tiny_backbone_folder):
    class Stopped(Exception):
        pass

    def stop(done, total, message):
        if str(message).startswith("Step") and done == 2:
            raise Stopped

    made = make_version(store, "v1", Recipe("default", **RECIPE))
    settings = Settings(method="top", top_layers=1, backbone=str(tiny_backbone_folder), epochs=1, validation=0.4)
    with pytest.raises(Stopped):
        fine_tune(store, tmp_path / "model", settings, stop, version="v1")
    report = resume_fine_tuning(tmp_path / "model")
    assert (report.version, report.version_sha256) == ("v1", made.sha256)
    frozen = training_version(store, "v1")
    assert report.data_sha256 == data_hash([c for one in frozen.sides for c in one.comparisons])
    assert report.held_out is not None and report.tuning.validation_prompts >= 20
    assert models_of(store, made) == []
    fine_tune(store, tmp_path / "other", settings, version="v1")
    assert [model.summary["method"] for model in models_of(store, made)] == ["top"]


def test_validation_keeps_near_duplicates_together(store):
    add_groups(store, [with_strengths(one) for one in planted_groups(1, seed=3)])
    make_version(store, "v1", Recipe("default"))
    fitted, validated = training_version(store, "v1").split_validation(0.3, 1)
    assert fitted and validated
    assert not {one.family for one in fitted} & {one.family for one in validated}
    assert {one.side for one in (*fitted, *validated)} == {"train"}


@pytest.mark.parametrize(
    ("settings", "wording"),
    [
        ({"held_out": 0.3}, "Leave out: --held-out"),
        ({"margin": 0.5}, "Leave out: --margin"),
        ({"annotator_weights": {"ana": 0.5}}, "Leave out: --annotator-weight"),
        ({"loss": "plackett-luce"}, "learns from whole rankings"),
    ],
)
def test_settings_that_the_version_has_decided_are_refused(settings, wording):
    with pytest.raises(InputError, match=wording):
        check_settings_for_version(Settings(method="full", **settings))
    check_settings_for_version(Settings(method="full", seed=3, loss="davidson"))


def test_a_version_that_is_not_there_stops_training_before_any_work(store, tmp_path):
    with pytest.raises(InputError, match="v9"):
        train_reward_model(store, tmp_path / "model", version="v9")
    assert not (tmp_path / "model").exists() and not (tmp_path / "data").exists()
    with pytest.raises(InputError, match="v9"):
        fine_tune(store, tmp_path / "model", Settings(method="full"), version="v9")

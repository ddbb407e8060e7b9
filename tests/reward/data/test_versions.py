"""Training on a version of the data: it uses exactly the version's rows, and the version records the model."""

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
    """Return the group with strengths: clear and slight steps by the first annotator, and large steps by Ben."""
    (ranking,) = group.rankings
    rankings = (replace(ranking, strength=(2, 1)), replace(ranking, annotator="ben", submission="", strength=(3, 3)))
    return Group(group.prompt, group.completions, tuple(Ranking(**_fields(row)) for row in rankings))


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


def pairs(rows):
    return sorted((pair.chosen, pair.rejected, pair.weight, pair.margin) for row in rows for pair in row.comparisons)


def test_both_sides_have_exactly_the_rows_of_the_version(store):
    """Strengths 2, 1 and 3, 3 have margins 1, 0.5 and 1.5, 1.5: means 1.25 and 1, and over both steps 2.25."""
    version = make_version(store, "v1", Recipe("default", **RECIPE))
    trained_on = training_version(store, "v1")
    for side, data in zip(("train", "held_out"), trained_on.sides, strict=True):
        rows = list(version_groups(store, version, side))
        assert sorted((c.chosen, c.rejected, c.weight, c.margin) for c in data.comparisons) == pairs(rows)
        assert set(data.clusters) == {row.family for row in rows}
    assert sorted(set(trained_on.sides[0].margins)) == [1.0, 1.25, 2.25]
    assert set(trained_on.sides[0].weights) == {1.0}


def test_a_head_trains_on_the_version_and_model_and_version_refer_to_each_other(store, tmp_path, tiny_backbone_folder):
    version = make_version(store, "v1", Recipe("default", **RECIPE))
    add_groups(store, planted_groups(20, seed=9))  # added later, so not in the version
    report = train_reward_model(store, tmp_path / "model", str(tiny_backbone_folder), version="v1")
    trained_on, counts = training_version(store, "v1"), version.manifest["counts"]
    assert report.data_sha256 == data_hash([pair for side in trained_on.sides for pair in side.comparisons])
    assert (report.version, report.version_sha256, report.held_out_share) == ("v1", version.sha256, 0.3)
    assert report.counts.held_out_comparisons == counts["held-out comparisons"]
    assert report.counts.train_comparisons == counts["comparisons"] - counts["held-out comparisons"]
    assert report.human.agreement.value == 1 and report == read_report(tmp_path / "model")
    card = (tmp_path / "model" / "README.md").read_text()
    assert f"version `v1` (sha256 `{version.sha256}`)" in card
    assert "Human agreement" in card
    assert json.loads((tmp_path / "model" / "workbench.json").read_text())["version_sha256"] == version.sha256
    (model,) = models_of(store, version)
    assert model.folder == str(tmp_path / "model") and model.summary["method"] == "head"
    assert model.summary["accuracy"] == pytest.approx(report.held_out.accuracy.value, abs=1e-4)


def test_margins_and_weights_of_the_version_reach_the_loss_of_fine_tuning(store, tiny_backbone_folder):
    make_version(store, "v1", Recipe("default", ties="keep", **RECIPE))
    tokenizer = load_tokenizer(tiny_backbone_folder)
    row = training_version(store, "v1").rows[0]
    group = version_training_group(row, tokenizer, Settings(method="full"))
    assert sorted((pair.weight, pair.margin, pair.strength) for pair in group.comparisons) == [
        (1.0, 1.0, 0),
        (1.0, 1.25, 0),
        (1.0, 2.25, 0),
    ]
    assert group.weight == 3.0 and group.ties == () and len(group.inputs) == 3
    assert version_training_group(replace(row, comparisons=()), tokenizer, Settings(method="full")) is None


def pairs_by_tokens(group):
    return sorted(
        (group.inputs[pair.first].ids, group.inputs[pair.second].ids, round(pair.weight, 6))
        for pair in group.comparisons
    )


def test_a_version_without_aggregation_gives_the_same_pairs_as_the_rankings(store, tiny_backbone_folder):
    make_version(store, "v1", Recipe("default"))
    tokenizer, settings = load_tokenizer(tiny_backbone_folder), Settings(method="full")
    for row in training_version(store, "v1").rows[:5]:
        from_version, from_rankings = (
            version_training_group(row, tokenizer, settings),
            training_group(row.group, tokenizer, settings),
        )

        assert pairs_by_tokens(from_version) == pairs_by_tokens(from_rankings)
        assert from_version.weight == pytest.approx(from_rankings.weight)


def test_a_resumed_run_still_trains_on_the_rows_of_its_version(store, tmp_path, tiny_backbone_folder):
    class Stopped(Exception):
        pass

    def stop(done, total, message):
        if str(message).startswith("Step") and done == 2:
            raise Stopped

    version = make_version(store, "v1", Recipe("default", **RECIPE))
    settings = Settings(
        method="last-layers", last_layers=1, backbone=str(tiny_backbone_folder), epochs=1, validation=0.4
    )
    with pytest.raises(Stopped):
        fine_tune(store, tmp_path / "model", settings, stop, version="v1")
    report = resume_fine_tuning(tmp_path / "model")
    assert (report.version, report.version_sha256) == ("v1", version.sha256)
    trained_on = training_version(store, "v1")
    assert report.data_sha256 == data_hash([pair for side in trained_on.sides for pair in side.comparisons])
    assert report.held_out is not None and report.tuning.validation_prompts >= 20
    assert models_of(store, version) == []
    fine_tune(store, tmp_path / "other", settings, version="v1")
    assert [model.summary["method"] for model in models_of(store, version)] == ["last-layers"]


def test_near_duplicates_are_on_the_same_side_of_the_validation_split(store):
    add_groups(store, [with_strengths(group) for group in planted_groups(1, seed=3)])
    make_version(store, "v1", Recipe("default"))
    fitted, validated = training_version(store, "v1").split_validation(0.3, 1)
    assert fitted and validated
    assert not {row.family for row in fitted} & {row.family for row in validated}
    assert {row.side for row in (*fitted, *validated)} == {"train"}


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


def test_an_unknown_version_is_refused_before_any_work(store, tmp_path):
    with pytest.raises(InputError, match="v9"):
        train_reward_model(store, tmp_path / "model", version="v9")
    assert not (tmp_path / "model").exists() and not (tmp_path / "data").exists()
    with pytest.raises(InputError, match="v9"):
        fine_tune(store, tmp_path / "model", Settings(method="full"), version="v9")

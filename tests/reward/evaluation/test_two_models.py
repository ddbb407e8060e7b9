"""Two models on the same comparisons."""

import json

import pytest

from label_data.errors import InputError
from reward.evaluation.one_model import read_data
from reward.evaluation.two_models import compare_models
from reward.model.model import RewardModel


@pytest.fixture(scope="module")
def turned(trained, tmp_path_factory):
    """The folder of a model with the negated rewards of the trained model."""
    folder = tmp_path_factory.mktemp("turned")
    model = RewardModel.load(trained)
    model.network.score.weight.data *= -1
    model.save(folder)
    return folder


def test_two_models_are_shown_side_by_side_and_everything_is_kept(trained, turned, planted_store, tmp_path):
    data = read_data(str(planted_store.url.database))
    both = compare_models((str(trained), str(turned)), data, tmp_path / "both")
    assert both.paired.accuracy.value == pytest.approx(2 * both.first.held_out.accuracy.value - 1)
    assert both.paired.disagreements == both.first.held_out.accuracy.count
    assert both.paired.p < 0.01 and "**A is better than B**" in both.as_markdown()
    assert both.first.learned_from > 80 and both.second.learned_from is None
    assert both.first.counts == both.second.counts
    kept = json.loads((tmp_path / "both" / "report.json").read_text())
    assert kept["paired"]["p"] == both.paired.p
    assert (tmp_path / "both" / "second" / "rewards.jsonl").is_file()
    assert not (tmp_path / "both.unfinished").exists()


def test_a_model_is_not_compared_with_itself(trained, planted_store):
    with pytest.raises(InputError, match="named twice"):
        compare_models((str(trained), str(trained)), read_data(str(planted_store.url.database)))

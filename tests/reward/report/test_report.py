import json
import math
from dataclasses import replace

import pytest

from label_data.errors import InputError
from label_data.intervals import Estimate
from report_examples import measures, report
from reward.report.ceiling import Human
from reward.report.report import read_report, report_from
from reward.report.words import report_markdown


def test_the_baselines_are_those_counted_by_hand():
    """Chosen longer, longer, longer, shorter, equal: longer wins 3.5 of 5, shorter 1.5, and the model 3 of 5.

    Of the three longer the model gets two, of the one shorter none; the equal one it gets.
    """
    found = measures([1, 1, -1, -1, 1], [5, 5, 5, -5, 0], shuffled=[1, -1, 0, -1, -1])
    assert found.accuracy.value == pytest.approx(0.6)
    assert found.chance.value == 0.5
    assert (found.longer_wins.value, found.shorter_wins.value) == (pytest.approx(0.7), pytest.approx(0.3))
    assert found.best_baseline == "longer wins"
    assert found.over_baseline.value == pytest.approx(-0.1)
    assert (found.longer_chosen.value, found.longer_chosen.count) == (pytest.approx(2 / 3), 3)
    assert (found.shorter_chosen.value, found.shorter_chosen.count) == (0, 1)
    assert found.prompt_shuffled.value == pytest.approx(1.5 / 5)
    assert found.over_shuffled.value == pytest.approx(0.3)


def test_the_better_policy_is_a_baseline_where_policies_are_known():
    """It is right in 4 of 5, which is more than longer wins (3.5) gets; the model gets 3."""
    found = measures([1, 1, -1, -1, 1], [5, 5, 5, -5, 0], policies=[1, 1, 1, 1, -1])
    assert found.policy_wins.value == pytest.approx(0.8) and found.best_baseline == "better policy wins"
    assert found.over_baseline.value == pytest.approx(-0.2)
    assert "| accuracy: better policy wins | 0.800 |" in report_markdown(report(found))
    without = measures([1, 1, -1, -1, 1], [5, 5, 5, -5, 0])
    assert without.policy_wins.count == 0 and "policy" not in report_markdown(report(without))


def test_how_far_people_agree_and_the_version_stand_in_the_report_and_are_read_back():
    """a = 0.8: between 0.8 and (1 + sqrt(0.6)) / 2 = 0.887. A report from before either was measured says neither."""
    before = report(None)
    assert "annotators both take a side" not in report_markdown(before) and "version" not in report_markdown(before)
    old = {name: value for name, value in before.as_dict().items() if not name.startswith(("human", "version"))}
    assert report_from(json.loads(json.dumps(old))) == before
    human = Human(Estimate(0.8, 0.6, 0.9, 10, 10), 0.8, 0.887)
    found = replace(before, human=human, version="v1", version_sha256="a" * 64)
    said = report_markdown(found)
    assert "So the best possible model would order 80.0% to 88.7% as one annotator did." in said
    assert f"All of it is version `v1` of the data, sha256 `{'a' * 64}`" in said
    assert report_from(json.loads(json.dumps(found.as_dict()))) == found


def test_trap_20_a_reward_that_is_length_is_seen_to_be_so():
    assert measures([1, 2, 3, 4], [10, 20, 30, 40]).reward_length == pytest.approx(1)


def test_exact_ties_of_the_model_count_half_and_are_counted():
    found = measures([0, 0, 1, -1], [1, 1, 1, 1])
    assert (found.ties, found.accuracy.value) == (2, 0.5)


def test_the_difference_to_the_baseline_is_taken_comparison_by_comparison():
    """A model that is right exactly where length is right differs from it by nothing, with no doubt left."""
    same = measures([1] * 60 + [-1] * 40, [1] * 60 + [-1] * 40)
    assert (same.over_baseline.value, same.over_baseline.low, same.over_baseline.high) == (0, 0, 0)
    assert same.accuracy.high - same.accuracy.low > 0.15


def test_what_is_written_as_json_is_read_back_the_same(tmp_path):
    whole = report(measures([1, 1, -1, 1], [1, 2, 3, -4]))
    text = json.dumps(whole.as_dict(), allow_nan=False)
    assert report_from(json.loads(text)) == whole
    (tmp_path / "report.json").write_text(text)
    assert read_report(tmp_path) == whole


def test_an_estimate_in_a_report_keeps_the_keys_that_earlier_versions_wrote():
    accuracy = report(measures([1, 1, -1, 1], [1, 2, 3, -4])).as_dict()["held_out"]["accuracy"]
    assert list(accuracy) == ["value", "low", "high", "comparisons", "prompts"] and accuracy["comparisons"] == 4


def test_a_measure_without_data_is_null_in_json_and_said_in_words():
    whole = report(measures([1, 1], [5, 5]))
    assert whole.as_dict()["held_out"]["shorter_chosen"]["value"] is None
    assert math.isnan(report_from(whole.as_dict()).held_out.shorter_chosen.value)
    assert "| accuracy where the shorter was chosen | no data |  | 0 | 0 |" in report_markdown(whole)


def test_a_folder_without_report_is_an_error_that_names_it(tmp_path):
    with pytest.raises(InputError, match=r"report\.json"):
        read_report(tmp_path)
    (tmp_path / "report.json").write_text('{"counts": {}}')
    with pytest.raises(InputError, match=r"report\.json"):
        read_report(tmp_path)


def test_with_enough_held_out_prompts_none_are_missing():
    assert report(None).missing_prompts == 0

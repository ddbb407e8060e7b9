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


def test_the_baselines_are_as_counted_by_hand():
    """Chosen longer, longer, longer, shorter, equal: longer wins 3.5 of 5, shorter 1.5, and the model 3 of 5.

    Of the three longer the model gets two, of the one shorter none; the equal one it gets.
    """
    result = measures([1, 1, -1, -1, 1], [5, 5, 5, -5, 0], shuffled=[1, -1, 0, -1, -1])
    assert result.accuracy.value == pytest.approx(0.6)
    assert result.chance.value == 0.5
    assert (result.longer_wins.value, result.shorter_wins.value) == (pytest.approx(0.7), pytest.approx(0.3))
    assert result.best_baseline == "longer wins"
    assert result.over_baseline.value == pytest.approx(-0.1)
    assert (result.longer_chosen.value, result.longer_chosen.count) == (pytest.approx(2 / 3), 3)
    assert (result.shorter_chosen.value, result.shorter_chosen.count) == (0, 1)
    assert result.prompt_shuffled.value == pytest.approx(1.5 / 5)
    assert result.over_shuffled.value == pytest.approx(0.3)


def test_the_stronger_policy_is_a_baseline_where_policies_are_known():
    """It is right in 4 of 5, which is more than longer wins (3.5) gets; the model gets 3."""
    result = measures([1, 1, -1, -1, 1], [5, 5, 5, -5, 0], policies=[1, 1, 1, 1, -1])
    assert result.policy_wins.value == pytest.approx(0.8) and result.best_baseline == "better policy wins"
    assert result.over_baseline.value == pytest.approx(-0.2)
    assert "| accuracy: stronger policy wins | 0.800 |" in report_markdown(report(result))
    without = measures([1, 1, -1, -1, 1], [5, 5, 5, -5, 0])
    assert without.policy_wins.count == 0 and "policy" not in report_markdown(report(without))


def test_human_agreement_and_the_version_are_in_the_report_and_are_read_back():
    """a = 0.8: between 0.8 and (1 + sqrt(0.6)) / 2 = 0.887. An old report has neither."""
    before = report(None)
    assert "Human" not in report_markdown(before) and "version" not in report_markdown(before)
    old = {name: value for name, value in before.as_dict().items() if not name.startswith(("human", "version"))}
    assert report_from(json.loads(json.dumps(old))) == before
    human = Human(Estimate(0.8, 0.6, 0.9, 10, 10), 0.8, 0.887)
    result = replace(before, human=human, version="v1", version_sha256="a" * 64)
    text = report_markdown(result)
    assert "the best possible model would match one annotator on 80.0% to 88.7%." in text
    assert f"Trained and evaluated on version `v1` (sha256 `{'a' * 64}`)" in text
    assert report_from(json.loads(json.dumps(result.as_dict()))) == result


def test_trap_20_a_reward_that_equals_length_is_recognised():
    assert measures([1, 2, 3, 4], [10, 20, 30, 40]).reward_length == pytest.approx(1)


def test_exact_ties_of_the_model_count_half_and_are_counted():
    result = measures([0, 0, 1, -1], [1, 1, 1, 1])
    assert (result.ties, result.accuracy.value) == (2, 0.5)


def test_the_gain_over_the_baseline_is_computed_comparison_by_comparison():
    """A model that is right exactly where length is right has a gain of 0 with an interval of width 0."""
    same = measures([1] * 60 + [-1] * 40, [1] * 60 + [-1] * 40)
    assert (same.over_baseline.value, same.over_baseline.low, same.over_baseline.high) == (0, 0, 0)
    assert same.accuracy.high - same.accuracy.low > 0.15


def test_a_report_written_as_json_is_read_back_unchanged(tmp_path):
    whole = report(measures([1, 1, -1, 1], [1, 2, 3, -4]))
    text = json.dumps(whole.as_dict(), allow_nan=False)
    assert report_from(json.loads(text)) == whole
    (tmp_path / "report.json").write_text(text)
    assert read_report(tmp_path) == whole


def test_an_estimate_in_a_report_keeps_the_keys_that_earlier_versions_wrote():
    accuracy = report(measures([1, 1, -1, 1], [1, 2, 3, -4])).as_dict()["held_out"]["accuracy"]
    assert list(accuracy) == ["value", "low", "high", "comparisons", "prompts"] and accuracy["comparisons"] == 4


def test_a_measure_without_data_is_null_in_json_and_no_data_in_the_table():
    whole = report(measures([1, 1], [5, 5]))
    assert whole.as_dict()["held_out"]["shorter_chosen"]["value"] is None
    assert math.isnan(report_from(whole.as_dict()).held_out.shorter_chosen.value)
    assert "| accuracy when the shorter one was preferred | no data |  | 0 | 0 |" in report_markdown(whole)


def test_a_folder_without_report_is_an_error_that_names_it(tmp_path):
    with pytest.raises(InputError, match=r"report\.json"):
        read_report(tmp_path)
    (tmp_path / "report.json").write_text('{"counts": {}}')
    with pytest.raises(InputError, match=r"report\.json"):
        read_report(tmp_path)


def test_with_enough_held_out_prompts_none_are_missing():
    assert report(None).missing_prompts == 0


def test_a_report_of_the_first_version_is_read_with_defaults_for_what_it_lacks(tmp_path):
    """It has neither tau, parts, best_of nor policy_wins, calls counts "comparisons", and has a name now unknown."""
    whole = report(measures([1, 1, -1, 1], [1, 2, 3, -4]))
    values = json.loads(json.dumps(whole.as_dict()))
    for name in ("tau", "parts", "best_of", "policy_wins"):
        del values["held_out"][name]
    del values["counts"]["tests"]
    assert values["held_out"]["accuracy"].keys() == {"value", "low", "high", "comparisons", "prompts"}
    assert report_from(values | {"gone": 1}) == whole

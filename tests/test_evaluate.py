import json
import math
from dataclasses import replace

import numpy as np
import pytest

from label_data.records import InputError
from reward.ceiling import Human
from reward.evaluate import (
    Counts,
    CurvePoint,
    Report,
    held_out_measures,
    read_report,
    report_from,
)
from reward.metrics import Estimate
from reward.report_text import report_markdown

COUNTS = Counts(
    rankings=130,
    without_order=2,
    tied=3,
    twins=1,
    trimmed=4,
    train_prompts=100,
    train_rankings=101,
    train_comparisons=300,
    held_out_prompts=25,
    held_out_rankings=25,
    held_out_comparisons=75,
)


def measures(margins, longer, shuffled=None, weights=None, policies=None):
    """Return the measures of comparisons, one a prompt, whose chosen text is `longer` characters longer."""
    margins, longer = np.asarray(margins, dtype=float), np.asarray(longer, dtype=float)
    zeros = np.zeros_like(margins)
    return held_out_measures(
        chosen=margins,
        rejected=zeros,
        shuffled_margins=zeros if shuffled is None else np.asarray(shuffled, dtype=float),
        chosen_lengths=100 + longer,
        rejected_lengths=100 + zeros,
        weights=np.ones_like(margins) if weights is None else np.asarray(weights, dtype=float),
        clusters=[str(number) for number in range(len(margins))],
        centred_rewards=margins,
        centred_lengths=longer,
        policy_margins=None if policies is None else np.asarray(policies, dtype=float),
    )


def report(held_out, counts=COUNTS):
    return Report(
        base_model="packaged:SmolLM2-135M-Instruct",
        base_revision="0123456789abcdef",
        layer=25,
        layers=30,
        regularisation=0.001,
        cross_validated=0.65,
        seed=0,
        held_out_share=0.2,
        data_sha256="d" * 64,
        template_sha256="e" * 64,
        counts=counts,
        held_out=held_out,
        curve=(CurvePoint(100, Estimate(0.6, 0.5, 0.7, 75, 25), 0.66),) if held_out else (),
    )


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
    assert (found.longer_chosen.value, found.longer_chosen.comparisons) == (pytest.approx(2 / 3), 3)
    assert (found.shorter_chosen.value, found.shorter_chosen.comparisons) == (0, 1)
    assert found.prompt_shuffled.value == pytest.approx(1.5 / 5)
    assert found.over_shuffled.value == pytest.approx(0.3)


def test_the_better_policy_is_a_baseline_where_policies_are_known():
    """It is right in 4 of 5, which is more than longer wins (3.5) gets; the model gets 3."""
    found = measures([1, 1, -1, -1, 1], [5, 5, 5, -5, 0], policies=[1, 1, 1, 1, -1])
    assert found.policy_wins.value == pytest.approx(0.8) and found.best_baseline == "better policy wins"
    assert found.over_baseline.value == pytest.approx(-0.2)
    assert "| accuracy: better policy wins | 0.800 |" in report_markdown(report(found))
    without = measures([1, 1, -1, -1, 1], [5, 5, 5, -5, 0])
    assert without.policy_wins.comparisons == 0 and "policy" not in report_markdown(report(without))


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

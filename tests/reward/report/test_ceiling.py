"""Human agreement and the ceiling it puts on any model's accuracy."""

import math
from dataclasses import replace

import pytest

from label_data.records import Group
from planted_people import judged
from reward.report.ceiling import human_agreement
from reward.report.words import human_verdict


def test_the_ceiling_follows_from_the_agreements_counted_by_hand():
    """Ana and Ben agree on eight prompts, differ on two, and of one more Ben ties: 8 of the 10 where both took a side.

    a = 0.8, so the best possible model is right in 0.8 to (1 + sqrt(0.6)) / 2 = 0.887 of one annotator's comparisons.
    """
    groups = [judged(f"q{number}", {"ana": "a>b", "ben": "a>b" if number < 8 else "b>a"}) for number in range(10)]
    groups.append(judged("tied", {"ana": "a>b", "ben": "a=b"}))
    agreement = human_agreement(groups)
    assert (agreement.agreement.value, agreement.agreement.count) == (pytest.approx(0.8), 10)
    assert (agreement.low, agreement.high) == (pytest.approx(0.8), pytest.approx((1 + math.sqrt(0.6)) / 2))
    assert agreement.agreement.low < 0.8 < agreement.agreement.high
    verdict = human_verdict(agreement)
    assert verdict.key == "reward.report.human"
    assert "both take a side of a pair pick the same one in 80.0% of 10 cases" in str(verdict)
    assert str(verdict).endswith("the best possible model would match one annotator on 80.0% to 88.7%.")


def test_without_overlapping_rankings_the_ceiling_is_unknown():
    agreement = human_agreement([judged("q", {"ana": "a>b"}), judged("r", {"ben": "a>b"})])
    assert math.isnan(agreement.agreement.value) and math.isnan(agreement.low) and math.isnan(agreement.high)
    assert human_verdict(agreement).key == "reward.report.human_none"


def test_annotators_who_contradict_each_other_give_no_ceiling():
    agreement = human_agreement([judged(f"q{number}", {"ana": "a>b", "ben": "b>a"}) for number in range(6)])
    assert agreement.agreement.value == 0 and math.isnan(agreement.high)
    assert human_verdict(agreement).key == "reward.report.human_contradict"


def test_rankings_that_test_annotators_do_not_count():
    (group,) = (judged("q", {"ana": "a>b", "ben": "a>b"}),)
    ana, ben = group.rankings
    tested = Group(group.prompt, group.completions, (ana, replace(ben, purpose="gold")))
    assert human_agreement([group]).agreement.count == 1
    assert human_agreement([tested]).agreement.count == 0

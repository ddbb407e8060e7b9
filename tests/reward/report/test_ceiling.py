"""How far people agree, beside a model's accuracy."""

import math
from dataclasses import replace

import pytest

from label_data.records import Group
from planted_people import judged
from reward.report.ceiling import human_agreement, human_verdict


def test_the_ceiling_is_that_of_the_meetings_counted_by_hand():
    """Ana and Ben agree on eight prompts, differ on two, and of one more Ben ties: 8 of the 10 where both took a side.

    a = 0.8, so the best possible model is right in 0.8 to (1 + sqrt(0.6)) / 2 = 0.887 of one annotator's comparisons.
    """
    groups = [judged(f"q{number}", {"ana": "a>b", "ben": "a>b" if number < 8 else "b>a"}) for number in range(10)]
    groups.append(judged("tied", {"ana": "a>b", "ben": "a=b"}))
    found = human_agreement(groups)
    assert (found.agreement.value, found.agreement.count) == (pytest.approx(0.8), 10)
    assert (found.low, found.high) == (pytest.approx(0.8), pytest.approx((1 + math.sqrt(0.6)) / 2))
    assert found.agreement.low < 0.8 < found.agreement.high
    said = human_verdict(found)
    assert said.startswith("Where two annotators both take a side of the same pair, it is the same one in 80.0% of 10")
    assert said.endswith("So the best possible model would order 80.0% to 88.7% as one annotator did.")


def test_without_overlap_it_is_said_that_nobody_knows():
    found = human_agreement([judged("q", {"ana": "a>b"}), judged("r", {"ben": "a>b"})])
    assert math.isnan(found.agreement.value) and math.isnan(found.low) and math.isnan(found.high)
    assert human_verdict(found).startswith("No two annotators took a side of the same pair")


def test_people_who_contradict_each_other_are_no_ceiling():
    found = human_agreement([judged(f"q{number}", {"ana": "a>b", "ben": "b>a"}) for number in range(6)])
    assert found.agreement.value == 0 and math.isnan(found.high)
    assert "more often than coins would" in human_verdict(found)


def test_tests_of_annotators_are_no_meetings():
    (group,) = (judged("q", {"ana": "a>b", "ben": "a>b"}),)
    ana, ben = group.rankings
    tested = Group(group.prompt, group.completions, (ana, replace(ben, purpose="gold")))
    assert human_agreement([group]).agreement.count == 1
    assert human_agreement([tested]).agreement.count == 0

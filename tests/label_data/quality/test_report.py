"""One report with everything: what it holds, that it is JSON, and what makes no difference to it."""

import json
from dataclasses import fields

import pytest

from label_data.quality.agreement import human_ceiling
from label_data.quality.report import Quality, quality
from label_data.records import Group
from planted_people import careful, judged, order_untold, planted


@pytest.fixture(scope="module")
def found():
    people = {"ana": careful(), "ben": careful(), "cem": careful(2.0)}
    return quality(planted(people, prompts=60, completions=3, ties=0.5))


def numbers(value):
    """Every estimate in a JSON report."""
    if isinstance(value, dict):
        if "prompts" in value and "low" in value:
            yield value
        for one in value.values():
            yield from numbers(one)
    elif isinstance(value, list):
        for one in value:
            yield from numbers(one)


def test_the_report_counts_what_it_rests_on(found):
    """Three people, three pairs and three meetings of two people a pair on each of 60 prompts."""
    assert found.counts["rankings"] == 180 and found.counts["judged pairs"] == 540
    assert found.counts["meetings of two annotators on a pair"] == found.agreement.same.count == 540
    assert found.ceiling == human_ceiling(found.agreement.decided.value)
    assert set(found.by_annotator) == set(found.weights) == {"ana", "ben", "cem"}


def test_the_report_counts_the_rankings_whose_order_on_the_screen_is_not_known(found):
    """Ten of thirty prompts are ranked here, by two people each; nothing but places is lost on the imported ones."""
    assert found.counts["rankings of no known order shown"] == 0 and found.unknown_order is None
    groups = planted({"ana": careful(), "ben": careful()}, prompts=30)
    mixed = quality([*groups[:10], *map(order_untold, groups[10:])])
    assert str(mixed.unknown_order).startswith("Display order is unknown for 40 of 60 rankings,")
    assert repr(mixed.position) == repr(quality(groups[:10]).position)
    assert repr((mixed.agreement, mixed.length)) == repr((quality(groups).agreement, quality(groups).length))


def test_where_no_order_is_known_no_place_has_a_number():
    result = quality(map(order_untold, planted({"ana": careful(), "ben": careful()}, prompts=30)))
    report = json.loads(json.dumps(result.as_dict(), allow_nan=False))
    assert report["position"]["overall"]["rate"]["value"] is None and report["position"]["by_annotator"] == {}
    assert report["pull"]["shown_first"]["value"] is None
    assert (report["places"], report["straight_lines"]) == ({}, {})


def test_every_number_has_its_count_and_its_interval_or_none_at_all(found):
    text = json.dumps(found.as_dict(), allow_nan=False)
    report = json.loads(text)
    assert report["format"] == 1 and set(report) == {"format", *(field.name for field in fields(Quality))}
    every = list(numbers(report))
    assert len(every) > 80
    for one in every:
        assert set(one) == {"value", "low", "high", "count", "prompts"}
        assert one["low"] is None or one["low"] <= one["value"] <= one["high"]


def test_the_order_of_prompts_and_rankings_makes_no_difference(found):
    people = {"ana": careful(), "ben": careful(), "cem": careful(2.0)}
    groups = [
        Group(group.prompt, group.completions, group.rankings[::-1])
        for group in planted(people, prompts=60, completions=3, ties=0.5)[::-1]
    ]
    turned = quality(groups)
    assert turned.agreement.alpha.value == pytest.approx(found.agreement.alpha.value)
    assert turned.position.overall.rate.value == found.position.overall.rate.value
    for name, one in turned.reliability.items():
        assert one.right.value == pytest.approx(found.reliability[name].right.value, abs=1e-3)


def test_the_same_rankings_and_seed_give_the_same_report(found):
    people = {"ana": careful(), "ben": careful(), "cem": careful(2.0)}
    again = quality(planted(people, prompts=60, completions=3, ties=0.5))
    assert json.dumps(again.as_dict()) == json.dumps(found.as_dict())


@pytest.mark.parametrize("groups", [[], [judged("q", {"ana": "skip"})], [judged("q", {"ana": "a>b"})]])
def test_hardly_any_rankings_give_a_report_all_the_same(groups):
    result = quality(groups)
    assert json.loads(json.dumps(result.as_dict(), allow_nan=False))["agreement"]["alpha"]["value"] is None

"""A quality report says what to do, names who is meant, and accuses nobody by chance."""

import re
from dataclasses import replace

import pytest

from label_data.quality.report import quality
from label_data.sentences import say
from planted_people import careful, coin, judged, longwinded, planted, upwards


def about(report, name):
    return [finding.about for finding in report.findings if finding.measurement.key == f"label_data.quality.{name}"]


def test_each_planted_habit_is_found_in_whoever_has_it_and_in_nobody_else():
    people = {
        "ana": careful(),
        "ben": careful(),
        "cem": coin(),
        "dan": upwards(2.0),
        "eve": longwinded(3.0),
        "fay": careful(),
    }
    result = quality(planted(people, prompts=150, completions=3, ties=0.3, seconds={"fay": 0.3}))
    assert about(result, "earlier_wins") == ["", "dan"]
    assert about(result, "as_shown") == ["dan"]
    assert about(result, "unreliable") == ["cem"]
    assert about(result, "too_fast") == about(result, "pace") == ["fay"]
    assert "eve" in about(result, "prefers_feature") and "ana" not in about(result, "prefers_feature")
    assert not {"ana", "ben"} & {one.about for one in result.findings}
    for finding in result.findings:
        assert str(finding.recommendation).endswith(".") and str(finding.measurement).endswith(".")


def test_of_stores_without_any_fault_few_have_a_finding_that_names_somebody():
    """Three careful annotators; every kind of finding names somebody in at most one of twenty stores."""
    stores = [
        quality(planted({name: careful() for name in ("ana", "ben", "cem")}, prompts=40, ties=0.5, seed=seed))
        for seed in range(6)
    ]
    assert sum(any(finding.about for finding in result.findings) for result in stores) <= 1


def test_too_little_in_common_is_said_rather_than_judged():
    result = quality([judged(f"q{number}", {"ana": "a>b"}) for number in range(20)])
    assert about(result, "few_meetings") == [""]
    assert "Two annotators compared the same pair 0 times, too few to measure agreement." in map(
        str, (finding.measurement for finding in result.findings)
    )


def test_people_who_differ_over_ties_alone_are_told_so():
    """Ana and Ben never contradict each other, but Ben ties half of what Ana does not."""
    groups = [
        judged(
            f"q{number}",
            {
                "ana": "a>b" if number % 4 < 2 else "b>a",
                "ben": "a=b" if number % 2 else ("a>b" if number % 4 < 2 else "b>a"),
            },
        )
        for number in range(80)
    ]
    result = quality(groups)
    assert result.agreement.decided.value == 1
    assert about(result, "tie_gap") == [""]
    assert say("label_data.quality.do_explain_ties") in [finding.recommendation for finding in result.findings]


def meant_as(group, *purposes):
    rankings = zip(group.rankings, purposes, strict=True)
    return replace(group, rankings=tuple(replace(one, purpose=purpose) for one, purpose in rankings))


def test_low_agreement_changed_minds_and_wrong_gold_are_found():
    coins = planted({"ana": coin(), "ben": coin()}, prompts=150)
    turned = ["b>a" if number % 2 else "a>b" for number in range(40)]
    again = [judged(f"again {n}", {"ana": "a>b", "ana/2": message}) for n, message in enumerate(turned)]
    gold = [judged(f"gold {n}", {"right": "a>b", "ana": message}) for n, message in enumerate(turned)]
    tests = [meant_as(group, "", "repeat") for group in again] + [meant_as(group, "key", "gold") for group in gold]
    result = quality([*coins, *tests])
    assert about(result, "low_agreement") == [""]
    assert about(result, "low_self_agreement") == about(result, "gold_wrong") == ["ana"]


def test_who_skips_and_who_ties_far_more_than_the_others_is_found():
    answers = {"ana": "a>b", "ben": "b>a"}
    groups = [
        judged(f"q{n}", {**answers, "cem": "skip" if n % 2 else "a>b", "dan": "a=b" if n % 3 else "a>b"})
        for n in range(90)
    ]
    result = quality(groups)
    assert about(result, "no_order") == ["cem"] and "dan" in about(result, "ties_unlike_others")


@pytest.mark.parametrize("language", ["zh", "ja"])
def test_findings_come_in_the_language_of_their_reader(language):
    people = {"ana": careful(), "ben": careful(), "cem": coin(), "dan": upwards(2.0), "eve": longwinded(3.0)}
    result = quality(planted(people, prompts=150, completions=3, ties=0.3, seconds={"ben": 0.3}))
    sentences = [sentence for finding in result.findings for sentence in (finding.measurement, finding.recommendation)]
    assert len(sentences) > 10
    for sentence in sentences:
        assert not re.search("[A-Za-z]{4}", re.sub("alpha|Markdown", "", sentence.render(language)))

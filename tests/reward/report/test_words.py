from dataclasses import replace

from report_examples import COUNTS, measures, report
from reward.report.report import report_from
from reward.report.words import prompt_verdict, report_markdown, verdict


def test_the_verdict_is_better_only_if_the_interval_says_so():
    """With lengths equal chance is the best baseline: 60 of 100 is more, 52 may be luck, 30 is less."""
    for right, said in ((65, "better than"), (52, "no better than"), (30, "Don't use it")):
        assert said in verdict(measures([1] * right + [-1] * (100 - right), [0] * 100))


def test_trap_19_a_model_that_does_as_well_under_another_prompt_is_said_to_ignore_it():
    """Right 80 of 100 times under its own prompts; under others as often, or half as often."""
    margins = [1] * 80 + [-1] * 20
    assert "about completions alone" in prompt_verdict(measures(margins, [0] * 100, shuffled=margins))
    used = prompt_verdict(measures(margins, [0] * 100, shuffled=[1] * 40 + [-1] * 60))
    assert used == "Under another prompt the same completions lose it 40.0 points."


def test_the_table_gives_every_accuracy_its_interval_and_its_counts():
    text = report_markdown(report(measures([1] * 60 + [-1] * 40, [1, -1] * 50)))
    rows = [line for line in text.splitlines() if "accuracy" in line and line.startswith("| ") and "| 100 |" in line]
    assert len(rows) == 5
    assert all(" to " in row for row in rows)
    assert "| train | 100 | 101 | 300 |" in text and "| held out | 25 | 25 | 75 |" in text


def test_with_too_few_held_out_prompts_no_accuracy_is_printed_but_how_many_are_missing():
    """7 of 20 are there; at one held-out prompt in five, 13 more need about 13 / 0.2 = 65 more ranked prompts."""
    text = report_markdown(few := report(None, replace(COUNTS, held_out_prompts=7)))
    assert few.missing_prompts == 65 and "Rank about 65 more prompts" in text
    assert "accuracy" not in text and "%" not in text
    assert report_from(few.as_dict()) == few

"""The sentences of a report say what its numbers show, in every language."""

import math
import re
from dataclasses import replace

import pytest

from label_data.intervals import NO_DATA, Estimate
from label_data.sentences import LANGUAGES
from report_examples import COUNTS, measures, report
from reward.report.ceiling import Human
from reward.report.paired_test import Paired
from reward.report.report import Part, Tuning, report_from
from reward.report.words import human_verdict, paired_verdict, prompt_verdict, report_markdown, summary, verdict

NAN = float("nan")


@pytest.mark.parametrize(("right", "key"), [(65, "better"), (52, "no_better"), (30, "worse")])
def test_the_verdict_is_better_only_if_the_interval_excludes_0(right, key):
    """With equal lengths chance is the best baseline: 65 of 100 is better, 52 may be chance, 30 is worse."""
    sentence = verdict(measures([1] * right + [-1] * (100 - right), [0] * 100))
    assert sentence.key == f"reward.report.{key}" and f"{right}.0%" in str(sentence)


def test_trap_19_a_model_that_does_as_well_with_other_prompts_is_said_to_ignore_them():
    """Right 80 of 100 times with its own prompts; with other prompts as often, or half as often."""
    margins = [1] * 80 + [-1] * 20
    assert "without their prompt" in str(prompt_verdict(measures(margins, [0] * 100, shuffled=margins)))
    reads_prompt = prompt_verdict(measures(margins, [0] * 100, shuffled=[1] * 40 + [-1] * 60))
    assert str(reads_prompt) == "With prompts shuffled, accuracy drops by 40.0 points."


def test_the_table_gives_every_accuracy_its_interval_and_its_counts():
    text = report_markdown(report(measures([1] * 60 + [-1] * 40, [1, -1] * 50)))
    rows = [line for line in text.splitlines() if "accuracy" in line and line.startswith("| ") and "| 100 |" in line]
    assert len(rows) == 5
    assert all(" to " in row for row in rows)
    assert "| training | 100 | 101 | 300 |" in text and "| held out | 25 | 25 | 75 |" in text


def test_with_too_few_held_out_prompts_no_accuracy_is_printed_but_how_many_are_missing():
    """7 of 20 are there; at one held-out prompt in five, 13 more need about 13 / 0.2 = 65 more ranked prompts."""
    few = report(None, replace(COUNTS, held_out_prompts=7))
    text = report_markdown(few)
    assert few.missing_prompts == 65 and "Rank about 65 more prompts" in text
    assert text.count("accuracy") == 1 and "its accuracy is unknown" in text and "%" not in text
    assert report_from(few.as_dict()) == few


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_human_ceiling_comes_with_its_interval_or_is_unknown(language):
    text = human_verdict(Human(Estimate(0.8, 0.61, 0.92, 1_234, 77), 0.8, 0.887)).render(language)
    numbers = {"80.0%", "61.0%", "92.0%", "88.7%"}
    assert numbers <= set(re.findall(r"[\d.]+%", text)) and "1,234" in text and "77" in text
    few = human_verdict(Human(Estimate(0.8, NAN, NAN, 3, 3), 0.8, 0.887)).render(language)
    assert "nan" not in few and "88.7%" in few
    assert human_verdict(Human(NO_DATA, NAN, NAN)).key == "reward.report.human_none"
    below_chance = human_verdict(Human(Estimate(0.4, 0.3, 0.5, 9, 9), 0.4, math.nan)).render(language)
    assert "40.0%" in below_chance and "nan" not in below_chance


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_whole_report_is_rendered_in_every_language(language):
    """A fine-tuned model with all measures, and a head without an evaluation."""
    parts = tuple(
        Part(kind, name, Estimate(0.5, 0.4, 0.6, 50, 50))
        for kind in ("strength", "annotator", "category")
        for name in ("a|b", "c")
    )
    held_out = replace(measures([1] * 60 + [-1] * 40, [1, -1] * 50), parts=parts, tau=Estimate(0.3, 0.2, 0.4, 100, 100))
    tuning = Tuning(
        "lora", "bradley-terry", 2e-4, 32, 80, 86, 60, 140, 0.61, 4_900_000, 135_000_000, 0.0, "cache", "", "float32"
    )
    human = Human(Estimate(0.8, 0.61, 0.92, 1_234, 77), 0.8, 0.887)
    tuned = replace(report(held_out), tuning=tuning, human=human, version="v1", version_sha256="a" * 64)
    text = report_markdown(tuned, language)
    assert "4,900,000" in text and "0.610" in text and "`a\\|b`" in text and "nan" not in text and "{" not in text
    assert "25" in report_markdown(report(None), language)
    if language != "en":
        assert not re.search(r"\b(the|of|with|accuracy)\b", text)


def test_a_difference_of_two_models_counts_only_if_p_and_interval_agree():
    def paired(p, low, high):
        return Paired(Estimate((low + high) / 2, low, high, 40, 20), NO_DATA, p, 9, 8, 1, 5)

    better = paired_verdict(paired(0.01, 0.1, 0.3), "A", "B")
    assert str(better).startswith("**A is better than B** by 20.0 points of accuracy (A minus B: 95% CI +10.0 to +30.0")
    assert str(paired_verdict(paired(0.01, -0.3, -0.1), "A", "B")).startswith("**B is better than A** by 20.0 points")
    for unsure in (paired(0.2, 0.1, 0.3), paired(0.01, -0.1, 0.3)):
        assert paired_verdict(unsure, "A", "B").key == "reward.report.no_better_model"
    assert paired_verdict(None, "A", "B").key == "reward.report.nothing_common"


def test_the_summary_of_an_evaluated_model_is_its_verdict():
    held_out = measures([1] * 60 + [-1] * 40, [1, -1] * 50)
    assert summary(report(held_out)) == verdict(held_out)

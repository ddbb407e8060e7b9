"""What a model said of every comparison, kept in its folder."""

import json

import numpy as np
import pytest

from label_data.errors import InputError
from label_data.records import Completion, Group, Ranking, user_prompt
from reward.file_names import COMPARISONS_FILE
from reward.head.train import side
from reward.report.comparison_rows import (
    comparison_rows,
    held_out_suspects,
    paired_folders,
    read_held_out_suspects,
    write_comparisons,
)
from reward.report.report import read_report


def ranked(number, *orders, **of_ranking):
    """Return a prompt with completions a, b and c, ranked in each of these orders by annotators of one name each."""
    prompt = user_prompt(f"Question {number}?")
    completions = {name: Completion(prompt.id, name * 3) for name in "abc"}
    shown = tuple(one.id for one in completions.values())
    rankings = tuple(
        Ranking(
            prompt.id,
            f"ann-{place}",
            shown,
            tuple((completions[name].id,) for name in order),
            submission=f"{number}-{place}",
            **of_ranking,
        )
        for place, order in enumerate(orders)
    )
    return Group(prompt, tuple(completions.values()), rankings)


def rewards_of(group, a, b, c):
    return dict(zip([one.id for one in group.completions], (a, b, c), strict=True))


def kept(folder, groups, rewards):
    """Write what was judged into a new folder and return it."""
    folder.mkdir()
    some = side(groups)
    rows = comparison_rows(some.groups, some.comparisons, some.clusters, rewards, {})
    write_comparisons(folder, rows, held_out_suspects(some.groups, rewards))
    return folder


def test_each_contradicted_ranking_is_named_once_by_its_lowest_margin_the_lowest_of_all_first(tmp_path):
    """Rewards 1, 2, 4. "abc" has margins -1, -2, -3: its pair is a over c. "bca": b over c -2, the others are right.

    "cba" is not contradicted. So the first is a over c at -3, to which the model gives 1 / (1 + e^3).
    """
    group = ranked(1, "bca", "abc", "cba")
    found = held_out_suspects([group], rewards_of(group, 1.0, 2.0, 4.0))
    assert [(one.chosen, one.rejected, one.annotator, one.submission) for one in found] == [
        ("aaa", "ccc", "ann-1", "1-1"),
        ("bbb", "ccc", "ann-0", "1-0"),
    ]
    assert found[0].probability == pytest.approx(1 / (1 + np.exp(3)))
    assert read_held_out_suspects(kept(tmp_path / "run", [group], rewards_of(group, 1.0, 2.0, 4.0))) == found


def test_repeats_and_answers_to_gold_prompts_are_no_disagreement():
    group = ranked(1, "abc", purpose="repeat")
    assert held_out_suspects([group], rewards_of(group, 1.0, 2.0, 4.0)) == []


def test_two_models_are_paired_on_the_comparisons_that_both_were_judged_by(tmp_path):
    """The first orders all as ann-0 did, the second all the other way round; they share two prompts of three.

    So they differ by 1 of accuracy on two prompts, both for the first: 2 of 4 ways to turn the signs, p = 0.5.
    """
    some = [ranked(number, "abc") for number in range(4)]
    right, wrong = {}, {}
    for group in some:
        right |= rewards_of(group, 3.0, 2.0, 1.0)
        wrong |= rewards_of(group, 1.0, 2.0, 3.0)
    first, second = kept(tmp_path / "first", some[:3], right), kept(tmp_path / "second", some[1:], wrong)
    found = paired_folders(first, second)
    assert (found.accuracy.value, found.accuracy.prompts, found.accuracy.count) == (1, 2, 6)
    assert (found.p, found.first_better, found.disagreements) == (0.5, 2, 6)
    third = kept(tmp_path / "third", some[3:], wrong)
    assert paired_folders(first, third) is None


def test_a_folder_of_old_keeps_no_pairs_and_says_so(tmp_path):
    assert read_held_out_suspects(tmp_path) is None
    assert paired_folders(tmp_path, tmp_path) is None
    (tmp_path / COMPARISONS_FILE).write_text("half a li")
    with pytest.raises(InputError, match=COMPARISONS_FILE):
        paired_folders(tmp_path, tmp_path)


def test_training_keeps_the_margins_that_its_report_is_about(trained):
    rows = [json.loads(line) for line in (trained / COMPARISONS_FILE).read_text().splitlines()]
    report = read_report(trained)
    assert len(rows) == report.counts.held_out_comparisons
    right = sum(row["weight"] * (row["reward_chosen"] > row["reward_rejected"]) for row in rows)
    assert right / sum(row["weight"] for row in rows) == pytest.approx(report.held_out.accuracy.value)
    wrong = {row["prompt_id"] for row in rows if row["reward_chosen"] < row["reward_rejected"]}
    assert {one.prompt_id for one in read_held_out_suspects(trained)} == wrong

"""The rewards of every comparison, and the suspect rankings, in a model's folder."""

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
    shown = tuple(completion.id for completion in completions.values())
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
    return dict(zip([completion.id for completion in group.completions], (a, b, c), strict=True))


def saved(folder, groups, rewards):
    """Write the comparisons into a new folder and return it."""
    folder.mkdir()
    held_out = side(groups)
    rows = comparison_rows(held_out.groups, held_out.comparisons, held_out.clusters, rewards, {})
    write_comparisons(folder, rows, held_out_suspects(held_out.groups, rewards))
    return folder


def test_each_suspect_ranking_is_listed_once_with_its_lowest_margin_lowest_first(tmp_path):
    """Rewards 1, 2, 4. "abc" has margins -1, -2, -3: its pair is a over c. "bca": b over c -2, the others are right.

    "cba" is not contradicted. So the first is a over c at -3, to which the model gives 1 / (1 + e^3).
    """
    group = ranked(1, "bca", "abc", "cba")
    result = held_out_suspects([group], rewards_of(group, 1.0, 2.0, 4.0))
    assert [(suspect.chosen, suspect.rejected, suspect.annotator, suspect.submission) for suspect in result] == [
        ("aaa", "ccc", "ann-1", "1-1"),
        ("bbb", "ccc", "ann-0", "1-0"),
    ]
    assert result[0].probability == pytest.approx(1 / (1 + np.exp(3)))
    assert read_held_out_suspects(saved(tmp_path / "run", [group], rewards_of(group, 1.0, 2.0, 4.0))) == result


def test_repeats_and_answers_to_gold_prompts_are_not_suspect():
    group = ranked(1, "abc", purpose="repeat")
    assert held_out_suspects([group], rewards_of(group, 1.0, 2.0, 4.0)) == []


def test_two_models_are_paired_on_the_comparisons_that_both_were_evaluated_on(tmp_path):
    """The first orders all as ann-0 did, the second all the other way round; they share two prompts of three.

    So they differ by 1 of accuracy on two prompts, both for the first: 2 of 4 sign flips, p = 0.5.
    """
    groups = [ranked(number, "abc") for number in range(4)]
    right, wrong = {}, {}
    for group in groups:
        right |= rewards_of(group, 3.0, 2.0, 1.0)
        wrong |= rewards_of(group, 1.0, 2.0, 3.0)
    first, second = saved(tmp_path / "first", groups[:3], right), saved(tmp_path / "second", groups[1:], wrong)
    result = paired_folders(first, second)
    assert (result.accuracy.value, result.accuracy.prompts, result.accuracy.count) == (1, 2, 6)
    assert (result.p, result.first_better, result.disagreements) == (0.5, 2, 6)
    third = saved(tmp_path / "third", groups[3:], wrong)
    assert paired_folders(first, third) is None


def test_an_old_folder_without_comparisons_has_none(tmp_path):
    assert read_held_out_suspects(tmp_path) is None
    assert paired_folders(tmp_path, tmp_path) is None
    (tmp_path / COMPARISONS_FILE).write_text("half a li")
    with pytest.raises(InputError, match=COMPARISONS_FILE):
        paired_folders(tmp_path, tmp_path)


def test_training_saves_the_margins_behind_its_report(trained):
    rows = [json.loads(line) for line in (trained / COMPARISONS_FILE).read_text().splitlines()]
    report = read_report(trained)
    assert len(rows) == report.counts.held_out_comparisons
    right = sum(row["weight"] * (row["reward_chosen"] > row["reward_rejected"]) for row in rows)
    assert right / sum(row["weight"] for row in rows) == pytest.approx(report.held_out.accuracy.value)
    wrong = {row["prompt_id"] for row in rows if row["reward_chosen"] < row["reward_rejected"]}
    assert {suspect.prompt_id for suspect in read_held_out_suspects(trained)} == wrong

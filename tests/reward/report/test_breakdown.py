"""Accuracy by strength, annotator and category; Kendall's tau; the best of n."""

import numpy as np
import pytest

from label_data.records import Completion, Group, Ranking, user_prompt
from reward.head.train import side
from reward.metrics import best_of_weights
from reward.report.breakdown import best_of, mean_tau, parts


def group_of(question, *orders, texts="abcd", category="", strength=()):
    """Return a prompt whose completions are single letters, with orders such as "a>b=c" by annotators ann, bob …"""
    prompt = user_prompt(question, category)
    completions = {text: Completion(prompt.id, text) for text in texts}
    rankings = tuple(
        Ranking(
            prompt.id,
            annotator,
            tuple(item.id for item in completions.values()),
            tuple(tuple(completions[text].id for text in tied.split("=")) for tied in order.split(">")),
            strength=strength,
        )
        for annotator, order in zip(("ann", "bob", "cy"), orders, strict=False)
    )
    return Group(prompt, tuple(completions.values()), rankings)


def rewards_of(groups, **rewards):
    return {completion.id: float(rewards[completion.text]) for group in groups for completion in group.completions}


def test_parts_are_counted_by_hand():
    """a>b (strength 2, facts) is right for both annotators' prompts; b>a by bob alone is wrong."""
    groups = [
        group_of("one", "a>b", texts="ab", category="facts", strength=(2,)),
        group_of("two", "a>b", "b>a", texts="ab", category="jokes"),
    ]
    test = side(groups)
    right = np.array([1.0, 1.0, 0.0])
    accuracy = {
        (part.kind, part.name): part.accuracy for part in parts(groups, test.comparisons, right, test.clusters, 0)
    }
    assert {key: (estimate.value, estimate.count) for key, estimate in accuracy.items()} == {
        ("strength", "2"): (1, 1),
        ("annotator", "ann"): (1, 2),
        ("annotator", "bob"): (0, 1),
        ("category", "facts"): (1, 1),
        ("category", "jokes"): (0.5, 2),
    }


def test_tau_is_the_mean_over_rankings_worked_out_by_hand():
    """Rewards order a > b > c. Against a>b>c tau is 1; against c>b>a it is -1; against a>b=c 2 of 3 pairs agree and one
    is tied by the annotator alone: 2 / sqrt(3 x 2) = 0.8165. The mean is 0.2722. Rankings of ties only are left out.
    """
    groups = [
        group_of("one", "a>b>c", "c>b>a", texts="abc"),
        group_of("two", "a>b=c", "a=b=c", texts="abc"),
    ]
    result = mean_tau(groups, rewards_of(groups, a=3, b=2, c=1), seed=0)
    assert (result.value, result.count, result.prompts) == (pytest.approx(0.8165 / 3, abs=1e-4), 3, 2)


def test_best_of_n_weights_are_the_share_of_draws_that_each_completion_wins():
    """Of rewards 1, 2, 3 two are drawn in 3 ways: the best is 3 in two of them and 2 in one."""
    assert best_of_weights(np.array([2.0, 1.0, 3.0]), 1) == pytest.approx([1 / 3] * 3)
    assert best_of_weights(np.array([2.0, 1.0, 3.0]), 2) == pytest.approx([1 / 3, 0, 2 / 3])
    assert best_of_weights(np.array([2.0, 1.0, 3.0]), 3) == pytest.approx([0, 0, 1])


def test_equal_rewards_share_the_first_place():
    """Of 1, 2, 2 the best of two is one of the twos always: each with 1/2."""
    assert best_of_weights(np.array([2.0, 1.0, 2.0]), 2) == pytest.approx([0.5, 0, 0.5])
    assert best_of_weights(np.zeros(4), 3) == pytest.approx([0.25] * 4)


@pytest.mark.parametrize("drawn", [0, 4])
def test_more_completions_than_there_are_cannot_be_drawn(drawn):
    with pytest.raises(ValueError, match="can't be drawn"):
        best_of_weights(np.array([1.0, 2.0, 3.0]), drawn)


def test_the_best_of_n_beats_the_completions_that_annotators_placed_below_it():
    """a>b>c: a beats 1, b 0.5, c 0. A model that likes b most and c least takes of two b in two draws of three and a in
    one: (0.5 + 0.5 + 1) / 3 = 0.6667; people would take a, a, b: (1 + 1 + 0.5) / 3 = 0.8333. Of three: b, 0.5.
    """
    groups = [group_of("one", "a>b>c", texts="abc")]
    best_of_one, two, three = best_of(groups, rewards_of(groups, a=1, b=2, c=0), seed=0)
    assert (best_of_one.beaten.value, best_of_one.people, best_of_one.kl_bound) == (
        pytest.approx(0.5),
        pytest.approx(0.5),
        0,
    )
    assert (two.beaten.value, two.people) == (pytest.approx(2 / 3), pytest.approx(5 / 6))
    assert two.kl_bound == pytest.approx(np.log(2) - 0.5)
    assert (three.beaten.value, three.people) == (0.5, 1)


def test_a_prompt_counts_only_up_to_its_number_of_completions():
    groups = [group_of("one", "a>b>c", texts="abc"), group_of("two", "a>b", texts="ab")]
    result = best_of(groups, rewards_of(groups, a=3, b=2, c=1), seed=0)
    assert [(item.drawn, item.beaten.prompts) for item in result] == [(1, 2), (2, 2), (3, 1)]

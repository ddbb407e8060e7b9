"""Comparisons derived from rankings, and the split into training and held-out prompts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from label_data.comparisons import comparisons, group_comparisons, is_held_out, split_by_prompt
from label_data.records import Completion, Group, Message, Prompt, Ranking, user_prompt


def ranking(*order, **fields):
    shown = (*sorted(name for tied in order for name in tied), "unplaced")
    return Ranking("p", "ana", shown, tuple(order), **fields)


def pairs(found):
    return [(comparison.chosen, comparison.rejected) for comparison in found]


def test_three_completions_in_order_give_three_comparisons():
    assert pairs(comparisons(ranking(("a",), ("b",), ("c",)))) == [("a", "b"), ("a", "c"), ("b", "c")]


def test_tied_completions_give_no_comparison_between_them():
    assert pairs(comparisons(ranking(("a",), ("b", "c")))) == [("a", "b"), ("a", "c")]


def test_a_full_tie_and_an_outcome_without_an_order_give_none():
    assert comparisons(ranking(("a", "b"))) == []
    assert comparisons(Ranking("p", "ana", ("a", "b"), outcome="all_bad")) == []


def test_a_completion_that_was_not_placed_gives_no_comparison():
    assert not any("unplaced" in pair for pair in pairs(comparisons(ranking(("a",), ("b",)))))


def test_the_comparisons_of_a_ranking_have_weights_that_sum_to_1():
    """Four completions in order: 4 * 3 / 2 = 6 comparisons of weight 1/6."""
    result = comparisons(ranking(("a",), ("b",), ("c",), ("d",)))
    assert [comparison.weight for comparison in result] == pytest.approx([1 / 6] * 6)


def test_strengths_add_up_over_the_steps_between_two_completions():
    """a to b is 3, b to c is 1, so a to c is 4."""
    result = comparisons(ranking(("a",), ("b",), ("c",), strength=(3, 1)))
    assert [comparison.strength for comparison in result] == [3, 4, 1]


def test_a_strength_across_a_step_without_one_is_unknown():
    result = comparisons(ranking(("a",), ("b",), ("c",), strength=(3, None)))
    assert [comparison.strength for comparison in result] == [3, None, None]
    assert [comparison.strength for comparison in comparisons(ranking(("a",), ("b",)))] == [None]


@given(st.lists(st.integers(1, 3), min_size=1, max_size=5).filter(lambda sizes: sum(sizes) >= 2))
def test_any_two_completions_of_different_groups_are_compared_once_and_the_better_is_chosen(sizes):
    names = iter(range(sum(sizes)))
    order = tuple(tuple(str(next(names)) for _ in range(size)) for size in sizes)
    place = {name: number for number, tied in enumerate(order) for name in tied}
    result = pairs(comparisons(ranking(*order)))
    assert len(result) == len({frozenset(pair) for pair in result})
    assert set(result) == {(a, b) for a in place for b in place if place[a] < place[b]}


def test_completions_that_differ_only_in_white_space_are_not_compared():
    prompt = user_prompt("Why?")
    good, twin, bad = (Completion(prompt.id, text) for text in ("Because.", "Because. ", "No."))
    order = Ranking(prompt.id, "ana", (good.id, twin.id, bad.id), ((good.id,), (twin.id,), (bad.id,)))
    result = group_comparisons(Group(prompt, (good, twin, bad), (order, order)))
    assert pairs(result) == [(good.id, bad.id), (twin.id, bad.id)] * 2


# Held out


def groups_of(count):
    return [Group(user_prompt(f"Question {number}?")) for number in range(count)]


def test_no_prompt_is_on_both_sides_and_none_is_lost():
    groups = groups_of(200)
    train, held_out = split_by_prompt(groups)
    assert {group.prompt.id for group in train}.isdisjoint(group.prompt.id for group in held_out)
    assert len(train) + len(held_out) == 200


def test_about_the_given_share_is_held_out():
    """Binomial, n = 1,000, p = 0.2: mean 200, standard deviation 12.6; four of those on either side."""
    assert 150 <= len(split_by_prompt(groups_of(1_000), share=0.2)[1]) <= 250
    assert split_by_prompt(groups_of(9), share=0.0)[1] == []
    assert split_by_prompt(groups_of(9), share=1.0)[0] == []


def test_a_prompt_stays_on_its_side_whatever_is_added():
    few, many = split_by_prompt(groups_of(50))[1], split_by_prompt(groups_of(500))[1]
    assert many[: len(few)] == few


def test_another_seed_holds_out_other_prompts():
    groups = groups_of(200)
    assert split_by_prompt(groups, seed=0)[1] != split_by_prompt(groups, seed=1)[1]


def test_conversations_with_the_same_first_turn_stay_on_one_side():
    for number in range(50):
        question = f"Question {number}?"
        longer = Prompt((Message("user", f" {question.upper()}"), Message("assistant", "Hm."), Message("user", "So?")))
        assert is_held_out(Group(user_prompt(question))) == is_held_out(Group(longer))

"""Suspect rankings go to one more annotator, who has not ranked the prompt."""

import pytest

from label_data.assignment.answers import Answer, submit
from label_data.assignment.gold import mark_gold
from label_data.assignment.own_rankings import retract
from label_data.assignment.relabelling import RelabellingRequest, relabelling_progress, request_relabelling
from label_data.assignment.tasks import next_tasks
from label_data.oversight.check import problems
from label_data.settings import ProjectSettings
from label_data.store.adding import add_groups
from label_data.store.annotators import find_or_add_annotator
from label_data.store.projects import save_settings
from label_data.store.stored_groups import groups
from planted_people import judged
from store_fixtures import add_ready_prompt


@pytest.fixture
def people(store):
    return [find_or_add_annotator(store, name).id for name in ("Ann", "Bob", "Cat")]


def rank(store, who, submission, outcome="all_bad"):
    (task,) = next_tasks(store, who)
    assert submit(store, Answer(task.token, submission, outcome), who) == "saved"
    return task


def counted(store):
    return [len(group.rankings) for group in groups(store)]


def test_relabelling_goes_to_an_annotator_who_has_not_ranked_the_prompt_and_both_rankings_count(store, people):
    ann, bob, cat = people
    add_ready_prompt(store, "Why is the sky blue?")
    first = rank(store, ann, "doubted")
    assert next_tasks(store, bob) == []
    assert request_relabelling(store, ["doubted"]) == RelabellingRequest(1, 0, 0, 0)
    assert relabelling_progress(store) == (1, 0)
    assert next_tasks(store, ann) == []
    second = rank(store, bob, "asked again")
    assert second.prompt == first.prompt and second.token != first.token and second.draft == ""
    assert next_tasks(store, cat) == []
    assert counted(store) == [2] and relabelling_progress(store) == (1, 1)
    assert list(problems(store)) == []


def test_relabelling_is_requested_once_per_prompt(store, people):
    ann, bob, cat = people
    add_ready_prompt(store, "Why is the sky blue?")
    rank(store, ann, "doubted")
    assert request_relabelling(store, ["doubted", "doubted"]) == RelabellingRequest(1, 0, 0, 0)
    assert request_relabelling(store, ["doubted"]) == RelabellingRequest(0, 1, 0, 0)
    rank(store, bob, "doubted too")
    assert request_relabelling(store, ["doubted too"]) == RelabellingRequest(0, 1, 0, 0)
    assert next_tasks(store, cat) == []


def test_open_gold_and_unavailable_prompts_are_counted_and_not_relabelled(store, people):
    ann, bob, _ = people
    add_ready_prompt(store, "Why is the sky blue?")
    rank(store, ann, "known")
    mark_gold(store, "known")
    save_settings(store, ProjectSettings(annotators_per_prompt=2))
    add_ready_prompt(store, "Why is grass green?")
    rank(store, ann, "half done")
    assert request_relabelling(store, ["known", "half done", "never heard of"]) == RelabellingRequest(0, 0, 1, 2)
    rank(store, bob, "withdrawn")
    retract(store, "withdrawn", bob)
    assert request_relabelling(store, ["withdrawn"]) == RelabellingRequest(0, 0, 0, 1)
    assert list(problems(store)) == []


def test_an_imported_ranking_can_be_relabelled_however_many_rankings_its_prompt_has(store, people):
    """Three annotators of a file are more than the one that the project asks for: the fourth voice is Ann's."""
    ann, bob, _ = people
    group = judged("q", {"xena": "a>b", "yan": "a>b", "zoe": "b>a"})
    add_groups(store, [group])
    assert next_tasks(store, ann) == []
    assert request_relabelling(store, [group.rankings[2].submission]) == RelabellingRequest(1, 0, 0, 0)
    rank(store, ann, "fourth", "indistinguishable")
    assert next_tasks(store, bob) == [] and counted(store) == [4] and relabelling_progress(store) == (1, 1)


def test_requesting_more_annotators_later_does_not_add_to_a_relabelling(store, people):
    """One more than one is two: where two are asked for of every prompt, no third is. Where three are, a third is."""
    ann, bob, cat = people
    add_ready_prompt(store, "Why is the sky blue?")
    rank(store, ann, "doubted")
    request_relabelling(store, ["doubted"])
    save_settings(store, ProjectSettings(annotators_per_prompt=2))
    rank(store, bob, "second")
    assert next_tasks(store, cat) == []
    save_settings(store, ProjectSettings(annotators_per_prompt=3))
    assert len(next_tasks(store, cat)) == 1
    save_settings(store, ProjectSettings(annotators_per_prompt=1))
    assert list(problems(store)) == [] and relabelling_progress(store) == (1, 1)


def test_a_withdrawn_relabelling_is_requested_again(store, people):
    ann, bob, cat = people
    add_ready_prompt(store, "Why is the sky blue?")
    rank(store, ann, "doubted")
    request_relabelling(store, ["doubted"])
    rank(store, bob, "second")
    retract(store, "second", bob)
    assert relabelling_progress(store) == (1, 0) and next_tasks(store, bob) == []
    rank(store, cat, "third")
    assert relabelling_progress(store) == (1, 1)


@pytest.mark.parametrize("order_of_work", ["added", "random", "fewest"])
def test_a_relabelling_reaches_annotators_past_its_place_in_every_task_order(store, people, order_of_work):
    ann, bob, _ = people
    save_settings(store, ProjectSettings(order_of_work=order_of_work))
    for number in range(4):
        add_ready_prompt(store, f"Question {number}?")
    first = next_tasks(store, ann, count=4)
    for number, task in enumerate(first):
        submit(store, Answer(task.token, f"s{number}", "all_bad"), ann)
    assert next_tasks(store, bob) == []
    request_relabelling(store, ["s1"])
    (task,) = next_tasks(store, bob)
    assert task.prompt == first[1].prompt

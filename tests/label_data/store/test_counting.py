"""Which rankings count towards the number of annotators that a project asks for: never more, and late ones when a
place is free."""

import pytest

from label_data.assignment.answers import Answer, submit
from label_data.assignment.leases import shorten_leases
from label_data.assignment.own_rankings import reopen, retract
from label_data.assignment.tasks import next_tasks
from label_data.database.engine import reading, writing
from label_data.oversight.check import problems, repair_counters
from label_data.oversight.progress import item_counts, untouched_ready
from label_data.settings import ProjectSettings
from label_data.store.annotators import find_or_add_annotator
from label_data.store.projects import save_settings
from label_data.store.stored_groups import groups
from store_fixtures import add_ready_prompt, let_leases_run_out


@pytest.fixture
def people(store):
    return [find_or_add_annotator(store, name).id for name in ("Ann", "Bob", "Cyn")]


def answer(store, task, who, outcome="all_bad", key=None, revises=None):
    return submit(store, Answer(task.token, key or f"{who}-{task.token}", outcome, revises=revises), who)


def counters(store):
    with reading(store) as connection:
        return connection.exec_driver_sql("SELECT done, leased, skipped FROM items").all()


@pytest.fixture
def two_late(store, people):
    """One prompt for which one ranking is asked: Bob's counts, those of Ann and Cyn came after their leases ran out."""
    ann, bob, cyn = people
    add_ready_prompt(store, "Which?")
    tasks = {}
    for annotator in (ann, cyn, bob):
        (tasks[annotator],) = next_tasks(store, annotator)
        if annotator != bob:
            let_leases_run_out(store)
    for annotator in (bob, ann, cyn):
        assert answer(store, tasks[annotator], annotator) == "saved"
    return tasks


def test_a_late_ranking_is_stored_but_does_not_count_while_its_place_is_taken(store, two_late):
    assert len(next(groups(store)).rankings) == 3
    assert counters(store) == [(1, 0, 0)]
    assert list(problems(store)) == []


def test_late_rankings_count_in_order_once_more_annotators_are_requested(store, two_late):
    save_settings(store, ProjectSettings(annotators_per_prompt=2))
    assert counters(store) == [(2, 0, 0)]
    assert item_counts(store)["ranked"] == 1
    save_settings(store, ProjectSettings(annotators_per_prompt=4))
    assert counters(store) == [(3, 0, 0)]
    assert item_counts(store)["ready"] == 1
    assert list(problems(store)) == []


def test_a_late_ranking_takes_the_place_of_a_withdrawn_one(store, two_late, people):
    _, bob, _ = people
    assert retract(store, f"{bob}-{two_late[bob].token}", bob)
    assert counters(store) == [(1, 0, 0)]
    assert item_counts(store)["ranked"] == 1


def test_a_late_ranking_counts_if_nobody_took_its_place(store, people):
    ann, bob, _ = people
    add_ready_prompt(store, "Which?")
    (task,) = next_tasks(store, ann)
    let_leases_run_out(store)
    save_settings(store, ProjectSettings(allow_partial=True))
    answer(store, task, ann)
    assert counters(store) == [(1, 0, 0)]
    assert next_tasks(store, bob) == []


def test_a_skip_frees_the_place_for_another_and_sampling_goes_on(store, people):
    ann, bob, _ = people
    add_ready_prompt(store, "Which?")
    (task,) = next_tasks(store, ann)
    assert answer(store, task, ann, "skipped") == "saved"
    assert counters(store) == [(0, 0, 1)]
    assert untouched_ready(store) == 0
    assert next_tasks(store, ann) == []
    (again,) = next_tasks(store, bob)
    answer(store, again, bob)
    assert counters(store) == [(1, 0, 1)]
    assert list(problems(store)) == []


def test_a_skipped_or_withdrawn_prompt_reaches_annotators_past_its_place(store, people):
    """Bob asks while Ann has both prompts, and finds none; she skips one, and ranks and withdraws the other."""
    ann, bob, _ = people
    add_ready_prompt(store, "Skipped?")
    add_ready_prompt(store, "Withdrawn?")
    skipped, withdrawn = next_tasks(store, ann)
    assert next_tasks(store, bob) == []
    answer(store, skipped, ann, "skipped")
    assert [task.prompt for task in next_tasks(store, bob)] == [skipped.prompt]
    answer(store, withdrawn, ann, key="gone")
    assert retract(store, "gone", ann)
    assert [task.prompt for task in next_tasks(store, bob)] == [skipped.prompt, withdrawn.prompt]


def test_a_skip_that_becomes_an_order_counts_and_an_order_that_becomes_a_skip_does_not(store, people):
    ann, bob, _ = people
    add_ready_prompt(store, "Which?")
    (task,) = next_tasks(store, ann)
    answer(store, task, ann, "skipped", "1")
    answer(store, task, ann, "all_bad", "2", revises="1")
    assert counters(store) == [(1, 0, 0)]
    answer(store, task, ann, "skipped", "3", revises="2")
    assert counters(store) == [(0, 0, 1)]
    assert len(next_tasks(store, bob)) == 1
    assert reopen(store, task.token, ann).ranking.submission == "3"


def test_only_the_requested_number_of_rankings_counts_after_it_was_lowered(store, people):
    save_settings(store, ProjectSettings(annotators_per_prompt=3))
    add_ready_prompt(store, "Which?")
    tasks = {annotator: next_tasks(store, annotator)[0] for annotator in people}
    save_settings(store, ProjectSettings(annotators_per_prompt=1))
    for annotator, task in tasks.items():
        answer(store, task, annotator)
    assert counters(store) == [(1, 0, 0)]
    assert len(next(groups(store)).rankings) == 3
    assert list(problems(store)) == []


def test_a_full_prompt_returns_to_the_queue_when_more_annotators_are_requested(store, people):
    """Bob walked past it while Ann had it."""
    ann, bob, _ = people
    add_ready_prompt(store, "Which?")
    next_tasks(store, ann)
    assert next_tasks(store, bob) == []
    save_settings(store, ProjectSettings(annotators_per_prompt=2))
    assert len(next_tasks(store, bob)) == 1


def test_a_released_prompt_reaches_annotators_past_its_place(store, people):
    ann, bob, _ = people
    add_ready_prompt(store, "Which?")
    next_tasks(store, ann)
    assert next_tasks(store, bob) == []
    assert shorten_leases(store, ann) == 1
    let_leases_run_out(store)
    assert len(next_tasks(store, bob)) == 1


def test_damaged_counters_are_repaired(store, two_late):
    with writing(store) as connection:
        connection.exec_driver_sql("UPDATE items SET done = 7, leased = 7, skipped = 7, place = 7")
    assert repair_counters(store) == 1
    assert counters(store) == [(1, 0, 0)]
    assert list(problems(store)) == []


def test_a_late_ranking_counts_once_the_lease_that_took_its_place_expires(store, people):
    """Ann's lease runs out, Bob has her place when she submits; then his runs out, and her ranking is the one asked."""
    add_ready_prompt(store, "Which?")
    ann, bob, cyn = people
    (task,) = next_tasks(store, ann)
    let_leases_run_out(store)
    assert len(next_tasks(store, bob)) == 1
    answer(store, task, ann)
    assert item_counts(store)["ranked"] == 0
    let_leases_run_out(store)
    assert next_tasks(store, cyn) == []
    assert item_counts(store)["ranked"] == 1
    assert list(problems(store)) == []

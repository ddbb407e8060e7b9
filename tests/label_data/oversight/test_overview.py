"""The overview of a project: progress, annotators, open tasks."""

import time
from datetime import UTC, datetime

import pytest
from sqlalchemy import text

from label_data.assignment.answers import Answer, submit
from label_data.assignment.drafts import save_draft
from label_data.assignment.leases import release_tasks
from label_data.assignment.tasks import next_tasks
from label_data.database.engine import open_store, writing
from label_data.oversight.check import problems
from label_data.oversight.overview import DayCount, annotator_progress, open_tasks, project_progress, rankings_by_day
from label_data.records import Group, Ranking, user_prompt
from label_data.settings import ProjectSettings
from label_data.store.adding import add_groups, add_prompts
from label_data.store.annotators import find_or_add_annotator
from label_data.store.projects import PROJECT, add_project, save_settings
from label_data.store.samples import save_samples
from moving_clock import Clock
from store_fixtures import add_ready_prompt, completions_of

HOUR = 3600 * 1_000_000


@pytest.fixture
def ann(store):
    return find_or_add_annotator(store, "Ann").id


@pytest.fixture
def bob(store):
    return find_or_add_annotator(store, "Bob").id


def rank(store, who, **answer):
    task = next_tasks(store, who, count=1)[0]
    values = {"outcome": "all_bad", "submission": f"of {task.token}"} | answer
    assert submit(store, Answer(token=task.token, **values), who) == "saved"
    return task


def test_progress_counts_prompts_by_state_and_rankings_against_those_requested(store, ann, bob):
    """Two annotators for each of three prompts that can be ranked or sampled are 6 rankings; 2 + 1 are there."""
    save_settings(store, ProjectSettings(annotators_per_prompt=2))
    for question in ("first", "second"):
        add_ready_prompt(store, question)
    add_prompts(store, [user_prompt("not sampled yet")])
    add_ready_prompt(store, "nothing to rank", "same", "same ")
    rank(store, ann)
    rank(store, bob)
    rank(store, ann)
    (result,) = project_progress(store)
    assert (result.waiting, result.ready, result.ranked, result.failed) == (1, 1, 1, 1)
    assert (result.counted, result.requested, result.open) == (3, 6, 0)
    next_tasks(store, bob)
    assert project_progress(store)[0].open == 1


def test_extra_rankings_of_a_prompt_do_not_make_up_for_another(store):
    """One of two prompts came with three rankings: of the two that are asked for, one is there, and not three."""
    prompt = user_prompt("ranked in a file")
    best, worst = completions_of(prompt, "yes", "no")
    shown, order = (best.id, worst.id), ((best.id,), (worst.id,))
    judged = tuple(Ranking(prompt.id, name, shown, order, source="import") for name in ("Cy", "Di", "Ed"))
    add_groups(store, [Group(prompt, (best, worst), judged)])
    add_ready_prompt(store, "nobody's yet")
    (result,) = project_progress(store)
    assert (result.counted, result.requested, result.share) == (3, 2, 0.5)


def test_a_project_without_prompts_has_no_share(store):
    assert [one.share for one in project_progress(store)] == [None]


def test_every_project_has_its_own_counts(store, ann):
    other = add_project(store, "Other").id
    add_ready_prompt(store, "of the first")
    result = project_progress(store)
    assert [(one.project.id, one.ready, one.requested) for one in result] == [(PROJECT, 1, 1), (other, 0, 0)]


def test_a_prompt_that_three_annotators_skipped_is_counted(store):
    add_ready_prompt(store, "Which?")
    for number in range(3):
        assert project_progress(store)[0].often_skipped == 0
        rank(store, find_or_add_annotator(store, f"P{number}").id, outcome="skipped", reason="unclear")
    assert project_progress(store)[0].often_skipped == 1


def test_annotator_progress_has_counts_and_activity(sqlite_store):
    store = open_store(sqlite_store)
    clock = Clock(store)
    ann, bob = (find_or_add_annotator(store, name).id for name in ("Ann", "Bob"))
    for number in range(4):
        add_ready_prompt(store, f"Question {number}?")
    rank(store, ann)
    clock.pass_by(3_600)
    rank(store, bob)
    rank(store, bob, outcome="skipped", reason="unclear")
    next_tasks(store, bob, count=1)
    last, first = annotator_progress(store, PROJECT)
    assert (last.name, last.ranked, last.today, last.skipped, last.open, last.is_active) == ("Bob", 1, 1, 1, 1, True)
    assert (first.name, first.ranked, first.today, first.skipped, first.open) == ("Ann", 1, 1, 0, 0)
    assert not first.is_active
    assert abs(last.last_seen - first.last_seen - HOUR) < 1_000
    store.dispose()


@pytest.mark.parametrize("minutes", [1, 30])
def test_an_annotator_without_rankings_is_active_while_drafts_arrive(sqlite_store, minutes):
    """A draft starts the lease anew. Nine minutes later they are at work still, eleven minutes later no more."""
    store = open_store(sqlite_store)
    clock = Clock(store)
    save_settings(store, ProjectSettings(lease_minutes=minutes))
    ann = find_or_add_annotator(store, "Ann").id
    add_ready_prompt(store, "Which?")
    (task,) = next_tasks(store, ann)
    clock.pass_by(50)
    save_draft(store, task.token, ann, {"at": 1_000, "reason": "half done"})
    clock.pass_by(9 * 60)
    assert annotator_progress(store, PROJECT)[0].is_active
    clock.pass_by(2 * 60)
    assert not annotator_progress(store, PROJECT)[0].is_active
    store.dispose()


def test_rankings_are_counted_by_day_and_annotator_without_revisions_and_skips(store, ann):
    for number in range(3):
        add_ready_prompt(store, f"Question {number}?")
    task = rank(store, ann, submission="first")
    again = Answer(task.token, "second", "ranked", [[0], [1], [2]], revises="first")
    assert submit(store, again, ann) == "saved"
    rank(store, ann)
    rank(store, ann, outcome="skipped", reason="unclear")
    today = datetime.now(UTC).date()
    assert rankings_by_day(store, PROJECT) == [DayCount(today, "Ann", 2)]
    assert rankings_by_day(store, "another") == []


@pytest.mark.parametrize("zone", ["America/Los_Angeles", "Asia/Tokyo"])
def test_days_are_days_of_utc_wherever_the_app_runs(store, ann, zone, monkeypatch):
    add_ready_prompt(store, "Which?")
    rank(store, ann)
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    result = rankings_by_day(store, PROJECT)
    monkeypatch.undo()
    time.tzset()
    assert result == [DayCount(datetime.now(UTC).date(), "Ann", 1)]


def test_open_tasks_name_their_annotators_and_show_which_expired(store, ann, bob):
    add_ready_prompt(store, "Which?")
    add_ready_prompt(store, "Why?")
    own_tasks, theirs = next_tasks(store, ann, count=1)[0], next_tasks(store, bob, count=1)[0]
    with writing(store) as connection:
        lapse = text("UPDATE tasks SET expires_us = expires_us - 7200000000 WHERE token = :token")
        connection.execute(lapse, {"token": own_tasks.token})
    over, going = open_tasks(store, PROJECT)
    assert (over.token, over.name, over.prompt, over.has_expired, over.has_draft) == (
        own_tasks.token,
        "Ann",
        "Which?",
        True,
        False,
    )
    assert (going.token, going.has_expired) == (theirs.token, False)
    assert going.assigned < going.expires


def test_a_released_prompt_goes_to_another_annotator_at_once_and_a_late_ranking_is_kept(store, ann, bob):
    add_ready_prompt(store, "Which?")
    (own_tasks,) = next_tasks(store, ann)
    assert next_tasks(store, bob) == []
    assert release_tasks(store, [own_tasks.token, "made-up"]) == 1
    assert release_tasks(store, [own_tasks.token]) == 0
    (theirs,) = next_tasks(store, bob)
    assert theirs.prompt == own_tasks.prompt
    assert list(problems(store)) == []
    rank(store, bob)
    assert submit(store, Answer(own_tasks.token, "late", "all_bad"), ann) == "saved"
    assert list(problems(store)) == []


def test_releasing_a_test_of_an_annotator_frees_no_place(store, ann):
    """Half of the tasks may be repeats; one of forty being none has a chance of 2 ** -40."""
    save_settings(store, ProjectSettings(repeat_share=0.5, repeat_gap=1))
    for number in range(40):
        add_ready_prompt(store, f"Question {number}?")
    purposes = text("SELECT purpose FROM tasks WHERE token = :token")
    while True:
        (task,) = next_tasks(store, ann, count=1)
        with writing(store) as connection:
            if connection.scalar(purposes, {"token": task.token}) == "repeat":
                break
        rank(store, ann)
    assert release_tasks(store, [task.token]) == 1
    assert list(problems(store)) == []


def test_failed_sampling_is_counted_apart_from_prompts_awaiting_completions(store):
    prompt = user_prompt("Which?")
    add_prompts(store, [prompt])
    assert save_samples(store, prompt, completions_of(prompt, "same", "same")) == "failed"
    (result,) = project_progress(store)
    assert (result.waiting, result.failed, result.requested) == (0, 1, 0)

"""Tasks: lease them to annotators and submit answers."""

import pytest
from sqlalchemy import event, text
from sqlalchemy.exc import IntegrityError

from label_data.assignment.answers import Answer, submit, submit_then_next
from label_data.assignment.tasks import TASKS_HELD, next_tasks
from label_data.comparisons import comparisons
from label_data.database.engine import open_store, writing
from label_data.errors import InputError
from label_data.oversight.check import problems
from label_data.oversight.progress import item_counts, store_counts
from label_data.settings import ProjectSettings
from label_data.store.annotators import find_or_add_annotator
from label_data.store.projects import add_project, save_settings
from label_data.store.stored_groups import groups
from store_fixtures import add_ready_prompt, let_leases_run_out, on_sqlite


@pytest.fixture
def ann(store):
    return find_or_add_annotator(store, "Ann").id


@pytest.fixture
def bob(store):
    return find_or_add_annotator(store, "Bob").id


def test_a_reload_or_a_second_tab_gets_the_same_tasks_in_the_same_order(store, ann):
    for number in range(4):
        add_ready_prompt(store, f"Question {number}?")
    first = next_tasks(store, ann)
    assert [task.prompt.messages[0].content for task in first] == ["Question 0?", "Question 1?"]
    assert next_tasks(store, ann) == first


def test_a_prompt_goes_to_exactly_as_many_annotators_as_requested(store, ann, bob):
    add_ready_prompt(store, "Only one?")
    assert len(next_tasks(store, ann)) == 1
    assert next_tasks(store, bob) == []
    save_settings(store, ProjectSettings(annotators_per_prompt=2))
    assert len(next_tasks(store, bob)) == 1


def test_nobody_ranks_a_prompt_twice(store, ann):
    save_settings(store, ProjectSettings(annotators_per_prompt=2))
    add_ready_prompt(store, "Once?")
    (task,) = next_tasks(store, ann)
    submit(store, Answer(task.token, "s", "all_bad"), ann)
    assert next_tasks(store, ann) == []
    assert item_counts(store)["ready"] == 1


def test_each_annotator_gets_a_separate_random_order(store):
    """With 6! = 720 orders, 12 annotators who all see the same one have a chance of 720^-11: it is no accident."""
    save_settings(store, ProjectSettings(annotators_per_prompt=12))
    add_ready_prompt(store, "Which?", *"abcdef")
    orders = set()
    for number in range(12):
        (task,) = next_tasks(store, find_or_add_annotator(store, f"Annotator {number}").id)
        orders.add(tuple(completion.text for completion in task.completions))
        assert sorted(orders.copy().pop()) == list("abcdef")
    assert len(orders) > 1


def test_completions_that_differ_in_white_space_alone_are_shown_once(store, ann):
    add_ready_prompt(store, "Which?", "one  two", "one two\n", "three")
    (task,) = next_tasks(store, ann)
    assert sorted(completion.folded for completion in task.completions) == ["one two", "three"]


def test_an_answer_becomes_a_ranking_of_the_completions_shown(store, ann):
    add_ready_prompt(store, "Which?", "a", "b", "c")
    (task,) = next_tasks(store, ann)
    answer = Answer(task.token, "s-1", "ranked", [[2], [0, 1]], [3], {0: ["untrue"]}, "c is right", 12.5)
    assert submit(store, answer, ann) == "saved"
    (ranking,) = next(groups(store)).rankings
    shown = tuple(completion.id for completion in task.completions)
    assert ranking.shown == shown
    assert ranking.order == ((shown[2],), (shown[0], shown[1]))
    assert (ranking.strength, ranking.flags) == ((3,), {shown[0]: ("untrue",)})
    assert (ranking.reason, ranking.seconds, ranking.annotator) == ("c is right", 12.5, ann)
    assert (ranking.project, ranking.project_revision, ranking.source) == ("default", 0, "person")
    assert ranking.started == task.assigned
    assert ranking.submitted >= ranking.started
    assert len(comparisons(ranking)) == 2


def test_a_repeated_submission_and_a_second_tab_give_one_ranking(store, ann):
    add_ready_prompt(store, "Which?")
    (task,) = next_tasks(store, ann)
    assert submit(store, Answer(task.token, "s-1", "ranked", [[0], [1], [2]], seconds=3), ann) == "saved"
    assert submit(store, Answer(task.token, "s-1", "ranked", [[0], [1], [2]], seconds=5), ann) == "repeat"
    assert submit(store, Answer(task.token, "s-2", "ranked", [[2], [1], [0]]), ann) == "ranked already"
    assert store_counts(store).rankings == 1


def test_an_expired_task_goes_to_another_annotator_and_a_late_ranking_is_kept(store, ann, bob):
    add_ready_prompt(store, "Which?")
    (own_tasks,) = next_tasks(store, ann)
    let_leases_run_out(store)
    (theirs,) = next_tasks(store, bob)
    assert theirs.prompt == own_tasks.prompt
    assert submit(store, Answer(theirs.token, "bob's", "ranked", [[0], [1], [2]]), bob) == "saved"
    assert submit(store, Answer(own_tasks.token, "ann's", "ranked", [[2], [1], [0]]), ann) == "saved"
    assert store_counts(store).rankings == 2
    assert item_counts(store)["ranked"] == 1


def test_an_annotators_expired_task_opens_again_unchanged(store, ann):
    add_ready_prompt(store, "Which?")
    (before,) = next_tasks(store, ann)
    let_leases_run_out(store)
    (after,) = next_tasks(store, ann)
    assert (after.token, after.completions) == (before.token, before.completions)


def test_asking_again_keeps_a_lease_from_expiring(store, ann, bob):
    """A lease of one minute that has one second left is a whole minute again once its annotator asks for it."""
    save_settings(store, ProjectSettings(lease_minutes=1))
    add_ready_prompt(store, "Which?")
    next_tasks(store, ann)
    with writing(store) as connection:
        connection.execute(text("UPDATE tasks SET expires_us = expires_us - 59000000"))
        nearly = connection.execute(text("SELECT expires_us FROM tasks")).scalar()
    next_tasks(store, ann)
    with writing(store) as connection:
        assert connection.execute(text("SELECT expires_us FROM tasks")).scalar() >= nearly + 58_000_000


@on_sqlite
@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        ({"token": "made-up"}, "not assigned to you"),
        ({"submission": ""}, "no submission id"),
        ({"order": [[0], [1], [3]]}, "3 completions were shown"),
        ({"order": [[0], [1], [-1]]}, "3 completions were shown"),
        ({"order": [[0], [1], [True]]}, "3 completions were shown"),
        ({"order": [[0], [1], [1]]}, "Place each completion shown at most once"),
        ({"order": [[0], [1]]}, "Not placed: 1 of 3 completions"),
        ({"order": [], "outcome": "ranked"}, "needs at least two"),
        ({"outcome": "skipped"}, "Give only one of them"),
        ({"outcome": "perfect"}, "has outcome 'perfect'"),
        ({"strength": [1]}, "1 strengths for 3 groups"),
        ({"strength": [1, 4]}, "Each must be 1, 2, 3 or null"),
        ({"seconds": float("inf")}, "took inf seconds"),
        ({"reason": "a\0b"}, "NUL"),
    ],
)
def test_an_answer_that_does_not_fit_its_task_is_refused_and_the_task_stays_open(store, ann, answer, sentence):
    add_ready_prompt(store, "Which?")
    (task,) = next_tasks(store, ann)
    whole = {"token": task.token, "submission": "s", "outcome": "ranked", "order": [[0], [1], [2]]} | answer
    with pytest.raises(InputError, match=sentence):
        submit(store, Answer(**whole), ann)
    assert store_counts(store).rankings == 0
    assert [open_task.token for open_task in next_tasks(store, ann)] == [task.token]


def test_a_task_cannot_be_answered_by_another_annotator(store, ann, bob):
    add_ready_prompt(store, "Which?")
    (task,) = next_tasks(store, ann)
    with pytest.raises(InputError, match="not assigned to you"):
        submit(store, Answer(task.token, "s", "all_bad"), bob)


def test_completions_may_stay_unplaced_if_the_project_allows_it(store, ann):
    save_settings(store, ProjectSettings(allow_partial=True))
    add_ready_prompt(store, "Which?")
    (task,) = next_tasks(store, ann)
    submit(store, Answer(task.token, "s", "ranked", [[1], [0]]), ann)
    (ranking,) = next(groups(store)).rankings
    assert ranking.unranked == (task.completions[2].id,)
    assert ranking.project_revision == 1


# An answer and the next tasks at once


@pytest.fixture
def mine(store, ann):
    """Ann's two tasks of five prompts."""
    for number in range(5):
        add_ready_prompt(store, f"Question {number}?")
    return next_tasks(store, ann)


def ranked(task):
    return Answer(task.token, task.token, "ranked", [[0], [1], [2]])


def test_the_next_tasks_come_with_an_answer_in_one_commit(store, ann, mine):
    commits = []
    event.listen(store, "commit", commits.append)
    message, tasks = submit_then_next(store, ranked(mine[0]), ann)
    assert (message, len(commits)) == ("saved", 1)
    assert tasks[0] == mine[1]
    assert tasks == next_tasks(store, ann)
    assert store_counts(store).rankings == 1


def test_a_repeated_submission_returns_the_same_tasks(store, ann, mine):
    _, tasks = submit_then_next(store, ranked(mine[0]), ann)
    assert submit_then_next(store, ranked(mine[0]), ann) == ("repeat", tasks)
    another_tab = Answer(mine[0].token, "another", "all_bad")
    assert submit_then_next(store, another_tab, ann) == ("ranked already", tasks)
    assert store_counts(store).rankings == 1


def test_a_refused_answer_returns_and_leases_no_tasks(store, ann, mine):
    with pytest.raises(InputError, match="Not placed: 1 of 3 completions"):
        submit_then_next(store, Answer(mine[0].token, "s", "ranked", [[0], [1]]), ann)
    assert next_tasks(store, ann) == mine


def test_near_the_end_of_the_queue_an_answer_returns_no_tasks(store, ann, mine):
    """Of five prompts one is left when four are answered: fewer than a page holds may only be locked by others."""
    tasks = mine
    for _ in range(3):
        _, tasks = submit_then_next(store, ranked(tasks[0]), ann)
    assert submit_then_next(store, ranked(tasks[0]), ann) == ("saved", [])
    assert next_tasks(store, ann) == [tasks[1]]


def test_a_skip_an_answer_of_another_project_or_expired_leases_return_no_tasks(store, ann, bob, mine):
    assert submit_then_next(store, Answer(mine[0].token, "skip", "skipped"), ann) == ("saved", [])
    other = add_project(store, "Other")
    assert submit_then_next(store, ranked(mine[1]), ann, other.id) == ("saved", [])
    (task, _) = next_tasks(store, ann)
    next_tasks(store, bob)
    let_leases_run_out(store)
    assert submit_then_next(store, ranked(task), ann) == ("saved", [])
    assert len(next_tasks(store, ann)) == TASKS_HELD


def test_an_answer_is_stored_even_if_the_next_tasks_cannot_be_leased(sqlite_store, caplog):
    """A trigger refuses every new task, as a fault in the database or in the program would."""
    store = open_store(sqlite_store)
    for number in range(3):
        add_ready_prompt(store, f"Question {number}?")
    ann = find_or_add_annotator(store, "Ann").id
    task, ahead = next_tasks(store, ann)
    with writing(store) as connection:
        connection.execute(text("CREATE TRIGGER no BEFORE INSERT ON tasks BEGIN SELECT RAISE(ABORT, 'no'); END"))
    assert submit_then_next(store, ranked(task), ann) == ("saved", [])
    assert [record.message for record in caplog.records] == [
        "could not lease the next tasks with the answer; storing the answer alone"
    ]
    assert store_counts(store).rankings == 1
    with pytest.raises(IntegrityError):
        next_tasks(store, ann)
    with writing(store) as connection:
        connection.execute(text("DROP TRIGGER no"))
    assert next_tasks(store, ann)[0].token == ahead.token
    assert list(problems(store)) == []
    store.dispose()

"""Who ranks what next, and what becomes of an answer."""

import threading

import pytest
from sqlalchemy import text

from label_data.assignment import Answer, next_tasks, reopened, submit, work_of
from label_data.check import problems
from label_data.comparisons import comparisons
from label_data.database import writing
from label_data.records import InputError, Span
from label_data.settings import ProjectSettings
from label_data.store import annotator_named, groups, item_counts, rankings_today, save_settings, store_counts
from store_fixtures import add_ready_prompt


@pytest.fixture
def ann(store):
    return annotator_named(store, "Ann").id


@pytest.fixture
def bob(store):
    return annotator_named(store, "Bob").id


def let_leases_run_out(store):
    with writing(store) as connection:
        connection.execute(text("UPDATE tasks SET expires_us = 0"))


def test_a_reload_or_a_second_tab_gets_the_same_tasks_in_the_same_order(store, ann):
    for number in range(4):
        add_ready_prompt(store, f"Question {number}?")
    first = next_tasks(store, ann)
    assert [task.prompt.messages[0].content for task in first] == ["Question 0?", "Question 1?"]
    assert next_tasks(store, ann) == first


def test_a_prompt_goes_to_as_many_annotators_as_asked_and_no_more(store, ann, bob):
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


def test_each_annotator_sees_an_order_of_their_own(store):
    """With 6! = 720 orders, 12 annotators who all see the same one have a chance of 720^-11: it is no accident."""
    save_settings(store, ProjectSettings(annotators_per_prompt=12))
    add_ready_prompt(store, "Which?", *"abcdef")
    orders = set()
    for number in range(12):
        (task,) = next_tasks(store, annotator_named(store, f"Annotator {number}").id)
        orders.add(tuple(completion.text for completion in task.completions))
        assert sorted(orders.copy().pop()) == list("abcdef")
    assert len(orders) > 1


def test_completions_that_differ_in_white_space_alone_are_shown_once(store, ann):
    add_ready_prompt(store, "Which?", "one  two", "one two\n", "three")
    (task,) = next_tasks(store, ann)
    assert sorted(completion.folded for completion in task.completions) == ["one two", "three"]


def test_an_answer_becomes_a_ranking_of_what_was_shown(store, ann):
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


def test_a_repeated_send_and_a_second_tab_give_one_ranking(store, ann):
    add_ready_prompt(store, "Which?")
    (task,) = next_tasks(store, ann)
    assert submit(store, Answer(task.token, "s-1", "ranked", [[0], [1], [2]], seconds=3), ann) == "saved"
    assert submit(store, Answer(task.token, "s-1", "ranked", [[0], [1], [2]], seconds=5), ann) == "repeat"
    assert submit(store, Answer(task.token, "s-2", "ranked", [[2], [1], [0]]), ann) == "ranked already"
    assert store_counts(store).rankings == 1


def test_a_task_whose_lease_ran_out_goes_to_another_and_late_work_is_kept(store, ann, bob):
    add_ready_prompt(store, "Which?")
    (mine,) = next_tasks(store, ann)
    let_leases_run_out(store)
    (theirs,) = next_tasks(store, bob)
    assert theirs.prompt == mine.prompt
    assert submit(store, Answer(theirs.token, "bob's", "ranked", [[0], [1], [2]]), bob) == "saved"
    assert submit(store, Answer(mine.token, "ann's", "ranked", [[2], [1], [0]]), ann) == "saved"
    assert store_counts(store).rankings == 2
    assert item_counts(store)["ranked"] == 1


def test_a_task_of_mine_that_ran_out_opens_again_as_it_was(store, ann):
    add_ready_prompt(store, "Which?")
    (before,) = next_tasks(store, ann)
    let_leases_run_out(store)
    (after,) = next_tasks(store, ann)
    assert (after.token, after.completions) == (before.token, before.completions)


def test_asking_again_keeps_a_lease_from_running_out(store, ann, bob):
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


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        ({"token": "made-up"}, "not given to you"),
        ({"submission": ""}, "no submission id"),
        ({"order": [[0], [1], [3]]}, "3 completions were shown"),
        ({"order": [[0], [1], [-1]]}, "3 completions were shown"),
        ({"order": [[0], [1], [True]]}, "3 completions were shown"),
        ({"order": [[0], [1], [1]]}, "Place each completion at most once"),
        ({"order": [[0], [1]]}, "1 of 3 completions are not placed"),
        ({"order": [], "outcome": "ranked"}, "needs at least two"),
        ({"outcome": "skipped"}, "give one or the other"),
        ({"outcome": "perfect"}, "has outcome 'perfect'"),
        ({"strength": [1]}, "1 strengths for 3 groups"),
        ({"strength": [1, 4]}, "each is 1, 2, 3 or null"),
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


def test_a_task_cannot_be_answered_by_somebody_else(store, ann, bob):
    add_ready_prompt(store, "Which?")
    (task,) = next_tasks(store, ann)
    with pytest.raises(InputError, match="not given to you"):
        submit(store, Answer(task.token, "s", "all_bad"), bob)


def test_some_may_stay_unplaced_where_the_project_allows_it(store, ann):
    save_settings(store, ProjectSettings(allow_partial=True))
    add_ready_prompt(store, "Which?")
    (task,) = next_tasks(store, ann)
    submit(store, Answer(task.token, "s", "ranked", [[1], [0]]), ann)
    (ranking,) = next(groups(store)).rankings
    assert ranking.unranked == (task.completions[2].id,)
    assert ranking.project_revision == 1


# Changing what was ranked


@pytest.fixture
def ranked(store, ann):
    """A task that Ann ranked in the order shown, as submission "s-1"."""
    add_ready_prompt(store, "Which?", "a", "b", "c")
    (task,) = next_tasks(store, ann)
    submit(store, Answer(task.token, "s-1", "ranked", [[0], [1], [2]]), ann)
    return task


def revision(task, submission="s-2", revises="s-1", order=((2,), (1,), (0,)), **fields):
    return Answer(task.token, submission, "ranked", order, revises=revises, **fields)


def test_a_revision_is_what_counts_and_the_earlier_ranking_is_kept(store, ann, ranked):
    assert submit(store, revision(ranked), ann) == "saved"
    assert submit(store, revision(ranked), ann) == "repeat"
    (current,) = next(groups(store)).rankings
    assert (current.submission, current.revises) == ("s-2", "s-1")
    assert [one.submission for one in next(groups(store, revised=True)).rankings] == ["s-1", "s-2"]
    assert reopened(store, ranked.token, ann).ranking == current
    assert list(problems(store)) == []


def test_a_revision_counts_no_prompt_twice(store, ann, ranked):
    save_settings(store, ProjectSettings(annotators_per_prompt=2))
    assert item_counts(store)["ready"] == 1
    submit(store, revision(ranked), ann)
    assert item_counts(store)["ready"] == 1
    assert rankings_today(store, ann) == 1


def test_two_tabs_cannot_both_revise_one_ranking(store, ann, ranked):
    submit(store, revision(ranked), ann)
    with pytest.raises(InputError, match="revised already"):
        submit(store, revision(ranked, "s-3"), ann)
    assert submit(store, revision(ranked, "s-3", revises="s-2"), ann) == "saved"
    assert store_counts(store).rankings == 3


def test_two_tabs_at_the_same_moment_cannot_both_revise_one_ranking(store, ann, ranked):
    """Eight threads revise s-1 at once: one is stored, seven are told that it was revised."""
    start, found = threading.Barrier(8), []

    def revise(number):
        start.wait()
        try:
            found.append(submit(store, revision(ranked, f"tab {number}"), ann))
        except InputError as error:
            found.append(str(error))

    tabs = [threading.Thread(target=revise, args=(number,)) for number in range(8)]
    for tab in tabs:
        tab.start()
    for tab in tabs:
        tab.join()
    assert sorted(answer == "saved" for answer in found) == [False] * 7 + [True]
    assert store_counts(store).rankings == 2


def test_only_ones_own_ranking_of_the_same_task_can_be_revised(store, ann, bob, ranked):
    with pytest.raises(InputError, match="not given to you"):
        submit(store, revision(ranked), bob)
    with pytest.raises(InputError, match="not given to you"):
        reopened(store, ranked.token, bob)
    add_ready_prompt(store, "Another?")
    (other,) = next_tasks(store, ann)
    with pytest.raises(InputError, match="not ranked yet"):
        reopened(store, other.token, ann)
    with pytest.raises(InputError, match="in another tab"):
        submit(store, revision(other), ann)


def test_what_i_did_is_listed_newest_first_and_found_by_its_prompt_in_any_case(store, ann, bob):
    for question in ("Why is the sky blue?", "Straße oder Weg?", "天空为什么是蓝色的？"):
        add_ready_prompt(store, question, "a", "b")
        (task,) = next_tasks(store, ann)
        submit(store, Answer(task.token, question, "ranked", [[0], [1]]), ann)
    found = work_of(store, ann)
    assert [work.ranking.submission for work in found] == [
        "天空为什么是蓝色的？",
        "Straße oder Weg?",
        "Why is the sky blue?",
    ]
    assert [work.ranking.submission for work in work_of(store, ann, limit=1)] == ["天空为什么是蓝色的？"]
    for words, expected in (("SKY", 1), ("strasse", 1), ("天空", 1), ("nothing", 0), ("blue\\", 0)):
        assert len(work_of(store, ann, words)) == expected
    assert work_of(store, bob) == []
    first = found[-1]
    submit(store, Answer(first.task.token, "again", "all_bad", revises=first.ranking.submission), ann)
    assert work_of(store, ann)[0].ranking.submission == "again"
    assert len(work_of(store, ann)) == 3


def test_more_of_my_work_than_is_read_at_once_is_searched_to_the_end(store, ann):
    for number in range(103):
        add_ready_prompt(store, f"Question {number:03}?", "a", "b")
    while tasks := next_tasks(store, ann):
        submit(store, Answer(tasks[0].token, f"{tasks[0].token}", "all_bad"), ann)
    (oldest,) = work_of(store, ann, "Question 000")
    assert oldest.task.prompt.messages[0].content == "Question 000?"
    assert len(work_of(store, ann, "Question", 500)) == 103


# Ratings, spans, and what annotators write


def test_ratings_and_spans_are_kept_with_the_ranking(store, ann):
    add_ready_prompt(store, "Which?", "first", "second")
    (task,) = next_tasks(store, ann)
    answer = Answer(
        task.token, "s", "ranked", [[1], [0]], ratings={0: 3, 1: 7}, spans=[(0, 0, 5, "untrue"), (0, 2, 3, "harmful")]
    )
    assert submit(store, answer, ann) == "saved"
    assert submit(store, answer, ann) == "repeat"
    (ranking,) = next(groups(store)).rankings
    one, other = ranking.shown
    assert ranking.ratings == {one: 3, other: 7}
    assert ranking.spans == (Span(one, 0, 5, "untrue"), Span(one, 2, 3, "harmful"))
    assert list(problems(store)) == []


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"ratings": {0: 8}}, "from 1 to 7"),
        ({"ratings": {0: True}}, "from 1 to 7"),
        ({"ratings": {3: 1}}, "3 completions were shown"),
        ({"spans": [(3, 0, 1, "untrue")]}, "3 completions were shown"),
        ({"spans": [(0, 1, 1, "untrue")]}, "goes from 1 to 1"),
        ({"spans": [(0, 0, 10_000, "untrue")]}, "beyond the end"),
        ({"demonstration": "Mine.", "edited_from": 3}, "3 completions were shown"),
        ({"demonstration": " "}, "is empty"),
    ],
)
def test_ratings_spans_and_demonstrations_that_do_not_fit_are_refused_and_nothing_is_stored(
    store, ann, fields, sentence
):
    add_ready_prompt(store, "Which?", "a", "b", "c")
    (task,) = next_tasks(store, ann)
    with pytest.raises(InputError, match=sentence):
        submit(store, Answer(task.token, "s", "ranked", [[0], [1], [2]], **fields), ann)
    assert store_counts(store).rankings == 0
    assert next(groups(store)).demonstrations == ()


def test_what_an_annotator_wrote_is_a_demonstration_with_what_it_was_edited_from(store, ann):
    add_ready_prompt(store, "Which?", "a", "b")
    (task,) = next_tasks(store, ann)
    submit(store, Answer(task.token, "s", "all_bad", demonstration="a, better", edited_from=1), ann)
    group = next(groups(store))
    (written,) = group.demonstrations
    assert (written.text, written.annotator, written.edited_from) == ("a, better", ann, task.completions[1].id)
    assert (written.submission, written.source, written.project) == ("s", "person", "default")
    assert written.written is not None
    assert len(group.completions) == 2
    assert reopened(store, task.token, ann).demonstration == written


def test_a_demonstration_follows_its_ranking_when_that_is_revised(store, ann, ranked):
    submit(store, revision(ranked, demonstration="Mine."), ann)
    submit(store, revision(ranked, "s-3", "s-2", demonstration="Mine, at last."), ann)
    assert [one.text for one in next(groups(store)).demonstrations] == ["Mine, at last."]
    submit(store, revision(ranked, "s-4", "s-3"), ann)
    assert next(groups(store)).demonstrations == ()
    assert [one.text for one in next(groups(store, revised=True)).demonstrations] == ["Mine.", "Mine, at last."]
    assert list(problems(store)) == []


def test_a_demonstration_joins_the_completions_of_others_where_the_project_says_so(store, ann, bob):
    save_settings(store, ProjectSettings(annotators_per_prompt=3, demonstrations_join=True))
    add_ready_prompt(store, "Which?", "a", "b")
    (task,) = next_tasks(store, ann)
    submit(store, Answer(task.token, "s", "ranked", [[0], [1]], demonstration="Mine."), ann)
    (theirs,) = next_tasks(store, bob)
    assert sorted(completion.text for completion in theirs.completions) == ["Mine.", "a", "b"]
    (mine,) = (completion for completion in theirs.completions if completion.text == "Mine.")
    assert (mine.policy, mine.seed, ann in repr(mine)) == ("annotator", None, False)
    assert len(work_of(store, ann)[0].task.completions) == 2  # she is shown what she ranked, no more


def test_no_more_than_nine_completions_are_shown_however_many_annotators_wrote_one(store, ann, bob):
    save_settings(store, ProjectSettings(annotators_per_prompt=3, demonstrations_join=True))
    add_ready_prompt(store, "Which?", *"abcdefghi")
    (task,) = next_tasks(store, ann)
    submit(store, Answer(task.token, "s", "all_bad", demonstration="Mine."), ann)
    (theirs,) = next_tasks(store, bob)
    assert sorted(completion.text for completion in theirs.completions) == list("abcdefghi")


def test_a_revision_made_after_the_policies_were_named_says_so(store, ann, ranked):
    save_settings(store, ProjectSettings(reveal_policies=True))
    submit(store, revision(ranked), ann)
    assert [one.assisted for one in next(groups(store, revised=True)).rankings] == [False, True]

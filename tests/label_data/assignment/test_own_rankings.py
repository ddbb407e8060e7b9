"""An annotator's own rankings: search, revise and withdraw them, with ratings, spans and demonstrations."""

import threading

import pytest

from label_data.assignment.answers import Answer, submit
from label_data.assignment.own_rankings import own_rankings, own_task, policies_shown, ranking_with, reopen, retract
from label_data.assignment.tasks import next_tasks
from label_data.errors import InputError
from label_data.oversight.check import problems
from label_data.oversight.progress import item_counts, rankings_today, store_counts
from label_data.records import Group, Span, user_prompt
from label_data.settings import ProjectSettings
from label_data.store.adding import add_groups
from label_data.store.annotators import find_or_add_annotator
from label_data.store.projects import save_settings
from label_data.store.stored_groups import groups
from store_fixtures import add_ready_prompt, completions_of, on_sqlite


@pytest.fixture
def ann(store):
    return find_or_add_annotator(store, "Ann").id


@pytest.fixture
def bob(store):
    return find_or_add_annotator(store, "Bob").id


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


def test_a_revision_counts_and_the_earlier_ranking_is_kept(store, ann, ranked):
    assert submit(store, revision(ranked), ann) == "saved"
    assert submit(store, revision(ranked), ann) == "repeat"
    (current,) = next(groups(store)).rankings
    assert (current.submission, current.revises) == ("s-2", "s-1")
    assert [ranking.submission for ranking in next(groups(store, revised=True)).rankings] == ["s-1", "s-2"]
    assert reopen(store, ranked.token, ann).ranking == current
    assert list(problems(store)) == []


def test_a_revised_ranking_counts_once(store, ann, ranked):
    save_settings(store, ProjectSettings(annotators_per_prompt=2))
    assert item_counts(store)["ready"] == 1
    submit(store, revision(ranked), ann)
    assert item_counts(store)["ready"] == 1
    assert rankings_today(store, ann) == 1


def test_two_tabs_cannot_both_revise_one_ranking(store, ann, ranked):
    submit(store, revision(ranked), ann)
    with pytest.raises(InputError, match="edited already"):
        submit(store, revision(ranked, "s-3"), ann)
    assert submit(store, revision(ranked, "s-3", revises="s-2"), ann) == "saved"
    assert store_counts(store).rankings == 3


def test_two_tabs_at_the_same_moment_cannot_both_revise_one_ranking(store, ann, ranked):
    """Eight threads revise s-1 at once: one is stored, seven are told that it was revised."""
    start, result = threading.Barrier(8), []

    def revise(number):
        start.wait()
        try:
            result.append(submit(store, revision(ranked, f"tab {number}"), ann))
        except InputError as error:
            result.append(str(error))

    tabs = [threading.Thread(target=revise, args=(number,)) for number in range(8)]
    for tab in tabs:
        tab.start()
    for tab in tabs:
        tab.join()
    assert sorted(answer == "saved" for answer in result) == [False] * 7 + [True]
    assert store_counts(store).rankings == 2


def test_only_the_annotators_own_ranking_of_the_task_can_be_revised(store, ann, bob, ranked):
    with pytest.raises(InputError, match="not assigned to you"):
        submit(store, revision(ranked), bob)
    with pytest.raises(InputError, match="not assigned to you"):
        reopen(store, ranked.token, bob)
    add_ready_prompt(store, "Another?")
    (other,) = next_tasks(store, ann)
    with pytest.raises(InputError, match="not ranked yet"):
        reopen(store, other.token, ann)
    with pytest.raises(InputError, match="in another tab"):
        submit(store, revision(other), ann)


def test_own_rankings_are_listed_newest_first_and_found_by_their_prompt_ignoring_case(store, ann, bob):
    for question in ("Why is the sky blue?", "Straße oder Weg?", "天空为什么是蓝色的？"):
        add_ready_prompt(store, question, "a", "b")
        (task,) = next_tasks(store, ann)
        submit(store, Answer(task.token, question, "ranked", [[0], [1]]), ann)
    result = own_rankings(store, ann)
    assert [work.ranking.submission for work in result] == [
        "天空为什么是蓝色的？",
        "Straße oder Weg?",
        "Why is the sky blue?",
    ]
    assert [work.ranking.submission for work in own_rankings(store, ann, limit=1)] == ["天空为什么是蓝色的？"]
    for words, expected in (("SKY", 1), ("strasse", 1), ("天空", 1), ("nothing", 0), ("blue\\", 0)):
        assert len(own_rankings(store, ann, words)) == expected
    assert own_rankings(store, bob) == []
    first = result[-1]
    submit(store, Answer(first.task.token, "again", "all_bad", revises=first.ranking.submission), ann)
    assert own_rankings(store, ann)[0].ranking.submission == "again"
    assert len(own_rankings(store, ann)) == 3


def test_own_rankings_are_searched_beyond_the_first_page(store, ann):
    prompts = [user_prompt(f"Question {number:03}?") for number in range(103)]
    add_groups(store, [Group(prompt, tuple(completions_of(prompt, "a", "b"))) for prompt in prompts])
    while tasks := next_tasks(store, ann):
        submit(store, Answer(tasks[0].token, f"{tasks[0].token}", "all_bad"), ann)
    (oldest,) = own_rankings(store, ann, "Question 000")
    assert oldest.task.prompt.messages[0].content == "Question 000?"
    assert len(own_rankings(store, ann, "Question", 500)) == 103


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


@on_sqlite
@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"ratings": {0: 8}}, "from 1 to 7"),
        ({"ratings": {0: True}}, "from 1 to 7"),
        ({"ratings": {3: 1}}, "3 completions were shown"),
        ({"spans": [(3, 0, 1, "untrue")]}, "3 completions were shown"),
        ({"spans": [(0, 1, 1, "untrue")]}, "runs from 1 to 1"),
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


def test_an_annotators_answer_is_a_demonstration_that_names_the_edited_completion(store, ann):
    add_ready_prompt(store, "Which?", "a", "b")
    (task,) = next_tasks(store, ann)
    submit(store, Answer(task.token, "s", "all_bad", demonstration="a, better", edited_from=1), ann)
    group = next(groups(store))
    (written,) = group.demonstrations
    assert (written.text, written.annotator, written.edited_from) == ("a, better", ann, task.completions[1].id)
    assert (written.submission, written.source, written.project) == ("s", "person", "default")
    assert written.written is not None
    assert len(group.completions) == 2
    assert reopen(store, task.token, ann).demonstration == written


def test_a_demonstration_follows_its_ranking_when_that_is_revised(store, ann, ranked):
    submit(store, revision(ranked, demonstration="Mine."), ann)
    submit(store, revision(ranked, "s-3", "s-2", demonstration="Mine, at last."), ann)
    assert [demonstration.text for demonstration in next(groups(store)).demonstrations] == ["Mine, at last."]
    submit(store, revision(ranked, "s-4", "s-3"), ann)
    assert next(groups(store)).demonstrations == ()
    assert [written.text for written in next(groups(store, revised=True)).demonstrations] == [
        "Mine.",
        "Mine, at last.",
    ]
    assert list(problems(store)) == []


def test_a_demonstration_joins_the_completions_to_rank_if_the_project_says_so(store, ann, bob):
    save_settings(store, ProjectSettings(annotators_per_prompt=3, demonstrations_join=True))
    add_ready_prompt(store, "Which?", "a", "b")
    (task,) = next_tasks(store, ann)
    submit(store, Answer(task.token, "s", "ranked", [[0], [1]], demonstration="Mine."), ann)
    (theirs,) = next_tasks(store, bob)
    assert sorted(completion.text for completion in theirs.completions) == ["Mine.", "a", "b"]
    (own_tasks,) = (completion for completion in theirs.completions if completion.text == "Mine.")
    assert (own_tasks.policy, own_tasks.seed, ann in repr(own_tasks)) == ("annotator", None, False)
    assert len(own_rankings(store, ann)[0].task.completions) == 2  # she is shown what she ranked, no more


def test_at_most_nine_completions_are_shown(store, ann, bob):
    save_settings(store, ProjectSettings(annotators_per_prompt=3, demonstrations_join=True))
    add_ready_prompt(store, "Which?", *"abcdefghi")
    (task,) = next_tasks(store, ann)
    submit(store, Answer(task.token, "s", "all_bad", demonstration="Mine."), ann)
    (theirs,) = next_tasks(store, bob)
    assert sorted(completion.text for completion in theirs.completions) == list("abcdefghi")


def test_a_revision_made_after_policies_were_revealed_is_assisted(store, ann, ranked):
    save_settings(store, ProjectSettings(reveal_policies=True))
    submit(store, revision(ranked), ann)
    assert [ranking.assisted for ranking in next(groups(store, revised=True)).rankings] == [False, True]


def test_policies_are_revealed_in_the_order_shown_and_only_to_the_annotator_who_ranked(store, ann, bob):
    add_ready_prompt(store, "Which?", "a", "b")
    (task,) = next_tasks(store, ann)
    with pytest.raises(InputError, match="not ranked yet"):
        policies_shown(store, task.token, ann)
    submit(store, Answer(task.token, "s", "all_bad"), ann)
    assert policies_shown(store, task.token, ann) == ("tiny", "tiny")
    with pytest.raises(InputError, match="not assigned to you"):
        policies_shown(store, task.token, bob)


# Withdrawing


def test_a_withdrawn_ranking_is_hidden_from_readers_and_frees_its_place_but_is_not_deleted(store, ann, bob, ranked):
    submit(store, revision(ranked, demonstration="Better."), ann)
    assert retract(store, "s-2", ann)
    assert not retract(store, "s-2", ann)
    for revised in (False, True):
        group = next(groups(store, revised=revised))
        assert (group.rankings, group.demonstrations) == ((), ())
    (group,) = groups(store, revised=True, retracted=True)
    assert [ranking.submission for ranking in group.rankings] == ["s-1", "s-2"]
    assert own_rankings(store, ann) == []
    assert next_tasks(store, ann) == []
    assert len(next_tasks(store, bob)) == 1
    assert list(problems(store)) == []


def test_only_the_annotators_own_newest_ranking_can_be_withdrawn(store, ann, bob, ranked):
    submit(store, revision(ranked), ann)
    for submission, annotator in (("s-2", bob), ("none", ann)):
        with pytest.raises(InputError, match="not yours"):
            retract(store, submission, annotator)
    with pytest.raises(InputError, match="since edited this ranking"):
        retract(store, "s-1", ann)
    retract(store, "s-2", ann)
    with pytest.raises(InputError, match="withdrawn"):
        submit(store, revision(ranked, "s-3", revises="s-2"), ann)
    with pytest.raises(InputError, match="You withdrew"):
        reopen(store, ranked.token, ann)


# From a ranking's submission to the ranking


def test_only_its_annotator_finds_a_task_by_any_submission_of_its_chain(store, ann, bob, ranked):
    submit(store, revision(ranked), ann)
    assert own_task(store, "s-1", ann) == own_task(store, "s-2", ann) == ranked.token
    assert own_task(store, "s-1", bob) is own_task(store, "none", ann) is None
    retract(store, "s-2", ann)
    assert own_task(store, "s-1", ann) is None


def test_a_revised_or_withdrawn_ranking_is_still_found_with_its_group(store, ann, ranked):
    submit(store, revision(ranked), ann)
    retract(store, "s-2", ann)
    group, ranking = ranking_with(store, "s-1")
    assert (ranking.submission, len(group.completions)) == ("s-1", 3)
    assert ranking_with(store, "s-2")[1].revises == "s-1"
    assert ranking_with(store, "none") is None

"""Gold prompts go to every annotator as tests, do not count, and are marked in the data."""

import pytest

from label_data.assignment.answers import Answer, submit
from label_data.assignment.gold import gold_prompts, mark_all_gold, mark_gold, unmark_gold
from label_data.assignment.own_rankings import retract
from label_data.assignment.tasks import next_tasks
from label_data.comparisons import group_comparisons
from label_data.database.engine import open_store
from label_data.errors import InputError
from label_data.exchange.exporting import export_file
from label_data.exchange.importing import import_files
from label_data.oversight.check import problems
from label_data.oversight.progress import item_counts
from label_data.settings import ProjectSettings
from label_data.store.annotators import find_or_add_annotator
from label_data.store.projects import save_settings
from label_data.store.stored_groups import groups
from store_fixtures import add_ready_prompt


@pytest.fixture
def rae(store):
    """A researcher, who ranked the prompt "Known?" as submission "key"."""
    rae = find_or_add_annotator(store, "Rae").id
    add_ready_prompt(store, "Known?")
    (task,) = next_tasks(store, rae)
    submit(store, Answer(task.token, "key", "ranked", [[0], [1], [2]]), rae)
    return rae


@pytest.fixture
def golden(store, rae):
    """A project that asks for half of its tasks to be gold prompts, with one of them and sixty others."""
    assert mark_gold(store, "key")
    save_settings(store, ProjectSettings(gold_share=0.5))
    for number in range(60):
        add_ready_prompt(store, f"Ordinary {number}?", "a", "b")
    return store


def rank_all(store, annotator):
    """Rank what there is; return the questions in the order in which they came."""
    questions = []
    while tasks := next_tasks(store, annotator):
        questions.append(tasks[0].prompt.messages[0].content)
        submit(store, Answer(tasks[0].token, tasks[0].token, "all_bad"), annotator)
    return questions


def test_every_annotator_gets_a_gold_prompt_once_except_those_who_ranked_it(golden, rae):
    """The chance that none of 20 draws, with half a chance each, is a gold prompt: one in a million."""
    ann, bob = (find_or_add_annotator(golden, name).id for name in ("Ann", "Bob"))
    asked = {annotator: [] for annotator in (ann, bob, rae)}
    for turn in range(60):
        annotator = (ann, bob, rae)[turn % 3]
        (task, *_) = next_tasks(golden, annotator)
        asked[annotator].append(task.prompt.messages[0].content)
        submit(golden, Answer(task.token, task.token, "all_bad"), annotator)
    assert [questions.count("Known?") for questions in asked.values()] == [1, 1, 0]
    assert list(problems(golden)) == []


def test_answers_to_gold_prompts_do_not_count_and_give_no_comparison(golden):
    ann = find_or_add_annotator(golden, "Ann").id
    while "Known?" not in (task := next_tasks(golden, ann)[0]).prompt.messages[0].content:
        submit(golden, Answer(task.token, task.token, "all_bad"), ann)
    before = item_counts(golden)
    assert submit(golden, Answer(task.token, "test", "ranked", [[2], [1], [0]]), ann) == "saved"
    assert item_counts(golden) == before
    group = next(groups(golden))
    assert [(ranking.submission, ranking.purpose) for ranking in group.rankings] == [("key", "key"), ("test", "gold")]
    assert len(group_comparisons(group)) == 3


def test_a_gold_prompt_is_not_assigned_as_an_ordinary_task_until_unmarked(store, rae):
    save_settings(store, ProjectSettings(annotators_per_prompt=2))
    ann = find_or_add_annotator(store, "Ann").id
    assert mark_gold(store, "key") and not mark_gold(store, "key")
    assert gold_prompts(store) == 1
    assert next_tasks(store, ann) == []
    assert unmark_gold(store, "key") and not unmark_gold(store, "key")
    assert len(next_tasks(store, ann)) == 1
    assert list(problems(store)) == []


def test_an_edited_gold_ranking_stays_gold_and_a_withdrawn_one_does_not(store, rae):
    mark_gold(store, "key")
    (ranking,) = next(groups(store)).rankings
    token = next_token(store, rae)
    submit(store, Answer(token, "better", "ranked", [[2], [0], [1]], revises="key"), rae)
    (ranking,) = next(groups(store)).rankings
    assert (ranking.submission, ranking.purpose) == ("better", "key")
    retract(store, "better", rae)
    assert gold_prompts(store) == 0
    assert item_counts(store)["ready"] == 1
    assert list(problems(store)) == []


def next_token(store, annotator):
    from label_data.assignment.own_rankings import own_rankings

    return own_rankings(store, annotator)[0].task.token


def test_all_rankings_of_a_researcher_become_gold_at_once(store, rae):
    add_ready_prompt(store, "Another?")
    add_ready_prompt(store, "Skipped?")
    for outcome in ("all_bad", "skipped"):
        (task, *_) = next_tasks(store, rae)
        submit(store, Answer(task.token, outcome, outcome), rae)
    assert mark_all_gold(store, rae) == 2
    assert mark_all_gold(store, rae) == 0


@pytest.mark.parametrize("submission", ["none", "skip"])
def test_a_skip_a_test_or_an_unknown_ranking_cannot_become_gold(store, rae, submission):
    add_ready_prompt(store, "Another?")
    (task,) = next_tasks(store, rae)
    submit(store, Answer(task.token, "skip", "skipped"), rae)
    with pytest.raises(InputError, match="Choose"):
        mark_gold(store, submission)


@pytest.mark.parametrize("ending", [".jsonl", ".parquet"])
def test_gold_rankings_survive_the_groups_format(store, rae, tmp_path, ending):
    mark_gold(store, "key")
    export_file(store, tmp_path / f"all{ending}", "groups")
    other = open_store(tmp_path / "other.db")
    import_files(other, [tmp_path / f"all{ending}"], "groups")
    assert gold_prompts(other) == 1
    (ranking,) = next(groups(other)).rankings
    assert ranking.purpose == "key"
    assert list(problems(other)) == []
    import_files(other, [tmp_path / f"all{ending}"], "groups")
    other.dispose()

"""Several projects in a store, each with its own prompts, settings and rankings."""

import pytest

from label_data.assignment.answers import Answer, submit
from label_data.assignment.own_rankings import own_rankings, reopen
from label_data.assignment.tasks import next_tasks
from label_data.errors import InputError
from label_data.exchange.exporting import export_file
from label_data.exchange.importing import import_files
from label_data.oversight.check import problems
from label_data.oversight.progress import item_counts, store_counts
from label_data.records import user_prompt
from label_data.settings import ProjectSettings
from label_data.store.adding import Added, add_prompts
from label_data.store.annotators import find_or_add_annotator
from label_data.store.projects import add_project, project_named, project_settings, projects, save_settings
from label_data.store.samples import save_samples, waiting_prompts
from label_data.store.stored_groups import groups
from store_fixtures import add_ready_prompt, completions_of


@pytest.fixture
def safety(store):
    return add_project(store, " Is it  safe? ").id


@pytest.fixture
def ann(store):
    return find_or_add_annotator(store, "Ann").id


@pytest.fixture
def shared(store, safety, ann):
    """One prompt in both projects, ranked by Ann for each, in opposite orders."""
    prompt = add_ready_prompt(store, "Which?", "a", "b")
    assert add_prompts(store, [prompt], safety) == 0
    for project, order in (("default", [[0], [1]]), (safety, [[1], [0]])):
        (task,) = next_tasks(store, ann, project)
        submit(store, Answer(task.token, f"for {project}", "ranked", order), ann)
    return store


def test_a_project_has_an_id_made_from_its_first_name_which_stays(store, safety):
    assert safety == "is-it-safe"
    save_settings(store, ProjectSettings(name="Safety"), safety)
    assert [(project.id, project.name) for project in projects(store)] == [
        ("default", "default"),
        ("is-it-safe", "Safety"),
    ]
    assert add_project(store, "Is it safe").id == "is-it-safe-2"
    assert add_project(store, "天空").id == "天空"
    assert add_project(store, "???").id == "project"


def test_a_project_begins_with_settings_as_revision_1(store, safety):
    assert project_settings(store, safety) == (ProjectSettings(name="Is it safe?"), 1)


@pytest.mark.parametrize(
    ("name", "sentence"), [("", "has no name"), ("DEFAULT", "A project named 'default' already exists"), ("\0", "NUL")]
)
def test_empty_taken_and_invalid_project_names_are_refused(store, name, sentence):
    with pytest.raises(InputError, match=sentence):
        add_project(store, name)
    assert len(projects(store)) == 1


def test_renaming_a_project_to_the_name_of_another_is_refused(store, safety):
    with pytest.raises(InputError, match="already"):
        save_settings(store, ProjectSettings(name="is it safe?"))


def test_a_project_is_found_by_name_or_id_and_a_store_with_one_needs_neither(store):
    assert project_named(store).id == "default"
    other = add_project(store, "Other work")
    assert project_named(store, "other  WORK") == project_named(store, "other-work") == other
    with pytest.raises(InputError, match="it has 'default', 'Other work'"):
        project_named(store, "none")
    with pytest.raises(InputError, match="The store has 2 projects"):
        project_named(store)


def test_prompts_of_an_unknown_project_are_refused(store):
    with pytest.raises(InputError, match="No project 'typo'"):
        add_prompts(store, [user_prompt("Why?")], "typo")
    assert store_counts(store) == Added()


def test_each_project_samples_assigns_and_counts_its_own_prompts(store, safety, ann):
    add_prompts(store, [user_prompt("Mine?")], safety)
    assert waiting_prompts(store, 9) == []
    (prompt,) = waiting_prompts(store, 9, safety)
    assert save_samples(store, prompt, completions_of(prompt, "a", "b"), safety) == "ready"
    assert next_tasks(store, ann) == []
    assert [task.prompt for task in next_tasks(store, ann, safety)] == [prompt]
    assert item_counts(store)["ready"] == 0
    assert item_counts(store, safety)["ready"] == 1


def test_a_prompt_in_two_projects_is_ranked_for_each(shared, safety, ann):
    assert [len(group.rankings) for group in groups(shared)] == [2]
    for project in ("default", safety):
        ((ranking,),) = [group.rankings for group in groups(shared, project=project)]
        assert (ranking.submission, ranking.project) == (f"for {project}", project)
        assert store_counts(shared, project) == Added(1, 2, 1)
    assert [work.ranking.submission for work in own_rankings(shared, ann, project=safety)] == [f"for {safety}"]
    assert len(own_rankings(shared, ann)) == 2
    assert list(problems(shared)) == []


def test_a_ranking_opened_again_stays_with_its_project_and_its_settings(shared, safety, ann):
    """Only the second project lets completions stay unplaced; its revision is 2 by then, the other's 0."""
    save_settings(shared, ProjectSettings(name="Safety", allow_partial=True), safety)
    add_ready_prompt(shared, "Three?", "a", "b", "c")
    add_prompts(shared, [user_prompt("Three?")], safety)
    (task,) = next_tasks(shared, ann, safety)
    submit(shared, Answer(task.token, "partial", "ranked", [[0], [1]]), ann)
    work = reopen(shared, task.token, ann)
    assert (work.ranking.project, work.ranking.project_revision) == (safety, 2)
    (task,) = next_tasks(shared, ann)
    with pytest.raises(InputError, match="Not placed"):
        submit(shared, Answer(task.token, "not here", "ranked", [[0], [1]]), ann)


def test_an_export_or_import_covers_one_project(shared, safety, tmp_path):
    export_file(shared, tmp_path / "one.jsonl", "groups", project=safety)
    export_file(shared, tmp_path / "all.jsonl", "groups")
    third = add_project(shared, "Third").id
    import_files(shared, [tmp_path / "one.jsonl"], "groups", project=third)
    assert "for default" not in (tmp_path / "one.jsonl").read_text()
    assert "for default" in (tmp_path / "all.jsonl").read_text()
    assert item_counts(shared, third)["ready"] == 1  # what it was ranked for before is no ranking for this project
    assert list(problems(shared)) == []


def test_a_demonstration_goes_with_the_project_of_its_ranking(shared, safety, ann):
    (work,) = own_rankings(shared, ann, project=safety)
    answer = Answer(work.task.token, "better", "all_bad", revises=f"for {safety}", demonstration="Neither.")
    submit(shared, answer, ann)
    assert [len(group.demonstrations) for group in groups(shared, project=safety)] == [1]
    assert [len(group.demonstrations) for group in groups(shared, project="default")] == [0]

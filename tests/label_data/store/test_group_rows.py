"""Prompts are read page by page: each once, in their order, with what belongs to it, from one moment of the store."""

from itertools import islice

from label_data.records import Completion, Group, Ranking, user_prompt
from label_data.store.adding import add_groups
from label_data.store.bare_groups import bare_groups
from label_data.store.group_rows import PAGE_SIZE
from label_data.store.projects import add_project
from label_data.store.stored_groups import groups


def ranked(number):
    prompt = user_prompt(f"{number}?")
    pair = Completion(prompt.id, "a"), Completion(prompt.id, "b")
    ids = tuple(completion.id for completion in pair)
    return Group(prompt, pair, (Ranking(prompt.id, "ana", ids, tuple((id,) for id in ids), source="import"),))


def test_all_pages_together_are_the_store_in_insertion_order(store):
    created = [ranked(number) for number in range(2 * PAGE_SIZE + 1)]
    add_groups(store, created)
    assert list(groups(store)) == created
    assert [group.prompt.as_json for group in bare_groups(store)] == [group.prompt.as_json for group in created]


def test_prompts_of_another_project_in_between_are_not_read(store):
    """Every other prompt is the other project's, and one is both's, ranked for each."""
    other = add_project(store, "Other").id
    for number in range(6):
        add_groups(store, [ranked(number)], other if number % 2 else "default")
    add_groups(store, [Group(ranked(1).prompt, ranked(1).completions)], "default")
    asked = {
        project: [group.prompt.messages[0].content for group in groups(store, project=project)]
        for project in (other, "default")
    }
    assert asked == {other: ["1?", "3?", "5?"], "default": ["0?", "1?", "2?", "4?"]}
    assert [len(group.rankings) for group in bare_groups(store, "default")] == [1, 0, 1, 1]


def test_of_prompts_shared_by_two_projects_only_the_rankings_of_one_are_read(store):
    other = add_project(store, "Other").id
    for number in range(3):
        add_groups(store, [ranked(number)], "default")
        add_groups(store, [Group(ranked(number).prompt, ranked(number).completions)], other)
    assert [len(group.rankings) for group in groups(store, project=other)] == [0, 0, 0]
    assert [len(group.rankings) for group in groups(store, project="default")] == [1, 1, 1]
    add_groups(store, [Group(ranked(3).prompt, ranked(3).completions)], "default")
    assert len(list(groups(store, ranked_only=True, project="default"))) == 3


def test_records_added_while_the_store_is_read_are_not_seen(store):
    add_groups(store, [ranked(number) for number in range(PAGE_SIZE + 1)])
    reading = bare_groups(store)
    assert len(list(islice(reading, PAGE_SIZE))) == PAGE_SIZE
    add_groups(store, [ranked("new")])
    assert len(list(reading)) == 1

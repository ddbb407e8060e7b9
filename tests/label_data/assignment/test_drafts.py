"""Drafts: the newest is kept, and a submitted ranking removes its draft."""

import json

import pytest

from label_data.assignment.answers import Answer, submit
from label_data.assignment.drafts import save_draft
from label_data.assignment.tasks import next_tasks
from label_data.errors import InputError
from label_data.store.annotators import find_or_add_annotator
from store_fixtures import add_ready_prompt, on_sqlite


@pytest.fixture
def ann(store):
    return find_or_add_annotator(store, "Ann").id


@pytest.fixture
def task(store, ann):
    add_ready_prompt(store, "Which?", "a", "b", "c")
    (task,) = next_tasks(store, ann)
    return task


def draft(at, **fields):
    return {"at": at, "revises": None, "reason": "half done"} | fields


def kept(store, ann):
    (task,) = next_tasks(store, ann)
    return json.loads(task.draft) if task.draft else None


def test_a_draft_comes_back_with_its_task(store, ann, task):
    assert kept(store, ann) is None
    assert save_draft(store, task.token, ann, draft(1_000, ranking={"groups": [[2]]}))
    assert kept(store, ann) == draft(1_000, ranking={"groups": [[2]]})


def test_the_newest_draft_is_kept_whatever_the_order_of_arrival(store, ann, task):
    assert save_draft(store, task.token, ann, draft(2_000, reason="newer"))
    assert not save_draft(store, task.token, ann, draft(1_000, reason="older, from a slow line"))
    assert kept(store, ann)["reason"] == "newer"
    assert save_draft(store, task.token, ann, draft(3_000, reason="newest"))
    assert kept(store, ann)["reason"] == "newest"


def test_a_browser_with_a_fast_clock_does_not_block_later_drafts(store, ann, task):
    """The year 2100 is 4,102,444,800,000 ms after 1970; a draft of "now" from a right clock comes a moment later."""
    save_draft(store, task.token, ann, draft(4_102_444_800_000, reason="from the future"))
    assert save_draft(store, task.token, ann, draft(4_102_444_800_000, reason="later, from the same"))
    assert kept(store, ann)["reason"] == "later, from the same"


def test_a_submitted_ranking_removes_its_draft(store, ann, task):
    save_draft(store, task.token, ann, draft(1_000))
    submit(store, Answer(task.token, "s", "all_bad"), ann)
    assert not save_draft(store, task.token, ann, draft(9_000))  # was on its way when the ranking was sent
    assert save_draft(store, task.token, ann, draft(9_000, revises="s"))
    submit(store, Answer(task.token, "s-2", "indistinguishable", revises="s"), ann)
    assert not save_draft(store, task.token, ann, draft(9_999, revises="s"))


def test_a_draft_of_another_annotators_task_is_refused(store, task):
    with pytest.raises(InputError, match="not assigned to you"):
        save_draft(store, task.token, find_or_add_annotator(store, "Bob").id, draft(1_000))


@on_sqlite
@pytest.mark.parametrize(
    "bad",
    [
        {"at": None},
        {"at": True},
        {"at": float("nan")},
        {"at": -1},
        {"at": "1"},
        {"reason": "\ud800"},
        {"reason": float("inf")},
        {"reason": "x" * 500_001},
    ],
)
def test_an_invalid_draft_is_refused(store, ann, task, bad):
    with pytest.raises(InputError):
        save_draft(store, task.token, ann, draft(1_000) | bad)
    assert kept(store, ann) is None

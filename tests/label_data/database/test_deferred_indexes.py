"""Indexes that a large import drops are created again as they were, whatever happens to the import."""

import signal
import sqlite3
import subprocess
import sys
from contextlib import closing

import pytest

from label_data.database import deferred_indexes as indexing
from label_data.database.deferred_indexes import DeferredIndexes
from label_data.database.engine import open_store, reading
from label_data.errors import InputError
from label_data.oversight.check import problems
from label_data.oversight.progress import store_counts
from label_data.records import Completion, Group, user_prompt
from label_data.store.adding import Added, add_groups
from label_data.store.stored_groups import groups
from many_pairs import pairs
from tests.support.paths import ROOT, TESTS

BY_PROMPT = {"ix_completions_prompt_id", "ix_demonstrations_prompt_id", "ix_rankings_prompt_id"}


@pytest.fixture
def soon(monkeypatch):
    """Indexes are left out from the fourth prompt on, and groups stored two at a time."""
    monkeypatch.setattr("label_data.database.deferred_indexes.FEWEST_PROMPTS", 4)
    monkeypatch.setattr("label_data.store.adding.BATCH_GROUPS", 2)


def made_of(path):
    """Return all that the file's tables, indexes and triggers are made of: name -> statement."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        return dict(connection.execute("SELECT name, sql FROM sqlite_master"))


def now_there(connection):
    return set(connection.exec_driver_sql("SELECT name FROM sqlite_master WHERE type = 'index'").scalars())


def seen_by(monkeypatch):
    """Return a list that gets, whenever prompts were added, which of the indexes are left out then."""
    left_out, grow = [], DeferredIndexes.grow

    def told(self, prompts):
        grow(self, prompts)
        left_out.append(BY_PROMPT - now_there(self._connection))

    monkeypatch.setattr(DeferredIndexes, "grow", told)
    return left_out


def test_after_a_large_import_the_file_has_the_tables_indexes_and_triggers_it_had(sqlite_store, soon, monkeypatch):
    store, before, left_out = open_store(sqlite_store), made_of(sqlite_store), seen_by(monkeypatch)
    assert add_groups(store, pairs(0, 9)) == Added(9, 18, 9)
    assert left_out == [set(), BY_PROMPT, BY_PROMPT, BY_PROMPT, BY_PROMPT]
    assert made_of(sqlite_store) == before
    assert before.keys() >= BY_PROMPT
    assert list(groups(store)) == list(pairs(0, 9))
    assert list(problems(store)) == []
    store.dispose()


def test_an_import_smaller_than_the_store_drops_no_index(sqlite_store, soon, monkeypatch):
    store = open_store(sqlite_store)
    add_groups(store, pairs(0, 20))
    left_out = seen_by(monkeypatch)
    add_groups(store, pairs(10, 29))
    assert left_out and not any(left_out)
    store.dispose()


def test_a_repeated_prompt_is_found_while_the_indexes_are_dropped(store, soon):
    """Its second completion comes alone, so that the first is asked for; then it has two, and is ready to be ranked."""
    first, second = (Completion(user_prompt("Again?").id, text) for text in ("one", "two"))
    again = user_prompt("Again?")
    files = [Group(again, (first,)), *pairs(0, 8), Group(again, (second,)), *pairs(8, 12)]
    assert add_groups(store, files) == Added(13, 26, 12)
    assert next(iter(groups(store))) == Group(again, (first, second))
    with reading(store) as connection:
        states = connection.exec_driver_sql("SELECT state, place FROM items ORDER BY number").all()
    assert [tuple(state) for state in states] == [("ready", 1)] + [("ranked", None)] * 12
    assert list(problems(store)) == []


def test_an_error_late_in_a_large_import_leaves_rows_and_indexes_as_they_were(sqlite_store, soon):
    store = open_store(sqlite_store)
    add_groups(store, pairs(0, 1))
    before, counts = made_of(sqlite_store), store_counts(store)

    def broken():
        yield from pairs(0, 30)
        raise InputError("label_data.plain.text", text="line 31")

    with pytest.raises(InputError, match="line 31"):
        add_groups(store, broken())
    assert made_of(sqlite_store) == before
    assert store_counts(store) == counts
    assert list(problems(store)) == []
    assert add_groups(store, pairs(0, 3)) == Added(2, 4, 2)
    store.dispose()


KILLED = """
import os, signal, sys
sys.path[:0] = [{root!r}, {tests!r}]
from label_data.database import deferred_indexes as indexing
from label_data.database.engine import open_store
from label_data.store import adding
from many_pairs import pairs

indexing.FEWEST_PROMPTS, adding.BATCH_GROUPS = 1_000, 500
grow, create = indexing.DeferredIndexes.grow, indexing.DeferredIndexes.create


def kill(self, *prompts):
    {name}(self, *prompts)
    if {when}:
        os.kill(os.getpid(), signal.SIGKILL)


indexing.DeferredIndexes.{name} = kill
adding.add_groups(open_store({path!r}), pairs(0, 4_000))
"""


@pytest.mark.parametrize(("name", "when"), [("grow", "self._missing <= -1_000"), ("create", "True")])
def test_an_import_that_is_killed_leaves_rows_and_indexes_as_they_were(sqlite_store, name, when):
    """SIGKILL, once while indexes are left out and once when they are made again but nothing is committed."""
    store = open_store(sqlite_store)
    add_groups(store, pairs(0, 1))
    before, counts = made_of(sqlite_store), store_counts(store)
    store.dispose()
    program = KILLED.format(root=str(ROOT), tests=str(TESTS / "support"), path=sqlite_store, name=name, when=when)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    store = open_store(sqlite_store)
    assert made_of(sqlite_store) == before
    assert store_counts(store) == counts
    assert list(problems(store)) == []
    assert add_groups(store, pairs(0, 2)) == Added(1, 2, 1)
    store.dispose()


def test_others_can_read_while_a_large_import_has_dropped_indexes(sqlite_store, soon):
    store, other = open_store(sqlite_store), open_store(sqlite_store)
    add_groups(store, pairs(0, 1))
    seen = []

    def watched():
        for number, group in enumerate(pairs(1, 30)):
            yield group
            if number in (5, 25):
                seen.append(list(groups(other)))

    add_groups(store, watched())
    assert seen == [list(pairs(0, 1))] * 2
    assert list(groups(other)) == list(pairs(0, 30))
    for each in (store, other):
        each.dispose()


def test_only_indexes_by_prompt_that_are_not_unique_are_dropped():
    assert {index.name for index in indexing._BY_PROMPT} == BY_PROMPT

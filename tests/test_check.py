"""Damage in a store is found and said; a sound store has none."""

import re

import pytest

from label_data.check import database_version, problems
from label_data.database import writing


def damage(store, *statements):
    with store.connect() as connection:
        connection.exec_driver_sql("ROLLBACK")
        connection.exec_driver_sql("PRAGMA foreign_keys=OFF")
        for statement in statements:
            connection.exec_driver_sql(statement)
        connection.exec_driver_sql("BEGIN")


def test_a_store_that_was_only_used_is_sound(ranked_store):
    assert list(problems(ranked_store)) == []


def test_the_databases_version_is_told(store):
    assert re.fullmatch(r"SQLite 3\.\d+\.\d+", database_version(store))


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        (
            "UPDATE items SET done = 5",
            "leased 0, done 5 and skipped 0 times, but has 0 open tasks, 1 rankings that count",
        ),
        (
            "UPDATE items SET leased = 1",
            "leased 1, done 1 and skipped 0 times, but has 0 open tasks, 1 rankings that count",
        ),
        (
            "UPDATE tasks SET state = 'open'",
            "leased 0, done 1 and skipped 0 times, but has 1 open tasks, 1 rankings that count",
        ),
        ("UPDATE items SET skipped = 1", "skipped 1 times, but has 0 open tasks, 1 rankings that count and 0 skips"),
        ("UPDATE tasks SET state = 'skipped'", "is skipped and counted 1 times, but its rankings say done"),
        ("UPDATE tasks SET purpose = 'gold'", "is done and counted 1 times, but its rankings say done"),
        ("INSERT INTO retractions VALUES ('first-submission', 0)", "is done and counted 1 times, but its rankings say"),
        ("UPDATE items SET place = 1", "has no place in its project's queue, or one it should not have"),
        ("UPDATE items SET state = 'ready'", "has no place in its project's queue"),
        ("UPDATE items SET project = 'another'", "has no place in its project's queue"),
        (
            "DELETE FROM completions WHERE text = 'first'",
            "A record can't be read: InputError: Ranking first-submission",
        ),
        ("UPDATE completions SET text = 'other' WHERE text = 'first'", "A record can't be read: InputError"),
        ('UPDATE prompts SET messages = \'[{"role":"user","content":"Other?"}]\'', "A record can't be read"),
        ("UPDATE prompts SET messages = '['", "A record can't be read: JSONDecodeError"),
        ("DELETE FROM prompts", "refers to a row of prompts that is not there."),
    ],
)
def test_each_kind_of_damage_is_said(ranked_store, statement, said):
    damage(ranked_store, statement)
    assert said in "\n".join(problems(ranked_store))


def test_a_judgement_changed_behind_the_programs_back_is_found(ranked_store):
    damage(
        ranked_store,
        *(f"DROP TRIGGER {name}" for name in triggers(ranked_store)),
        "UPDATE rankings SET reason = 'because'",
    )
    assert list(problems(ranked_store)) == ["Ranking first-submission: its judgement is not the one that was stored."]


def triggers(store):
    with writing(store) as connection:
        return list(connection.exec_driver_sql("SELECT name FROM sqlite_master WHERE type = 'trigger'").scalars())


def test_an_unranked_completion_under_another_content_than_its_id_is_found(store, tmp_path):
    from store_fixtures import add_ready_prompt

    add_ready_prompt(store, "Why?", "one", "two")
    damage(store, "UPDATE completions SET text = 'three' WHERE text = 'one'")
    (found,) = problems(store)
    assert re.fullmatch("completions: [0-9a-f]{32} is not the hash of what is stored under it.", found)

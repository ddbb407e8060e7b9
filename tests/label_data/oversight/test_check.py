"""Damage in a store is found and reported; a sound store has no problems."""

import json
import re

import pytest
from sqlalchemy import event

from damaged_stores import damage
from label_data.database.engine import open_store, writing
from label_data.exchange.importing import import_files
from label_data.oversight.check import database_version, has_wal_reset_fault, problems, repair_counters
from label_data.sentences import say
from store_fixtures import add_ready_prompt


def test_a_store_in_normal_use_has_no_problems(ranked_store):
    assert list(problems(ranked_store)) == []


def test_the_database_version_is_named(store):
    names = {"sqlite": r"SQLite 3\.\d+\.\d+", "postgresql": r"PostgreSQL \d+\.\d+.*"}
    assert re.fullmatch(names[store.dialect.name], database_version(store))


@pytest.mark.parametrize("version", [(3, 7, 0), (3, 40, 1), (3, 44, 5), (3, 45, 0), (3, 50, 6), (3, 51, 2)])
def test_versions_of_sqlite_with_the_wal_reset_fault_are_known(version):
    assert has_wal_reset_fault(version)


@pytest.mark.parametrize("version", [(3, 44, 6), (3, 50, 7), (3, 51, 3), (3, 53, 0), (4, 0, 0)])
def test_versions_of_sqlite_without_the_wal_reset_fault_are_known(version):
    assert not has_wal_reset_fault(version)


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        (
            "UPDATE items SET done = 5",
            "leased 0, done 5 and skipped 0, but has open tasks: 0, rankings that count: 1",
        ),
        (
            "UPDATE items SET leased = 1",
            "leased 1, done 1 and skipped 0, but has open tasks: 0, rankings that count: 1",
        ),
        (
            "UPDATE tasks SET state = 'open'",
            "leased 0, done 1 and skipped 0, but has open tasks: 1, rankings that count: 1",
        ),
        ("UPDATE items SET skipped = 1", "skipped 1, but has open tasks: 0, rankings that count: 1, skips: 0"),
        ("UPDATE tasks SET state = 'skipped'", "has state skipped and counted 1, but its rankings give state done"),
        ("UPDATE tasks SET purpose = 'gold'", "has state done and counted 1, but its rankings give state done"),
        (
            "INSERT INTO retractions VALUES ('first-submission', 0)",
            "has state done and counted 1, but its rankings give",
        ),
        (
            "UPDATE items SET place = 1",
            "is missing from its project's queue, or is in the queue although it should not be",
        ),
        ("UPDATE items SET state = 'ready'", "is missing from its project's queue"),
        ("UPDATE items SET project = 'another'", "is missing from its project's queue"),
        (
            "DELETE FROM completions WHERE text = 'first'",
            "A record can't be read: InputError: Ranking first-submission",
        ),
        ("UPDATE completions SET text = 'other' WHERE text = 'first'", "A record can't be read: InputError"),
        ('UPDATE prompts SET messages = \'[{"role":"user","content":"Other?"}]\'', "A record can't be read"),
        ("UPDATE prompts SET messages = '['", "A record can't be read: JSONDecodeError"),
        ("DELETE FROM prompts", "refers to a row of prompts that does not exist."),
    ],
)
def test_each_kind_of_damage_is_reported(ranked_store, statement, expected):
    damage(ranked_store, statement)
    assert expected in "\n".join(map(str, problems(ranked_store)))


@pytest.mark.parametrize("table", ["rankings", "demonstrations"])
def test_missing_triggers_are_reported(ranked_store, table):
    with writing(ranked_store) as connection:
        drop_triggers(connection, table)
    assert list(problems(ranked_store)) == [say("label_data.oversight.no_triggers", table=table)]


def test_a_ranking_changed_outside_the_program_is_reported(ranked_store):
    with writing(ranked_store) as connection:
        drop_triggers(connection, "rankings")
        connection.exec_driver_sql("UPDATE rankings SET reason = 'because'")
    assert list(problems(ranked_store))[1:] == [say("label_data.oversight.wrong_digest", ranking="first-submission")]


def drop_triggers(connection, table):
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(f"DROP TRIGGER {table}_append_only ON {table}")
    else:
        for action in ("update", "delete"):
            connection.exec_driver_sql(f"DROP TRIGGER {table}_no_{action}")


def test_wrong_counters_are_repaired_and_right_ones_stay(ranked_store):
    """Of two prompts one is counted wrong in both ways: it has one ranking and no open task."""
    add_ready_prompt(ranked_store, "And why is grass green?")
    damage(ranked_store, "UPDATE items SET done = 7, leased = 3 WHERE done = 1")
    assert len(list(problems(ranked_store))) == 1
    assert repair_counters(ranked_store) == 1
    assert list(problems(ranked_store)) == []
    assert repair_counters(ranked_store) == 0


def test_an_unranked_completion_whose_content_does_not_match_its_id_is_reported(store):
    add_ready_prompt(store, "Why?", "one", "two")
    damage(store, "UPDATE completions SET text = 'three' WHERE text = 'one'")
    (result,) = problems(store)
    assert re.fullmatch("completions: [0-9a-f]{32} is not the hash of the content stored under it.", str(result))


def steps_of_a_check(folder, pairs):
    """Return how many thousands of steps SQLite takes to look through a store of so many pairs from a file."""
    file, steps = folder / f"{pairs}.jsonl", []
    rows = ({"prompt": f"Question {n}?", "chosen": f"yes {n}", "rejected": f"no {n}"} for n in range(pairs))
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    store = open_store(folder / f"{pairs}.db")
    import_files(store, [file])
    event.listen(store, "checkout", lambda raw, *_: raw.set_progress_handler(lambda: steps.append(1), 1000))
    store.dispose()
    assert list(problems(store)) == []
    store.dispose()
    return len(steps)


def test_the_check_takes_time_proportional_to_the_rankings(tmp_path):
    """Looked up prompt by prompt, rankings that came in files were all gone through for each, by an index on `task`."""
    assert steps_of_a_check(tmp_path, 800) < 2.5 * steps_of_a_check(tmp_path, 400)

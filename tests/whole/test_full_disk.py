"""A full disk gives one clear sentence and nothing half-written, and work goes on once there is space.

Tests of the feature cache and of model folders are in test_features.py and test_model.py.
"""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import select

from full_disks import KIB, SAID, SmallDisk, refusal
from label_data.assignment.answers import Answer, submit
from label_data.assignment.tasks import next_tasks
from label_data.database import schema
from label_data.database.engine import open_store, reading
from label_data.errors import InputError
from label_data.exchange.exporting import export_file
from label_data.oversight.check import problems, store_revision
from label_data.oversight.copies import back_up, restore
from label_data.oversight.progress import store_counts
from label_data.records import Completion, Group, user_prompt
from label_data.store.adding import add_groups
from label_data.store.annotators import find_or_add_annotator
from label_data.store.stored_groups import groups
from store_fixtures import NEWEST
from tests.support.paths import OLD_STORES

TASKS = 12
ROOM = (0, 4 * KIB, 28 * KIB, 64 * KIB, 100 * KIB, 160 * KIB)
"""Free bytes: from none to enough for the first steps of a test."""


# The store


@pytest.fixture(scope="module")
def filled_store(tmp_path_factory):
    """The file of a store with twelve prompts that Ann can rank."""
    path = tmp_path_factory.mktemp("filled") / "store.db"
    store = open_store(path)
    add_ready_prompts(store, TASKS)
    find_or_add_annotator(store, "Ann")
    store.dispose()
    return path


def add_ready_prompts(store, number):
    prompts = [user_prompt(f"Question {index}?") for index in range(number)]
    return add_groups(
        store, (Group(prompt, tuple(Completion(prompt.id, text * 200) for text in "abc")) for prompt in prompts)
    )


def answer(task):
    return Answer(task.token, f"to {task.token}", "ranked", [[0], [1], [2]])


def test_a_ranking_that_the_disk_did_not_take_is_refused_and_none_that_was_taken_is_lost(disk, filled_store):
    """The disk fills up at some ranking. When all are sent again with space, only the refused ones are new."""
    refused = 0
    for room in ROOM:
        path = Path(shutil.copy(filled_store, disk.folder / "store.db"))
        store = open_store(path)
        ann = find_or_add_annotator(store, "Ann").id
        tasks = next_tasks(store, ann, count=TASKS)
        assert len(tasks) == TASKS
        results = {}
        with disk.full(room):
            for task in tasks:
                try:
                    results[task.token] = submit(store, answer(task), ann)
                except InputError as error:
                    results[task.token] = str(error)
            with reading(store) as connection:
                kept = set(connection.scalars(select(schema.rankings.c.task)))
        assert kept == {token for token, result in results.items() if result == "saved"}
        assert all(result == "saved" or SAID in result for result in results.values())
        refused += len(tasks) - len(kept)
        for task in tasks:
            assert submit(store, answer(task), ann) == ("repeat" if task.token in kept else "saved")
        assert list(problems(store)) == []
        store.dispose()
        for file in disk.folder.glob("store.db*"):
            file.unlink()
    assert TASKS <= refused < TASKS * len(ROOM)


def test_an_import_that_the_disk_did_not_take_adds_nothing(disk, filled_store):
    for room in (0, 64 * KIB, 160 * KIB):
        path = Path(shutil.copy(filled_store, disk.folder / "store.db"))
        store = open_store(path)
        before = store_counts(store)
        with disk.full(room), pytest.raises(InputError) as error:
            add_ready_prompts(store, 200)
        assert SAID in refusal(error)
        assert store_counts(store) == before
        assert add_ready_prompts(store, 100).prompts == 100 - TASKS
        assert list(problems(store)) == []
        store.dispose()


def test_a_store_that_there_is_no_room_for_is_made_once_there_is(disk):
    refused = 0
    for room in (0, 64 * KIB, 128 * KIB):
        path = disk.folder / f"{room}.db"
        with disk.full(room):
            try:
                open_store(path).dispose()
            except InputError:
                refused += 1
        store = open_store(path)
        assert add_ready_prompts(store, 1).prompts == 1
        assert list(problems(store)) == []
        store.dispose()
    assert refused >= 2


def test_a_store_that_there_is_no_room_to_upgrade_is_left_as_it_was(disk):
    refused = 0
    old = (OLD_STORES / "0002.sql").read_text(encoding="utf-8")
    for room in (0, 50 * KIB, 200 * KIB, 700 * KIB):
        path = disk.folder / "old.db"
        with closing(sqlite3.connect(path)) as connection:
            connection.executescript(old)
        with disk.full(room):
            try:
                open_store(path).dispose()
            except InputError:
                refused += 1
                with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
                    assert connection.execute("SELECT version_num FROM alembic_version").fetchone() == ("0002",)
        store = open_store(path)
        assert store_revision(store) == NEWEST
        assert [ranking.submission for group in groups(store) for ranking in group.rankings] == ["first-submission"]
        assert list(problems(store)) == []
        store.dispose()
        for file in disk.folder.iterdir():
            file.unlink()
    assert refused >= 2


def test_a_backup_is_there_whole_or_not_at_all(disk, sqlite_store, tmp_path):
    """400 prompts take 800 KiB. With room for 1,000 KiB everything reaches the log, and only the last step fails, from
    the log into the file: SQLite reports no error when it closes a file.
    """
    source, file = open_store(sqlite_store), disk.folder / "kept.db"
    add_ready_prompts(source, 400)
    for room in (0, 1_000 * KIB) if isinstance(disk, SmallDisk) else (0,):
        with disk.full(room), pytest.raises(InputError) as error:
            back_up(source, file)
        refusal(error)
        assert list(disk.folder.iterdir()) == []
    back_up(source, file)
    restored = open_store(tmp_path / "restored.db")
    assert restore(file, restored).rows["prompts"] == 400
    for store in (source, restored):
        store.dispose()


def test_a_backup_is_not_called_damaged_where_there_is_no_room_to_read_it(disk, filled_store, tmp_path, monkeypatch):
    source, file = open_store(filled_store), tmp_path / "kept.db"
    back_up(source, file)
    restored = open_store(tmp_path / "restored.db")
    monkeypatch.setattr("tempfile.tempdir", str(disk.folder))
    with disk.full(16 * KIB), pytest.raises(InputError) as error:
        restore(file, restored)
    assert f"{SAID} in {disk.folder}" in refusal(error)
    assert restore(file, restored).rows["prompts"] == TASKS
    for store in (source, restored):
        store.dispose()


def test_a_full_disk_under_postgresql_is_said_in_the_same_words(postgres_store):
    """A trigger raises the error of a full disk, 53100, because the tests have no separate disk for the server."""
    store = open_store(postgres_store)
    add_ready_prompts(store, 1)
    ann = find_or_add_annotator(store, "Ann").id
    (task,) = next_tasks(store, ann)
    full = "BEGIN RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = '53100'; END"
    with psycopg.connect(postgres_store, autocommit=True) as connection:
        connection.execute(f"CREATE FUNCTION no_space() RETURNS trigger LANGUAGE plpgsql AS $${full}$$")
        connection.execute("CREATE TRIGGER no_space BEFORE INSERT ON rankings EXECUTE FUNCTION no_space()")
        with pytest.raises(InputError) as error:
            submit(store, answer(task), ann)
        connection.execute("DROP TRIGGER no_space ON rankings")
        connection.execute("DROP FUNCTION no_space")
    assert SAID in refusal(error)
    assert submit(store, answer(task), ann) == "saved"
    assert list(problems(store)) == []
    store.dispose()


# Exports


@pytest.mark.parametrize("ending", [".jsonl", ".jsonl.gz", ".parquet"])
@pytest.mark.parametrize("format_", ["groups", "trl"])
def test_an_export_that_the_disk_did_not_take_leaves_the_old_file(disk, planted_store, format_, ending):
    file = disk.folder / f"out{ending}"
    export_file(planted_store, file, format_)
    whole = file.read_bytes()
    file.write_bytes(b"old")
    for room in (0, 4 * KIB, len(whole) // 2 // (4 * KIB) * 4 * KIB):
        with disk.full(room), pytest.raises(InputError) as error:
            export_file(planted_store, file, format_)
        assert refusal(error).startswith(f"{file}: ")
        assert file.read_bytes() == b"old"
        assert [path.name for path in disk.folder.iterdir()] == [file.name]
    export_file(planted_store, file, format_)
    assert file.read_bytes() == whole

"""Stores are copied completely and verified, in either direction, and backed up while others write."""

import hashlib
import sqlite3
import threading
from itertools import count

import pytest

from label_data.assignment.answers import Answer, submit
from label_data.assignment.drafts import save_draft
from label_data.assignment.own_rankings import retract
from label_data.assignment.tasks import next_tasks
from label_data.database.engine import open_store, reading, writing
from label_data.database.schema import metadata
from label_data.errors import InputError
from label_data.exchange.exporting import export_file
from label_data.oversight.check import problems
from label_data.oversight.copies import back_up, copy_store, restore
from label_data.oversight.progress import store_counts
from label_data.records import user_prompt
from label_data.settings import ProjectSettings
from label_data.store.adding import add_prompts
from label_data.store.annotators import find_or_add_annotator
from label_data.store.jobs import add_job, unfinished_jobs
from label_data.store.projects import project_settings, save_settings
from label_data.store.stored_groups import groups
from label_data.versions.making import make_version
from label_data.versions.recipes import Recipe
from label_data.versions.version import record_model
from store_fixtures import add_ready_prompt
from tests.support.paths import OLD_STORES


@pytest.fixture
def full_store(ranked_store):
    """A store with something in every table: settings, a revised ranking, a demonstration, a draft, a version …"""
    save_settings(ranked_store, ProjectSettings(name="Moved", annotators_per_prompt=2))
    ann = find_or_add_annotator(ranked_store, "Ann").id
    (old,) = next(groups(ranked_store)).rankings
    bob = find_or_add_annotator(ranked_store, "Bob").id
    (task,) = next_tasks(ranked_store, bob)
    first = Answer(task.token, "bobs", "ranked", [[0, 1], [2]], [3], {2: ["untrue"]}, "n\u0303 \U0001f600", 2.25)
    submit(ranked_store, first, bob)
    submit(ranked_store, Answer(task.token, "bobs-2", "all_bad", demonstration="Better.", revises="bobs"), bob)
    add_ready_prompt(ranked_store, "Open?", "a", "b")
    (task,) = next_tasks(ranked_store, ann)
    assert save_draft(ranked_store, task.token, ann, {"at": 1, "revises": None})
    submit(ranked_store, Answer(task.token, "gone", "all_bad"), ann)
    assert retract(ranked_store, "gone", ann)
    add_ready_prompt(ranked_store, "Open still?", "a", "b")
    (task,) = next_tasks(ranked_store, ann)
    assert save_draft(ranked_store, task.token, ann, {"at": 1, "revises": None})
    add_job(ranked_store, "train", {"x": 1})
    record_model(ranked_store, make_version(ranked_store, "v1", Recipe("default")), "runs/one", "a" * 64, {})
    assert old.submission == "first-submission"
    return ranked_store


def contents(store):
    with reading(store) as connection:
        return {
            table.name: [tuple(row) for row in connection.execute(table.select().order_by(*table.primary_key.columns))]
            for table in metadata.sorted_tables
        }


@pytest.fixture(params=["to a file", "to a database"])
def other(request, tmp_path, empty_database):
    """Return the address of a place where there is no store yet."""
    return str(tmp_path / "other.db") if request.param == "to a file" else empty_database


def test_a_copy_has_every_row_and_exports_the_same_bytes(full_store, other, tmp_path):
    target = open_store(other)
    copied = copy_store(full_store, target)
    assert contents(target) == contents(full_store)
    assert all(rows for table, rows in copied.rows.items())
    for store, name in ((full_store, "a.jsonl"), (target, "b.jsonl")):
        export_file(store, tmp_path / name, "groups")
        assert hashlib.sha256((tmp_path / name).read_bytes()).hexdigest() == copied.sha256
    target.dispose()


def test_a_copied_store_works_like_the_original(full_store, other):
    """A draft, an open task and a queued job go on; new rows get numbers after the last one copied."""
    target = open_store(other)
    copy_store(full_store, target)
    assert [job.kind for job in unfinished_jobs(target)] == ["train"]
    assert project_settings(target) == project_settings(full_store)
    ann = find_or_add_annotator(target, "Ann").id
    (task,) = next_tasks(target, ann)
    assert '"revises":null' in task.draft
    assert submit(target, Answer(task.token, "after the move", "all_bad"), ann) == "saved"
    add_ready_prompt(target, "New?")
    assert find_or_add_annotator(target, "bob") == find_or_add_annotator(full_store, "bob")
    assert store_counts(target).prompts == 4
    assert list(problems(target)) == []
    target.dispose()


def test_a_store_in_use_is_neither_copied_over_nor_restored_over(full_store, tmp_path):
    target = open_store(tmp_path / "target.db")
    add_prompts(target, [user_prompt("Mine?")])
    before = contents(target)
    with pytest.raises(InputError, match=r"this store is in use \(it has prompts\) and was left unchanged"):
        copy_store(full_store, target)
    back_up(full_store, tmp_path / "backup.db")
    with pytest.raises(InputError, match="is in use"):
        restore(tmp_path / "backup.db", target)
    assert contents(target) == before


def test_a_failed_copy_leaves_the_target_new(full_store, other):
    target = open_store(other)
    before = contents(target)

    def stop(table, rows):
        if table == "rankings":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        copy_store(full_store, target, stop)
    assert contents(target) == before
    copy_store(full_store, target)
    assert contents(target) == contents(full_store)
    target.dispose()


def test_a_backup_is_one_file_that_restores_to_the_same_store(full_store, other, tmp_path):
    created = back_up(full_store, tmp_path / "backup.db")
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith((".", "backup"))] == ["backup.db"]
    target = open_store(other)
    assert restore(tmp_path / "backup.db", target) == created
    assert contents(target) == contents(full_store)
    target.dispose()


def test_a_backup_during_writes_is_a_snapshot_with_everything_acknowledged_before(store, tmp_path):
    """Two threads add and rank; the backup has at least what was there when it began and nothing by halves."""
    add_ready_prompt(store, "First?")
    stop, failures = threading.Event(), []

    def write(name):
        try:
            ann = find_or_add_annotator(store, name).id
            for number in count():
                if stop.is_set():
                    return
                add_ready_prompt(store, f"{name} {number}?")
                for task in next_tasks(store, ann, count=1):
                    submit(store, Answer(task.token, f"{name} {number}", "ranked", [[0], [1], [2]]), ann)
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=write, args=(name,)) for name in ("Ann", "Bob")]
    for thread in threads:
        thread.start()
    while store_counts(store).rankings < 5:
        pass
    acknowledged = {group.prompt.id: {ranking.submission for ranking in group.rankings} for group in groups(store)}
    back_up(store, tmp_path / "backup.db")
    stop.set()
    for thread in threads:
        thread.join()
    assert failures == []
    restored = open_store(tmp_path / "restored.db")
    restore(tmp_path / "backup.db", restored)
    assert list(problems(restored)) == []
    final = {group.prompt.id: group for group in groups(store)}
    result = {group.prompt.id: group for group in groups(restored)}
    assert acknowledged.keys() <= result.keys() <= final.keys()
    for prompt, submissions in acknowledged.items():
        assert submissions <= {ranking.submission for ranking in result[prompt].rankings}
    for prompt, group in result.items():
        assert all(ranking in final[prompt].rankings for ranking in group.rankings)
    restored.dispose()


def test_a_backup_of_an_earlier_version_restores_and_is_not_changed(tmp_path):
    with sqlite3.connect(tmp_path / "old.db") as old:
        old.executescript((OLD_STORES / "0001.sql").read_text(encoding="utf-8"))
    old.close()
    before = (tmp_path / "old.db").read_bytes()
    target = open_store(tmp_path / "new.db")
    assert restore(tmp_path / "old.db", target).rows["rankings"] == 1
    assert list(problems(target)) == []
    assert (tmp_path / "old.db").read_bytes() == before
    assert not list(tmp_path.glob("old.db?*"))
    target.dispose()


def test_a_backup_that_cannot_be_written_names_the_problem(store, tmp_path):
    (tmp_path / "there.db").write_text("mine")
    with pytest.raises(InputError, match=r"there\.db exists already and was left unchanged"):
        back_up(store, tmp_path / "there.db")
    assert (tmp_path / "there.db").read_text() == "mine"
    with pytest.raises(InputError, match=r"no/folder/b\.db: the backup can't be written"):
        back_up(store, tmp_path / "no" / "folder" / "b.db")


def test_a_file_that_is_no_backup_is_refused(tmp_path):
    target = open_store(tmp_path / "target.db")
    (tmp_path / "notes.db").write_text("Buy milk. " * 100)
    with pytest.raises(InputError, match=r"notes\.db: not a readable backup"):
        restore(tmp_path / "notes.db", target)
    with pytest.raises(InputError, match=r"none\.db: no such file"):
        restore(tmp_path / "none.db", target)


def test_a_copy_that_exports_other_bytes_is_discarded(full_store, other):
    """A target that keeps something else: a trigger there gives every prompt another category as it is stored."""
    target = open_store(other)
    with writing(target) as connection:
        for statement in CHANGE[target.dialect.name]:
            connection.exec_driver_sql(statement)
    with pytest.raises(RuntimeError, match="copy discarded"):
        copy_store(full_store, target)
    assert store_counts(target).prompts == 0
    target.dispose()


CHANGE = {
    "sqlite": [
        "CREATE TRIGGER change AFTER INSERT ON prompts "
        "BEGIN UPDATE prompts SET category = 'other' WHERE number = NEW.number; END"
    ],
    "postgresql": [
        "CREATE FUNCTION change() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN NEW.category = 'other'; RETURN NEW; END $$",
        "CREATE TRIGGER change BEFORE INSERT ON prompts FOR EACH ROW EXECUTE FUNCTION change()",
    ],
}

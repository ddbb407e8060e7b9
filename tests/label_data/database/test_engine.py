"""Opening, upgrading and refusing stores."""

import sqlite3
import threading

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import bindparam, create_engine, insert, select, text, update
from sqlalchemy.exc import DBAPIError, IntegrityError

from label_data.assignment.answers import Answer, submit
from label_data.assignment.own_rankings import own_rankings
from label_data.assignment.tasks import next_tasks
from label_data.database.engine import change, displayed_address, open_store, reading, store_url, writing
from label_data.database.schema import annotators, metadata, now_us
from label_data.errors import InputError
from label_data.oversight.check import problems
from label_data.oversight.progress import store_counts
from label_data.records import Ranking, user_prompt
from label_data.store.adding import add_prompts
from label_data.store.annotators import find_or_add_annotator
from label_data.store.projects import project_settings
from label_data.store.single_records import save_ranking
from label_data.store.stored_groups import groups
from store_fixtures import NEWEST, add_ready_prompt
from tests.support.paths import OLD_STORES

_ann = {"id": "1", "name": "Ann", "folded_name": "ann", "added_us": 0}


def test_a_new_store_is_created_with_its_folders(tmp_path):
    store = open_store(tmp_path / "deep" / "store.db")
    assert store_counts(store).prompts == 0
    assert (tmp_path / "deep" / "store.db").exists()


def test_a_missing_store_that_must_exist_is_refused(tmp_path):
    with pytest.raises(InputError, match="there is no store"):
        open_store(tmp_path / "none.db", create=False)


def test_a_store_opened_again_has_its_data(tmp_path):
    add_prompts(open_store(tmp_path / "store.db"), [user_prompt("Why is the sky blue?")])
    assert store_counts(open_store(tmp_path / "store.db")).prompts == 1


def test_the_migrations_make_the_tables_that_the_schema_describes(store):
    with reading(store) as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []


def test_an_error_rolls_back_and_a_reader_sees_a_snapshot(store):
    with pytest.raises(ZeroDivisionError), writing(store) as connection:
        connection.execute(insert(annotators).values(_ann))
        raise ZeroDivisionError
    with reading(store) as connection:
        assert connection.scalars(select(annotators.c.name)).all() == []
        with writing(store) as other:
            other.execute(insert(annotators).values(_ann))
        assert connection.scalars(select(annotators.c.name)).all() == []
    with reading(store) as connection:
        assert connection.scalars(select(annotators.c.name)).all() == ["Ann"]


def test_a_statement_compiled_once_changes_the_same(store):
    """Twice, so that the second finds the text: constants, values by name and in any order, what is returned."""
    add = insert(annotators).values(added_us=now_us(), name=bindparam("called")).returning(annotators.c.added_us)
    rename = update(annotators).where(annotators.c.id == bindparam("who")).values(name="Bob")
    with writing(store) as connection:
        for id in ("1", "2"):
            assert change(connection, add, folded_name=id, called="Ann", id=id).scalar() > 0
        assert [change(connection, rename, who=id, unknown=None).rowcount for id in ("2", "3")] == [1, 0]
        assert connection.execute(select(annotators.c["id", "name"])).all() == [("1", "Ann"), ("2", "Bob")]


def test_a_store_that_a_newer_version_wrote_is_refused(store, address):
    with writing(store) as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(InputError, match="a newer version of the workbench wrote this store"):
        open_store(address)


def test_a_file_of_a_newer_version_is_not_changed(tmp_path):
    store = open_store(tmp_path / "store.db")
    with writing(store) as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    before = (tmp_path / "store.db").read_bytes()
    with pytest.raises(InputError):
        open_store(tmp_path / "store.db")
    assert (tmp_path / "store.db").read_bytes() == before


def test_a_database_opened_by_many_at_once_gets_its_tables_once(empty_database):
    """Three connections find no table and want to make them; the second and third must find them made."""
    with pytest.raises(InputError, match="there is no store"):
        open_store(empty_database, create=False)
    start, opened = threading.Barrier(3), []

    def open_it():
        start.wait()
        opened.append(open_store(empty_database))

    threads = [threading.Thread(target=open_it) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [store_counts(store).prompts for store in opened] == [0, 0, 0]
    for store in opened:
        store.dispose()


def test_an_address_names_psycopg_as_the_driver_and_shows_no_password():
    url = store_url("postgres://ann:secret@db.example/labels")
    assert (url.drivername, url.password) == ("postgresql+psycopg", "secret")
    assert displayed_address(url) == "postgresql://ann:***@db.example/labels"
    assert displayed_address(store_url("data/workbench.db")) == "data/workbench.db"


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("mysql://db.example/labels", "not a supported database. Name a SQLite file or a PostgreSQL database"),
        ("sqlite://", "not a supported database. Name a SQLite file or a PostgreSQL database"),
        ("postgresql://ann:secret@db.example:port/labels", "The store's address is not a URL."),
        (
            "postgresql://ann:secret@/labels?host=%2Fnowhere",
            r"postgresql://ann:\*\*\*@/labels.*: cannot be opened",
        ),
    ],
)
def test_an_address_that_is_no_store_is_refused_without_showing_the_password(address, expected):
    with pytest.raises(InputError, match=expected) as caught:
        open_store(address)
    assert "secret" not in str(caught.value)


def test_a_database_of_another_encoding_is_refused(postgres):
    """One in which not every text can be kept."""
    postgres.run("CREATE DATABASE latin OWNER workbench TEMPLATE template0 ENCODING LATIN1 LOCALE 'C'")
    with pytest.raises(InputError, match="the database has encoding LATIN1"):
        open_store(postgres.dsn("latin"))
    postgres.drop_database("latin")


def test_a_commit_that_was_acknowledged_is_on_postgresqls_disk_whatever_the_database_is_set_to(
    empty_database, postgres
):
    postgres.run("ALTER DATABASE bare SET synchronous_commit = off")
    store = open_store(empty_database)
    with reading(store) as connection:
        assert connection.execute(text("SHOW synchronous_commit")).scalar() == "on"
    store.dispose()


def test_a_connection_that_the_server_closed_is_opened_again_without_an_error(postgres_store):
    store = open_store(postgres_store)
    with psycopg.connect(postgres_store, autocommit=True) as other:
        for _ in range(2):
            with reading(store) as connection:
                pid = connection.exec_driver_sql("SELECT pg_backend_pid()").scalar()
            assert other.execute("SELECT pg_terminate_backend(%s, 10000)", (pid,)).fetchone() == (True,)
    with writing(store) as connection:
        assert connection.exec_driver_sql("SELECT pg_backend_pid()").scalar() != pid
    store.dispose()


def test_text_comes_back_byte_for_byte(store):
    """Two forms of é, a joined family, a right-to-left mark, a tab, a carriage return and all of Latin-1."""
    texts = ["caf\u00e9 cafe\u0301", "\U0001f468\u200d\U0001f469", "\u200fא\t\r\n ", "".join(map(chr, range(1, 256)))]
    add_ready_prompt(store, "What is kept?", *texts)
    (group,) = groups(store)
    assert [completion.text for completion in group.completions] == texts


def test_a_file_that_is_no_store_is_refused(tmp_path):
    (tmp_path / "notes.db").write_text("Buy milk. " * 200)
    with pytest.raises(InputError, match="cannot be opened as a store"):
        open_store(tmp_path / "notes.db")


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="can't be created"):
        open_store(tmp_path / "file" / "store.db")


@pytest.mark.parametrize("change", ["UPDATE rankings SET reason = 'other'", "DELETE FROM rankings"])
def test_rankings_can_neither_be_changed_nor_deleted(ranked_store, change):
    refused = "append-only|permission denied for table rankings"
    with pytest.raises(DBAPIError, match=refused), writing(ranked_store) as connection:
        connection.execute(text(change))
    assert store_counts(ranked_store).rankings == 1


@pytest.mark.parametrize("change", ["UPDATE rankings SET reason = 'x'", "DELETE FROM rankings", "TRUNCATE rankings"])
def test_on_postgresql_not_even_a_superuser_changes_a_ranking_by_mistake(ranked_postgresql_store, change):
    superuser = create_engine(ranked_postgresql_store.url.set(username="postgres"))
    try:
        with pytest.raises(IntegrityError, match="rankings are append-only"), superuser.begin() as connection:
            connection.execute(text(change + (" CASCADE" if change.startswith("TRUNCATE") else "")))
    finally:
        superuser.dispose()


@pytest.fixture
def ranked_postgresql_store(postgres_store):
    store = open_store(postgres_store)
    prompt = add_ready_prompt(store, "Why?", "one", "two")
    (group,) = groups(store)
    save_ranking(store, Ranking(prompt.id, "ann", tuple(c.id for c in group.completions), outcome="all_bad"))
    yield store
    store.dispose()


def test_commits_are_on_the_disk_before_they_are_acknowledged(tmp_path):
    """SQLite's synchronous mode 2 is FULL: 700 simulated power cuts lost nothing with it, and lost rows with NORMAL."""
    with reading(open_store(tmp_path / "store.db")) as connection:
        assert connection.execute(text("PRAGMA synchronous")).scalar() == 2
        assert connection.execute(text("PRAGMA journal_mode")).scalar() == "wal"


@pytest.mark.parametrize("written_by", sorted((OLD_STORES).glob("*.sql")), ids=lambda path: path.stem)
def test_a_store_of_every_earlier_version_opens_with_all_its_data(tmp_path, written_by):
    """Each holds two prompts of Ann's: one she ranked as [[0], [1, 2]], the other still open."""
    with sqlite3.connect(tmp_path / "store.db") as old:
        old.executescript(written_by.read_text(encoding="utf-8"))
    old.close()
    store = open_store(tmp_path / "store.db")
    assert list(problems(store)) == []
    with reading(store) as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
    ranked, waiting = groups(store)
    (ranking,) = ranked.rankings
    assert (ranking.submission, ranking.strength, ranking.reason) == ("first-submission", (2,), "why not")
    assert [len(tied) for tied in ranking.order] == [1, 2]
    assert (ranking.ratings, ranking.spans, ranked.demonstrations) == ({}, (), ())
    assert save_ranking(store, ranking) == "repeat"
    ann = find_or_add_annotator(store, "Ann").id
    (task,) = next_tasks(store, ann)
    assert task.prompt == waiting.prompt
    assert submit(store, Answer(task.token, "new", "ranked", [[0], [1]], ratings={0: 7}), ann) == "saved"
    assert project_settings(store)[0].name == "Old"
    (work,) = own_rankings(store, ann, "sky")
    assert submit(store, Answer(work.task.token, "newer", "all_bad", revises="first-submission"), ann) == "saved"
    assert list(problems(store)) == []
    assert (tmp_path / f"store.db.before-{NEWEST}").exists()
    store.dispose()


def test_a_skip_of_an_earlier_version_no_longer_takes_a_place(tmp_path):
    """Before 0004 a skip counted: Ann's, of the second of two prompts that two are asked for, left it one place."""
    with sqlite3.connect(tmp_path / "store.db") as old:
        old.executescript((OLD_STORES / "0002.sql").read_text(encoding="utf-8"))
        columns = [row[1] for row in old.execute("PRAGMA table_info(rankings)")]
        copied = ", ".join(f'"{name}"' for name in columns)
        changed = {
            "number": "2",
            "submission": "'a skip'",
            "prompt_id": "(SELECT prompt_id FROM items WHERE number = 2)",
            "task": "(SELECT token FROM tasks WHERE item = 2)",
            "shown": "(SELECT shown FROM tasks WHERE item = 2)",
            "order": "'[]'",
            "strength": "'[]'",
            "flags": "'{}'",
            "ratings": "'{}'",
            "spans": "'[]'",
            "outcome": "'skipped'",
        }
        values = ", ".join(changed.get(name, f'"{name}"') for name in columns)
        old.execute(f"INSERT INTO rankings ({copied}) SELECT {values} FROM rankings")
        old.execute("UPDATE tasks SET state = 'done' WHERE item = 2")
        old.execute("UPDATE items SET done = 1, leased = 0 WHERE number = 2")
    old.close()
    store = open_store(tmp_path / "store.db")
    with reading(store) as connection:
        items = connection.execute(text("SELECT done, leased, skipped, state FROM items ORDER BY number")).all()
    assert items == [(1, 0, 0, "ready"), (0, 0, 1, "ready")]
    bob = find_or_add_annotator(store, "Bob").id
    assert len(next_tasks(store, bob)) == 2
    assert next_tasks(store, find_or_add_annotator(store, "Ann").id) == []
    assert not [problem for problem in problems(store) if "stored hash" not in str(problem)]
    store.dispose()

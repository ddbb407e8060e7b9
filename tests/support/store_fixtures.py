"""Stores for tests, on SQLite and PostgreSQL."""

import shutil
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import psycopg
import pytest

from label_data.assignment.answers import Answer, submit
from label_data.assignment.tasks import next_tasks
from label_data.database.engine import Store, open_store, writing
from label_data.database.schema import metadata
from label_data.records import Completion, Prompt, user_prompt
from label_data.store.adding import add_prompts
from label_data.store.annotators import find_or_add_annotator
from label_data.store.samples import save_samples
from postgres_server import NOT_DURABLE, PostgresServer, running_postgres

BACK_ENDS = ("sqlite", "postgresql")
on_sqlite = pytest.mark.parametrize("address", ["sqlite"], indirect=True)
"""Mark a test of `store`, or of a fixture based on it, that need not run on PostgreSQL."""
NEWEST, TRIGGERS = "0008", 6
"""Migration and number of triggers of a new store on PostgreSQL."""


def completions_of(prompt: Prompt, *texts: str) -> list[Completion]:
    """Return completions with these texts, as if written by the policy "tiny"."""
    return [
        Completion(prompt.id, text, "tiny", "1", {"temperature": 0.8}, seed, "stop") for seed, text in enumerate(texts)
    ]


def add_ready_prompt(store: Store, question: str, *texts: str) -> Prompt:
    """Add a prompt with these completions, ready to be ranked."""
    prompt = user_prompt(question)
    add_prompts(store, [prompt])
    save_samples(store, prompt, completions_of(prompt, *(texts or ("first", "second", "third"))))
    return prompt


def let_leases_run_out(store: Store) -> None:
    """Let the lease of every open task expire."""
    with writing(store) as connection:
        connection.exec_driver_sql("UPDATE tasks SET expires_us = 0")


@pytest.fixture(scope="session")
def empty_store_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the file of an empty store to copy: migrating a new one takes longer than most tests."""
    path = tmp_path_factory.mktemp("empty") / "store.db"
    open_store(path).dispose()
    return path


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """Return a PostgreSQL server with an empty store in its database "empty"; nothing is synced to disk."""
    with running_postgres(*NOT_DURABLE) as server:
        server.make_database("empty")
        open_store(server.dsn("empty")).dispose()
        yield server


@pytest.fixture
def empty_database(postgres: PostgresServer) -> Iterator[str]:
    """Return the address of a database without tables."""
    postgres.make_database("bare")
    yield postgres.dsn("bare")
    postgres.drop_database("bare")


@pytest.fixture
def postgres_store(postgres: PostgresServer) -> Iterator[str]:
    """Return the address of an empty store on PostgreSQL.

    The database is emptied after the test, in a hundredth of the time that creating another takes. If the test has
    changed its triggers or version, it is created anew.
    """
    yield postgres.dsn("empty")
    empty(postgres)


def empty(postgres: PostgresServer) -> None:
    """Empty the database "empty", or create it anew if its triggers or version have changed."""
    with psycopg.connect(postgres.dsn("empty", "postgres"), autocommit=True) as connection:
        connection.execute("SET lock_timeout = '20s'")
        connection.execute("SET session_replication_role = replica")  # disables triggers and foreign keys
        for table in metadata.sorted_tables:
            connection.execute(f"DELETE FROM {table.name}")
        connection.execute("INSERT INTO projects (id, added_us, next_place) VALUES ('default', 0, 1)")
        kept = connection.execute(
            "SELECT version_num, (SELECT count(*) FROM pg_trigger WHERE NOT tgisinternal) FROM alembic_version"
        ).fetchone()
    if kept != (NEWEST, TRIGGERS):
        postgres.drop_database("empty")
        postgres.make_database("empty")
        open_store(postgres.dsn("empty")).dispose()


@pytest.fixture(params=BACK_ENDS)
def new_store(request: pytest.FixtureRequest, tmp_path: Path, empty_store_file: Path) -> Iterator[Callable[[], Store]]:
    """Return a function that opens a new empty store, on either back end; use one store at a time."""
    if request.param == "sqlite":
        numbers = count()
        yield lambda: open_store(shutil.copy(empty_store_file, tmp_path / f"{next(numbers)}.db"))
        return
    server, address = request.getfixturevalue("postgres"), request.getfixturevalue("postgres_store")

    def opened() -> Store:
        empty(server)
        return open_store(address)

    yield opened


@pytest.fixture
def sqlite_store(tmp_path: Path, empty_store_file: Path) -> str:
    """Return the path of an empty store in a file."""
    return str(shutil.copy(empty_store_file, tmp_path / "store.db"))


@pytest.fixture(params=BACK_ENDS)
def address(request: pytest.FixtureRequest) -> str:
    """Return the address of an empty store, on either back end."""
    return request.getfixturevalue(f"{'postgres' if request.param == 'postgresql' else 'sqlite'}_store")


@pytest.fixture
def store(address: str) -> Iterator[Store]:
    """Return an empty store, on either back end."""
    opened = open_store(address)
    yield opened
    opened.dispose()


@pytest.fixture
def ranked_store(store: Store) -> Store:
    """Return a store with one prompt, which Ann has ranked in the order shown."""
    add_ready_prompt(store, "Why is the sky blue?")
    ann = find_or_add_annotator(store, "Ann")
    (task,) = next_tasks(store, ann.id)
    submit(store, Answer(task.token, "first-submission", "ranked", [[0], [1], [2]], seconds=4.5), ann.id)
    return store

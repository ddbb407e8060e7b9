"""Opening the store: one engine a process, migrated to this version before it is handed out.

A store is a SQLite file or a PostgreSQL database; whatever reads or writes it goes through `reading` and `writing`.

SQLite has one writer at a time. Its transactions begin with BEGIN IMMEDIATE (a deferred one that turns into a writer
fails with "database is locked" as soon as two processes write), after waiting in a first-come, first-served `Gate`
that is held over the commit: so no two connections ever write and checkpoint at once either, which versions of SQLite
up to 3.51.2 do not survive for certain.

On PostgreSQL a transaction writes alone too, unless it asks to write beside others: then it has to lock the rows that
it decides by, in the order that everybody keeps. An advisory lock tells the two apart, and its queue is fair as well.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache, lru_cache
from pathlib import Path
from select import POLLIN, poll
from typing import Any

import psycopg
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import (
    URL,
    Connection,
    CursorResult,
    Delete,
    Dialect,
    Engine,
    ExceptionContext,
    Insert,
    Update,
    create_engine,
    event,
    func,
    make_url,
    select,
)
from sqlalchemy.exc import ArgumentError, DBAPIError, InvalidatePoolError

from label_data.database.turns import Gate
from label_data.errors import InputError
from label_data.files.full_disk import is_full
from label_data.files.whole import flush

Store = Engine
"""What every function of this package that reads or writes takes first."""
MIGRATIONS = Path(__file__).with_name("migrations")
WRITERS = 8
"""Transactions that one process may have open for writing on PostgreSQL; further ones wait in the gate."""
READERS = 24
"""Connections that one process may open besides, to read."""
CONNECT_SECONDS = 10
ROOMY_KIB = 128_000
"""Of a SQLite file, kept in memory by a connection that adds very much; others keep 2,000."""
_WRITERS_KEY = 0x776F726B  # any number that no other program locks in this database
_ALONE = select(func.pg_advisory_xact_lock(_WRITERS_KEY))
_SHARED = select(
    func.pg_advisory_xact_lock_shared(_WRITERS_KEY), func.set_config("plan_cache_mode", "force_generic_plan", True)
)
"""In this transaction PostgreSQL plans a prepared statement once, not for its values each time: with those of a ranking
it spent a third of its time on that."""


def open_store(address: str | Path, create: bool = True) -> Store:
    """Return the store at a file path or database URL, created or upgraded to this version's tables.

    Before an upgrade the old file is copied to FILE.before-REVISION. Raises InputError if there is no store to be
    opened: the file or database is none, cannot be reached, a newer version wrote it, or it is not there and `create`
    is false.
    """
    url = store_url(address)
    if url.get_backend_name() == "sqlite":
        path = Path(url.database or "")
        engine = _sqlite(url, path, create)
    else:
        path = None
        engine = _postgresql(url)
    event.listen(engine, "handle_error", _say_that_the_disk_is_full)
    try:
        _upgrade(engine, path, create)
    except (DBAPIError, InputError) as error:
        engine.dispose()
        if isinstance(error, InputError):
            raise
        raise InputError(
            f"{shown(url)}: this is not a store that can be opened ({_one_line(error.orig)}). Name another."
        ) from None
    return engine


def store_url(address: str | Path) -> URL:
    """Return the URL of a file path or URL, psycopg named as the driver of PostgreSQL."""
    text = str(address)
    if "://" not in text:
        return URL.create("sqlite", database=text)
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        raise InputError(
            "The store's address is no URL. Write postgresql://USER:PASSWORD@HOST/DATABASE, or the path of a file."
        ) from None
    if url.drivername in ("postgresql", "postgres", "postgresql+psycopg"):
        return url.set(drivername="postgresql+psycopg")
    if url.drivername == "sqlite" and url.database and url.database != ":memory:":
        return url
    raise InputError(f"{shown(url)}: a store is a SQLite file or a PostgreSQL database (postgresql://…).")


def postgresql_address(address: str | Path) -> str | None:
    """Return the URL that PostgreSQL's own programs and psycopg take, password included; None for a SQLite file."""
    url = store_url(address)
    if url.get_backend_name() == "sqlite":
        return None
    return url.set(drivername="postgresql").render_as_string(hide_password=False)


def shown(url: URL) -> str:
    """Return the address as a person knows it: a file's path, or a URL without its password."""
    if url.get_backend_name() == "sqlite":
        return str(url.database)
    return url.set(drivername=url.get_backend_name()).render_as_string(hide_password=True)


def _sqlite(url: URL, path: Path, create: bool) -> Store:
    if not create and not path.exists():
        raise InputError(f"{path}: there is no store. Start the app once, or import a file into it.")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        gate = Gate(1, path.with_name(f"{path.name}.queue"), path.with_name(f"{path.name}.lock"))
    except OSError as error:
        raise InputError(f"{path.parent}: the folder for the store can't be made ({error.strerror}).") from None
    # Readers wait for nobody; writers wait in the gate, and so never for a connection.
    options = {"pool_size": READERS, "max_overflow": -1, "pool_use_lifo": True, "connect_args": {"timeout": 30}}
    engine = create_engine(url, execution_options={"gate": gate}, **options)
    event.listen(engine, "connect", _prepare_sqlite)
    return engine


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # `reading` and `writing` begin transactions, not the driver
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "trusted_schema=OFF"):
        connection.execute(f"PRAGMA {pragma}").fetchall()


def _postgresql(url: URL) -> Store:
    engine = create_engine(
        url,
        execution_options={"gate": Gate(WRITERS)},
        pool_size=WRITERS,
        max_overflow=READERS,
        pool_use_lifo=True,  # the connection that was used last has its statements prepared
        connect_args={"connect_timeout": CONNECT_SECONDS, "application_name": "workbench"},
    )
    event.listen(engine, "connect", _prepare_postgresql)
    event.listen(engine, "checkout", _see_that_it_is_open)
    return engine


def _prepare_postgresql(connection: Any, _record: Any) -> None:
    """See that a commit that was acknowledged is on the disk, whatever the database is set to."""
    connection.execute(
        "SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'"
    )
    connection.commit()


def _see_that_it_is_open(connection: Any, _record: Any, _proxy: Any) -> None:
    """See that a server which was restarted is found again without an error.

    A server that hangs up leaves something to be read. Only then it is asked: to ask each time, as the pool would, is
    one more way there and back for every transaction.
    """
    waiting = poll()
    try:
        waiting.register(connection.fileno(), POLLIN)
        if waiting.poll(0):
            connection.execute("SELECT 1")
            connection.rollback()
    except psycopg.Error:
        raise InvalidatePoolError from None  # every other connection that was opened before is as bad


def _say_that_the_disk_is_full(context: ExceptionContext) -> None:
    error = context.original_exception
    if is_full(error) and context.engine is not None:
        raise InputError(
            f"{shown(context.engine.url)}: the disk took no more ({_one_line(error)}). This was not stored, all else "
            "is as it was. Free some space, and do it again."
        )


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())


@contextmanager
def reading(store: Store) -> Iterator[Connection]:
    """Open a transaction that sees one moment of the store and waits for no writer."""
    is_sqlite = store.dialect.name == "sqlite"
    options = {} if is_sqlite else {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
    with store.connect().execution_options(**options) as connection:
        if is_sqlite:
            connection.exec_driver_sql("BEGIN")
        yield connection


@contextmanager
def large_cache(connection: Connection, kib: int = ROOMY_KIB) -> Iterator[None]:
    """Keep so much of a SQLite file in memory inside the block, for when much is added to all parts of the indexes."""
    if connection.dialect.name != "sqlite":
        yield
        return
    before = connection.exec_driver_sql("PRAGMA cache_size").scalar_one()
    connection.exec_driver_sql(f"PRAGMA cache_size=-{kib}")
    try:
        yield
    finally:
        connection.exec_driver_sql(f"PRAGMA cache_size={before}")


@contextmanager
def writing(store: Store, concurrently: bool = False) -> Iterator[Connection]:
    """Open a transaction in its turn, and commit it unless an error leaves it.

    It is the only one that writes, so what it reads stays true until it ends. `concurrently`: on PostgreSQL those
    that say so too may write at the same time, so it locks what it reads before it decides by it.
    """
    gate: Gate = store.get_execution_options()["gate"]
    with gate.turn(), store.begin() as connection:
        _take_turn(connection, concurrently)
        yield connection


def _take_turn(connection: Connection, concurrently: bool) -> None:
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("BEGIN IMMEDIATE")
    else:
        connection.execute(_SHARED if concurrently else _ALONE)


def change(connection: Connection, statement: Insert | Update | Delete, **values: Any) -> CursorResult[Any]:
    """Execute a statement that changes rows, kept in a constant, whose text is made once for each database.

    For what every ranking does: on SQLite it takes a third of the time of `connection.execute`, which works out the
    text's values anew for each execution. What the statement returns comes as the driver gives it.
    """
    text, always, places = _text_of(statement, connection.dialect, tuple(values))
    values = always | values
    return connection.exec_driver_sql(text, values if places is None else tuple(values[name] for name in places))


@lru_cache(256)
def _text_of(
    statement: Insert | Update | Delete, dialect: Dialect, names: tuple[str, ...]
) -> tuple[str, dict[str, Any], tuple[str, ...] | None]:
    """Return the statement's text, its constant values, and the order of all values if they have places, not names."""
    compiled = statement.compile(dialect=dialect, column_keys=list(names))
    places = None if compiled.positiontup is None else tuple(compiled.positiontup)
    return str(compiled), {name: value for name, value in compiled.params.items() if name not in names}, places


# Upgrading


def _upgrade(engine: Engine, path: Path | None, create: bool) -> None:
    newest, known = _revisions()
    with reading(engine) as connection:
        current = MigrationContext.configure(connection).get_current_revision()
        if path is None and (encoding := connection.exec_driver_sql("SHOW server_encoding").scalar()) != "UTF8":
            raise InputError(f"{shown(engine.url)}: its encoding is {encoding}. Create the database with UTF8.")
    if current == newest:
        return
    if current is None and not create and path is None:
        raise InputError(f"{shown(engine.url)}: there is no store. Start the app once, or import a file into it.")
    if current is not None and current not in known:
        raise InputError(
            f"{shown(engine.url)}: a newer version of the workbench wrote this store "
            f"(its tables are at {current}, this version knows {newest}). Update the workbench."
        )
    gate: Gate = engine.get_execution_options()["gate"]
    with gate.turn():
        if path is not None and current is not None:
            _keep_as_it_was(engine, path, path.with_name(f"{path.name}.before-{newest}"))
        _migrate(engine, current, path)
    engine.dispose()


def _keep_as_it_was(engine: Engine, path: Path, backup: Path) -> None:
    """Copy the file before it is upgraded; the copy is there whole or not at all."""
    made = backup.with_name(f".{backup.name}")
    made.unlink(missing_ok=True)
    try:
        with engine.connect() as connection:  # the driver's own call: SQLAlchemy would begin a transaction first
            connection.connection.driver_connection.execute("VACUUM INTO ?", (str(made),))
        flush(made)
        made.replace(backup)
        flush(path.parent)
    except (sqlite3.Error, OSError) as error:
        made.unlink(missing_ok=True)
        raise InputError(
            f"{backup}: the store can't be copied there before it is upgraded ({_one_line(error)}), and so is left as "
            "it was. Free some space, and open it again."
        ) from None


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    return config


@cache
def _revisions() -> tuple[str | None, frozenset[str]]:
    """Return the newest revision and all there are; reading their files takes longer than opening a store."""
    script = ScriptDirectory.from_config(_config())
    return script.get_current_head(), frozenset(revision.revision for revision in script.walk_revisions())


def _migrate(engine: Engine, current: str | None, path: Path | None) -> None:
    """Run the revisions that follow `current` in one transaction, unless another process just did."""
    config = _config()
    with engine.connect() as connection:
        if path is not None:  # foreign keys can only be switched outside a transaction
            connection.connection.driver_connection.execute("PRAGMA foreign_keys=OFF")
        with connection.begin():
            _take_turn(connection, concurrently=False)
            if MigrationContext.configure(connection).get_current_revision() == current:
                config.attributes["connection"] = connection
                command.upgrade(config, "head")
                if path is not None and connection.exec_driver_sql("PRAGMA foreign_key_check").first():
                    raise InputError(f"{path}: the upgrade would break references; the store is left as it was.")

"""Open the store: one engine per process, with its tables migrated to this version.

A store is a SQLite file or a PostgreSQL database. All code that reads or writes it uses `reading` and `writing`.

SQLite has one writer at a time. Transactions start with BEGIN IMMEDIATE, because a deferred transaction that turns into
a writer fails with "database is locked" as soon as two processes write. Before that they wait in a `Gate`, first come,
first served, and hold it until after the commit. So no two connections write and checkpoint at the same time, which
can damage the file with SQLite up to 3.51.2.

On PostgreSQL a transaction also writes alone, unless it asks to write concurrently. A concurrent transaction must lock
the rows on which it bases decisions, in the order that all code follows (`label_data.store.queue`). An advisory lock,
taken exclusively or shared, separates the two kinds; PostgreSQL serves it in order of arrival too.
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
    Row,
    Select,
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
"""The first argument of every function of this package that reads or writes."""
AnyRow = Row[*tuple[Any, ...]]
"""A row whose columns are read by name: SQLAlchemy's types know the columns of a `Row` by position only."""
AnySelect = Select[*tuple[Any, ...]]
"""A query for such rows."""
MIGRATIONS = Path(__file__).with_name("migrations")
WRITERS = 8
"""Maximum number of write transactions that a process has open on PostgreSQL; others wait in the gate."""
READERS = 24
"""Additional connections that a process may open for reading."""
CONNECT_SECONDS = 10
LARGE_CACHE_KIB = 128_000
"""Page cache of a SQLite connection that imports a lot of data, in KiB; other connections have 2,000."""
_WRITERS_KEY = 0x776F726B  # arbitrary; no other program may lock it in this database
_ALONE = select(func.pg_advisory_xact_lock(_WRITERS_KEY))
_SHARED = select(
    func.pg_advisory_xact_lock_shared(_WRITERS_KEY), func.set_config("plan_cache_mode", "force_generic_plan", True)
)
"""Shared lock of a concurrent transaction. The setting makes PostgreSQL plan a prepared statement once instead of for
each set of values, which took a third of the time of storing a ranking."""


def open_store(address: str | Path, create: bool = True) -> Store:
    """Return the store at a file path or database URL; create it or upgrade its tables if needed.

    Before an upgrade, a SQLite file is copied to FILE.before-REVISION. Raises InputError if the store cannot be opened:
    the file is not a database, the database cannot be reached, a newer version wrote it, or it does not exist and
    `create` is false.
    """
    url = store_url(address)
    if url.get_backend_name() == "sqlite":
        path: Path | None = Path(url.database or "")
        engine = _sqlite(url, Path(url.database or ""), create)
    else:
        path = None
        engine = _postgresql(url)
    event.listen(engine, "handle_error", _refuse_on_full_disk)
    try:
        _upgrade(engine, path, create)
    except (DBAPIError, InputError) as error:
        engine.dispose()
        if isinstance(error, InputError):
            raise
        raise InputError(
            "label_data.database.not_a_store", address=displayed_address(url), problem=_one_line(error.orig or error)
        ) from None
    return engine


def store_url(address: str | Path) -> URL:
    """Return the URL for a file path or URL, with psycopg as the driver of PostgreSQL."""
    text = str(address)
    if "://" not in text:
        return URL.create("sqlite", database=text)
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        raise InputError("label_data.database.bad_address") from None
    if url.drivername in ("postgresql", "postgres", "postgresql+psycopg"):
        return url.set(drivername="postgresql+psycopg")
    if url.drivername == "sqlite" and url.database and url.database != ":memory:":
        return url
    raise InputError("label_data.database.other_database", address=displayed_address(url))


def postgresql_address(address: str | Path) -> str | None:
    """Return the URL, with its password, for psycopg and PostgreSQL's own programs; None for a SQLite file."""
    url = store_url(address)
    if url.get_backend_name() == "sqlite":
        return None
    return url.set(drivername="postgresql").render_as_string(hide_password=False)


def displayed_address(url: URL) -> str:
    """Return the address for people: the path of a file, or a URL without its password."""
    if url.get_backend_name() == "sqlite":
        return str(url.database)
    return url.set(drivername=url.get_backend_name()).render_as_string(hide_password=True)


def _sqlite(url: URL, path: Path, create: bool) -> Store:
    if not create and not path.exists():
        raise InputError("label_data.database.no_store", address=str(path))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        gate = Gate(1, path.with_name(f"{path.name}.queue"), path.with_name(f"{path.name}.lock"))
    except OSError as error:
        raise InputError("label_data.database.no_folder", folder=str(path.parent), problem=error.strerror) from None
    engine = create_engine(
        url,
        execution_options={"gate": gate},
        pool_size=READERS,
        max_overflow=-1,  # readers never wait; writers wait in the gate, so never for a connection
        pool_use_lifo=True,
        connect_args={"timeout": 30},
    )
    event.listen(engine, "connect", _prepare_sqlite)
    return engine


def _prepare_sqlite(connection: Any, _record: Any) -> None:  # SQLAlchemy gives events untyped driver connections
    connection.isolation_level = None  # `reading` and `writing` start transactions, not the driver
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "trusted_schema=OFF"):
        connection.execute(f"PRAGMA {pragma}").fetchall()


def _postgresql(url: URL) -> Store:
    engine = create_engine(
        url,
        execution_options={"gate": Gate(WRITERS)},
        pool_size=WRITERS,
        max_overflow=READERS,
        pool_use_lifo=True,  # the connection used last has its statements prepared
        connect_args={"connect_timeout": CONNECT_SECONDS, "application_name": "workbench"},
    )
    event.listen(engine, "connect", _prepare_postgresql)
    event.listen(engine, "checkout", _check_that_it_is_open)
    return engine


def _prepare_postgresql(connection: Any, _record: Any) -> None:
    """Make sure that an acknowledged commit is on the disk, even if the database is set to asynchronous commits."""
    connection.execute(
        "SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'"
    )
    connection.commit()


def _check_that_it_is_open(connection: Any, _record: Any, _proxy: Any) -> None:
    """Reconnect after a server restart, without an error.

    A server that closes a connection leaves data to read on it, and only then does this ask the server. Asking every
    time, as the pool's own check does, costs one more round trip per transaction.
    """
    waiting = poll()
    try:
        waiting.register(connection.fileno(), POLLIN)
        if waiting.poll(0):
            connection.execute("SELECT 1")
            connection.rollback()
    except psycopg.Error:
        raise InvalidatePoolError from None  # all other connections opened before are closed too


def _refuse_on_full_disk(context: ExceptionContext) -> None:
    error = context.original_exception
    if is_full(error) and context.engine is not None:
        address = displayed_address(context.engine.url)
        raise InputError("label_data.database.disk_full", address=address, problem=_one_line(error))


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())


@contextmanager
def reading(store: Store) -> Iterator[Connection]:
    """Open a transaction that reads a consistent snapshot of the store and never waits for a writer."""
    is_sqlite = store.dialect.name == "sqlite"
    options: dict[str, Any] = {}  # values of several types, by the name of the option
    if not is_sqlite:
        options = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
    with store.connect().execution_options(**options) as connection:
        if is_sqlite:
            connection.exec_driver_sql("BEGIN")
        yield connection


@contextmanager
def large_cache(connection: Connection, kib: int = LARGE_CACHE_KIB) -> Iterator[None]:
    """Give a SQLite connection a larger page cache inside the block, for large imports, which touch all index pages."""
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
    """Wait for a turn, open a write transaction, and commit it unless the block raises.

    No other transaction writes, so what it reads stays true until it ends. With `concurrently`, other transactions
    opened with `concurrently` may write at the same time on PostgreSQL, so it must lock rows before deciding by them.
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
    """Execute a constant statement that changes rows, compiled to SQL text once per database.

    Use it for statements that every ranking executes: on SQLite this takes a third of the time of
    `connection.execute`, which processes the parameters anew for each execution. Returned rows hold the driver's own
    values.
    """
    text, constants, positions = _compiled(statement, connection.dialect, tuple(values))
    values = constants | values
    parameters = values if positions is None else tuple(values[name] for name in positions)
    return connection.exec_driver_sql(text, parameters)


@lru_cache(256)
def _compiled(
    statement: Insert | Update | Delete, dialect: Dialect, names: tuple[str, ...]
) -> tuple[str, dict[str, Any], tuple[str, ...] | None]:
    """Return the SQL text, the constant parameters, and the order of all parameters (None: they have names)."""
    compiled = statement.compile(dialect=dialect, column_keys=list(names))
    # `positiontup` is an attribute of the compiler for SQL, not of its base class.
    order: list[str] | None = getattr(compiled, "positiontup", None)
    constants = {name: value for name, value in compiled.params.items() if name not in names}
    return str(compiled), constants, None if order is None else tuple(order)


# Upgrading


def _upgrade(engine: Engine, path: Path | None, create: bool) -> None:
    newest, known = _revisions()
    with reading(engine) as connection:
        current = MigrationContext.configure(connection).get_current_revision()
        if path is None and (encoding := connection.exec_driver_sql("SHOW server_encoding").scalar()) != "UTF8":
            address = displayed_address(engine.url)
            raise InputError("label_data.database.encoding", address=address, encoding=encoding)
    if current == newest:
        return
    if current is None and not create and path is None:
        raise InputError("label_data.database.no_store", address=displayed_address(engine.url))
    if current is not None and current not in known:
        address = displayed_address(engine.url)
        raise InputError("label_data.database.newer", address=address, revision=current, newest=newest)
    gate: Gate = engine.get_execution_options()["gate"]
    with gate.turn():
        if path is not None and current is not None:
            _copy_before_upgrade(engine, path, path.with_name(f"{path.name}.before-{newest}"))
        _migrate(engine, current, path)
    engine.dispose()


def _copy_before_upgrade(engine: Engine, path: Path, backup: Path) -> None:
    """Copy the file before an upgrade. The copy is complete, or there is none."""
    unfinished = backup.with_name(f".{backup.name}")
    unfinished.unlink(missing_ok=True)
    try:
        with engine.connect() as connection:  # the driver's own call: SQLAlchemy would begin a transaction first
            driver: Any = connection.connection.driver_connection  # untyped in SQLAlchemy
            driver.execute("VACUUM INTO ?", (str(unfinished),))
        flush(unfinished)
        unfinished.replace(backup)
        flush(path.parent)
    except (sqlite3.Error, OSError) as error:
        unfinished.unlink(missing_ok=True)
        raise InputError("label_data.database.no_copy", file=str(backup), problem=_one_line(error)) from None


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    return config


@cache
def _revisions() -> tuple[str | None, frozenset[str]]:
    """Return the newest revision and all revisions. Cached: reading their files takes longer than opening a store."""
    script = ScriptDirectory.from_config(_config())
    return script.get_current_head(), frozenset(revision.revision for revision in script.walk_revisions())


def _migrate(engine: Engine, current: str | None, path: Path | None) -> None:
    """Run the revisions after `current` in one transaction, unless another process already did."""
    config = _config()
    with engine.connect() as connection:
        if path is not None:  # foreign keys can only be switched off outside a transaction
            driver: Any = connection.connection.driver_connection  # untyped in SQLAlchemy
            driver.execute("PRAGMA foreign_keys=OFF")
        with connection.begin():
            _take_turn(connection, concurrently=False)
            if MigrationContext.configure(connection).get_current_revision() == current:
                config.attributes["connection"] = connection
                command.upgrade(config, "head")
                if path is not None and connection.exec_driver_sql("PRAGMA foreign_key_check").first():
                    raise InputError("label_data.database.broken_references", address=str(path))

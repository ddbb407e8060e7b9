"""Opening the store: one engine a process, migrated to this version before it is handed out.

Writing transactions on SQLite begin with BEGIN IMMEDIATE: a deferred one that turns into a writer fails with
"database is locked" as soon as two processes write.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import DBAPIError

from label_data.records import InputError

Store = Engine
"""What every function of this package that reads or writes takes first."""
MIGRATIONS = Path(__file__).with_name("migrations")


def open_store(address: str | Path, create: bool = True) -> Store:
    """Return the store at a file path or database URL, created or upgraded to this version's tables.

    Before an upgrade the old file is copied to FILE.before-REVISION. Raises InputError if the file is no store, if
    a newer version wrote it, or if there is none and `create` is false.
    """
    text = str(address)
    url = make_url(text) if "://" in text else make_url(f"sqlite:///{text}")
    path = Path(url.database) if url.get_backend_name() == "sqlite" and url.database else None
    if path is not None:
        if not create and not path.exists():
            raise InputError(f"{path}: there is no store. Start the app once, or import a file into it.")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"{path.parent}: the folder for the store can't be made ({error.strerror}).") from None
    engine = create_engine(url, connect_args={"timeout": 30} if path is not None else {})
    if path is not None:
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
    try:
        _upgrade(engine, path)
    except DBAPIError as error:
        engine.dispose()
        raise InputError(f"{text}: this is not a store that can be opened ({error.orig}). Name another file.") from None
    return engine


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # SQLAlchemy's begin event below decides, not the driver
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "trusted_schema=OFF"):
        connection.execute(f"PRAGMA {pragma}").fetchall()


def _begin_sqlite(connection: Connection) -> None:
    reads = connection.get_execution_options().get("reads_only", False)
    connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")


@contextmanager
def reading(store: Store) -> Iterator[Connection]:
    """Open a transaction that sees one moment of the store and waits for no writer."""
    with store.connect().execution_options(reads_only=True) as connection:
        yield connection


@contextmanager
def writing(store: Store) -> Iterator[Connection]:
    """Open a transaction that takes the write lock first, and commits unless an error leaves it."""
    with store.begin() as connection:
        yield connection


def _upgrade(engine: Engine, path: Path | None) -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    script = ScriptDirectory.from_config(config)
    newest, known = script.get_current_head(), {revision.revision for revision in script.walk_revisions()}
    with reading(engine) as connection:
        current = MigrationContext.configure(connection).get_current_revision()
    if current == newest:
        return
    if current is not None and current not in known:
        raise InputError(
            f"{path or engine.url.render_as_string()}: a newer version of the workbench wrote this store "
            f"(its tables are at {current}, this version knows {newest}). Update the workbench."
        )
    if path is not None and current is not None:
        backup = path.with_name(f"{path.name}.before-{newest}")
        backup.unlink(missing_ok=True)
        with engine.connect() as connection:  # the driver's own call: SQLAlchemy would begin a transaction first
            connection.connection.driver_connection.execute("VACUUM INTO ?", (str(backup),))
    with engine.connect() as connection:
        if path is not None:  # foreign keys can only be switched outside a transaction
            connection.connection.driver_connection.execute("PRAGMA foreign_keys=OFF")
        with connection.begin():
            if MigrationContext.configure(connection).get_current_revision() == current:
                config.attributes["connection"] = connection
                command.upgrade(config, "head")
                if path is not None and connection.exec_driver_sql("PRAGMA foreign_key_check").first():
                    raise InputError(f"{path}: the upgrade would break references; the store is left as it was.")
    engine.dispose()

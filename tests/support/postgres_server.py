"""A throwaway PostgreSQL server on a socket in its own folder, started for tests that need it and then killed."""

import ctypes
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import psutil
import psycopg
import pytest

ROLE = "workbench"
"""Owns the databases without being a superuser, like the role of a real store."""
NOT_DURABLE = ("fsync=off", "full_page_writes=off", "autovacuum=off")
PARENT_DEATH = 1
"""PR_SET_PDEATHSIG of Linux's prctl."""


def postgres_programs() -> Path:
    """Return the folder of initdb and postgres; fail with what to install if there is none."""
    result = subprocess.run([Path(__file__).with_name("programs") / "find_postgres.sh"], capture_output=True, text=True)
    if result.returncode:
        pytest.fail(result.stderr.strip(), pytrace=False)
    return Path(result.stdout.strip())


class PostgresServer:
    """A database cluster in a folder, whose server can be killed and started again."""

    def __init__(self, folder: Path, settings: tuple[str, ...]) -> None:
        self._folder, self._settings = folder, settings
        self._programs = postgres_programs()
        self._as = _ordinary_user()
        self._process: subprocess.Popen[bytes] | None = None
        if self._as:
            shutil.chown(folder, self._as["user"], self._as["group"])
        make = [self._programs / "initdb", "-D", folder / "data", "-U", "postgres", "-A", "trust", "-E", "UTF8"]
        subprocess.run(
            [*make, "--locale=C.UTF-8", "--no-sync"], check=True, capture_output=True, cwd=folder, **self._as
        )

    def start(self) -> None:
        """Start the server and wait until it answers."""
        options = [f"unix_socket_directories={self._folder}", "listen_addresses=", *self._settings]
        command = [self._programs / "postgres", "-D", self._folder / "data"]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                command + [part for option in options for part in ("-c", option)],
                stdout=log,
                stderr=log,
                cwd=self._folder,
                preexec_fn=lambda: die_with_parent(signal.SIGQUIT),
                **self._as,
            )
        end = time.monotonic() + 60
        while True:
            try:
                return psycopg.connect(self.dsn("postgres", "postgres"), connect_timeout=5).close()
            except psycopg.OperationalError:
                if time.monotonic() > end or self._process.poll() is not None:
                    pytest.fail(f"PostgreSQL did not start: {(self._folder / 'log').read_text()}", pytrace=False)
                time.sleep(0.02)

    def kill(self) -> None:
        """Stop the server at once, as a crash does: on SIGQUIT it drops everything, unwritten pages included."""
        if self._process is not None:
            self._process.send_signal(signal.SIGQUIT)
            self._process.wait()
            self._process = None

    def crash(self) -> None:
        """Kill the server and all its processes with SIGKILL, so that none can clean up."""
        if self._process is not None:
            parent = psutil.Process(self._process.pid)
            all_of_it = [parent, *parent.children(recursive=True)]
            for process in all_of_it:
                process.send_signal(signal.SIGSTOP)  # otherwise the others would end in order once the first is gone
            for process in all_of_it:
                process.kill()
            self._process.wait()
            psutil.wait_procs(all_of_it)
            self._process = None

    def run(self, statement: str) -> None:
        """Run one statement as superuser, outside any transaction."""
        with psycopg.connect(self.dsn("postgres", "postgres"), autocommit=True) as connection:
            connection.execute(statement)

    def make_database(self, name: str) -> None:
        """Create an empty database owned by the ordinary role."""
        self.run(f"CREATE DATABASE {name} OWNER {ROLE} STRATEGY FILE_COPY")

    def drop_database(self, name: str) -> None:
        """Drop a database and disconnect its clients."""
        self.run(f"DROP DATABASE {name} WITH (FORCE)")

    def dsn(self, database: str, role: str = ROLE) -> str:
        """Return the address of a database."""
        return f"postgresql://{role}@/{database}?host={quote(str(self._folder), safe='')}"


def _ordinary_user() -> dict[str, object]:
    """Return the user to run the server as: PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return {}
    for name in ("postgres", "nobody"):
        try:
            result = pwd.getpwnam(name)
        except KeyError:
            continue
        return {"user": result.pw_uid, "group": result.pw_gid, "extra_groups": []}
    pytest.fail("PostgreSQL does not run as root, and there is no user postgres or nobody.", pytrace=False)


def die_with_parent(number: signal.Signals) -> None:
    """Make this process receive the signal when the tests end, even if they are killed."""
    ctypes.CDLL(None).prctl(PARENT_DEATH, number)


@contextmanager
def running_postgres(*settings: str) -> Iterator[PostgresServer]:
    """Run a server with these settings, and remove it afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="pg-"))  # a short path: a socket's path has at most 107 characters
    try:
        server = PostgresServer(folder, settings)
        server.start()
        try:
            server.run(f"CREATE ROLE {ROLE} LOGIN CREATEDB")
            yield server
        finally:
            server.kill()
    finally:
        shutil.rmtree(folder, ignore_errors=True)

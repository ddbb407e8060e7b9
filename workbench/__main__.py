"""python -m workbench: the app and its worker, started and stopped together."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer

from label_data.data_folder import create_data_folder, default_store
from label_data.database.engine import open_store
from label_data.errors import InputError

commands = typer.Typer(add_completion=False, pretty_exceptions_enable=False, help=__doc__)
PATIENCE = 60.0
"""Seconds that the app may take to answer, and then to stop."""


@commands.command()
def run(port: Annotated[int, typer.Option(envvar="PORT", help="port on 127.0.0.1")] = 8501) -> None:
    """Start the app and its worker, print the address, and run until Ctrl-C."""
    try:
        folder = create_data_folder()  # the store may be elsewhere
        open_store(default_store()).dispose()
        _check_port(port)
    except InputError as error:
        sys.exit(f"{error}")
    for number in (signal.SIGINT, signal.SIGTERM):  # a shell's background job has SIGINT ignored, Python's own too
        signal.signal(number, _interrupt)
    started: dict[str, subprocess.Popen[bytes]] = {}
    try:
        for part in ("worker", "app"):
            started[part] = _start(part, folder, port)
        _await_answer(started["app"], folder, port)
        print(f"The workbench is at http://127.0.0.1:{port} (data in {folder}{os.sep}, Ctrl-C stops it)", flush=True)
        while True:
            time.sleep(1)
            if started["app"].poll() is not None:
                sys.exit(f"The app ended by itself; {folder / 'app.log'} says why. Start it again.")
            if started["worker"].poll() is not None:
                print(f"The worker ended; starting it again ({folder / 'worker.log'} says why).", flush=True)
                time.sleep(5)
                started["worker"] = _start("worker", folder, port)
    except KeyboardInterrupt:
        print("\nStopping.", flush=True)
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        _stop(started)


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _check_port(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            raise InputError(
                f"Port {port} is taken: is the workbench running already? Else start it with PORT={port + 1}."
            ) from None


def _start(part: str, folder: Path, port: int) -> subprocess.Popen[bytes]:
    """Start one part with its output in a log, in a process group of its own so that Ctrl-C reaches only this one."""
    with (folder / f"{part}.log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "workbench", part, *(["--port", str(port)] if part == "app" else [])],
            stdout=log,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )


def _await_answer(app: subprocess.Popen[bytes], folder: Path, port: int) -> None:
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until and app.poll() is None:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/_stcore/health", timeout=5):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    sys.exit(f"The app did not start; the end of {folder / 'app.log'} says why.")


def _stop(parts: dict[str, subprocess.Popen[bytes]]) -> None:
    for process in parts.values():
        process.terminate()
    for process in parts.values():
        try:
            process.wait(PATIENCE / 4)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@commands.command()
def app(port: Annotated[int, typer.Option(help="port on 127.0.0.1")] = 8501) -> None:
    """Serve the pages alone."""
    import streamlit  # noqa: F401 - makes loggers, with handlers of their own

    from workbench.logs import log_as_json

    log_as_json()  # before the pages' modules, whose import warns already
    from workbench.web.server import serve

    serve(port)


@commands.command()
def worker() -> None:
    """Do the background work alone."""
    from workbench.jobs.worker import run_worker

    run_worker()


if __name__ == "__main__":
    commands(sys.argv[1:] or ["run"])

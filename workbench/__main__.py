"""Start and stop the app and its worker together: python -m workbench."""

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
"""Seconds to wait for the app to answer, and later for it to stop."""


@commands.command()
def run(port: Annotated[int, typer.Option(envvar="PORT", help="Port on 127.0.0.1.")] = 8501) -> None:
    """Start the app and its worker, print the address, and run until Ctrl-C."""
    try:
        folder = create_data_folder()  # the store may lie outside it
        open_store(default_store()).dispose()
        _check_port(port)
    except InputError as error:
        sys.exit(str(error))
    for number in (signal.SIGINT, signal.SIGTERM):  # shells start background jobs with SIGINT ignored
        signal.signal(number, _interrupt)
    processes: dict[str, subprocess.Popen[bytes]] = {}
    try:
        for part in ("worker", "app"):
            processes[part] = _start(part, folder, port)
        _await_answer(processes["app"], folder, port)
        print(f"The workbench is at http://127.0.0.1:{port} (data in {folder}{os.sep}, Ctrl-C stops it)", flush=True)
        while True:
            time.sleep(1)
            if processes["app"].poll() is not None:
                sys.exit(f"The app stopped unexpectedly. See {folder / 'app.log'}, then start it again.")
            if processes["worker"].poll() is not None:
                print(f"The worker stopped. Restarting it; see {folder / 'worker.log'}.", flush=True)
                time.sleep(5)
                processes["worker"] = _start("worker", folder, port)
    except KeyboardInterrupt:
        print("\nStopping.", flush=True)
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        _stop(processes)


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _check_port(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            raise InputError("workbench.startup.port_in_use", port=port, next=port + 1) from None


def _start(part: str, folder: Path, port: int) -> subprocess.Popen[bytes]:
    """Start the app or the worker, with its output in a log, in a session of its own, which Ctrl-C does not reach."""
    with (folder / f"{part}.log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "workbench", part, *(["--port", str(port)] if part == "app" else [])],
            stdout=log,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )


def _await_answer(app: subprocess.Popen[bytes], folder: Path, port: int) -> None:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and app.poll() is None:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/_stcore/health", timeout=5):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    sys.exit(f"The app did not start. See the end of {folder / 'app.log'}.")


def _stop(processes: dict[str, subprocess.Popen[bytes]]) -> None:
    for process in processes.values():
        process.terminate()
    for process in processes.values():
        try:
            process.wait(PATIENCE / 4)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@commands.command()
def app(port: Annotated[int, typer.Option(help="Port on 127.0.0.1.")] = 8501) -> None:
    """Serve the pages, without a worker."""
    import streamlit  # noqa: F401 - creates its loggers, whose handlers `log_as_json` then removes

    from workbench.logs import log_as_json

    log_as_json()  # before importing the pages' modules, which may log warnings
    from workbench.web.server import serve

    serve(port)


@commands.command()
def worker() -> None:
    """Run the background jobs, without the pages."""
    from workbench.jobs.worker import run_worker

    run_worker()


if __name__ == "__main__":
    commands(sys.argv[1:] or ["run"])

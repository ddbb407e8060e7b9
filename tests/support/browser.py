"""Start Chromium, the whole app, or a server with only the ranking screen, for browser tests."""

import os
import random
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.support.paths import ROOT

LEASH = str(ROOT / "tests" / "support" / "leash.py")
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]
PATIENCE = 60.0
"""Seconds that a change on a page or the start of a server may take on a busy machine."""


def free_port() -> int:
    """Return a port on which nothing listens.

    It lies below the system's ephemeral ports, which another process may be given before the server starts. It is
    drawn by the system's generator, because tests set seeds.
    """
    while True:
        port = random.SystemRandom().randrange(12_000, 32_000)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


@contextmanager
def ranking_server(port: int, log: Path) -> Iterator[str]:
    """Serve tests/support/ranking_page.py and yield its address once it answers; kill it at the end."""
    command = [sys.executable, LEASH, "serve_ranking", str(ROOT / "tests" / "support" / "ranking_page.py"), str(port)]
    with served(command, {"PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests' / 'support'}"}, port, log) as address:
        yield address


@contextmanager
def app_server(port: int, data: Path) -> Iterator[str]:
    """Serve the whole app for a data folder, without the worker; kill it at the end."""
    command = [sys.executable, LEASH, "workbench", "app", "--port", str(port)]
    with served(command, {"WORKBENCH_DATA": str(data)}, port, data / "log") as address:
        yield address


@contextmanager
def served(command: list[str], environment: dict[str, str], port: int, log: Path) -> Iterator[str]:
    """Run a server process, yield its address once it is healthy, and kill it at the end."""
    with log.open("ab") as output:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=os.environ | environment,
            stdout=output,
            stderr=subprocess.STDOUT,
            stdin=subprocess.PIPE,
        )
    try:
        _await_health(port, process, log)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()
        process.stdin.close()


def _await_health(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + PATIENCE
    while process.poll() is None and time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/_stcore/health", timeout=5):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.05)
    raise AssertionError(f"The server did not start: {log.read_text()}")


@contextmanager
def chromium(*flags: str) -> Iterator[Browser]:
    """Yield the machine's Chromium, started with extra flags; `expect` waits up to PATIENCE."""
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    assert path, "The browser tests need Chromium: install it (on Debian: apt-get install chromium)."
    with sync_playwright() as playwright:
        expect.set_options(timeout=PATIENCE * 1000)
        started = playwright.chromium.launch(executable_path=path, args=[*FLAGS, *flags])
        yield started
        started.close()


def open_ranking(page: Page, server: str, store: Path, **query: str) -> None:
    """Open the ranking page for a store and wait until it shows a prompt."""
    page.goto(f"{server}/?{urllib.parse.urlencode({'store': str(store)} | query)}")
    expect(page.locator(".ranker .prompt")).to_be_visible()


def open_app(page: Page, address: str, name: str = "Ann") -> None:
    """Open the Rank page of the whole app, and enter the name if it asks for one."""
    page.goto(address)
    field, screen = page.locator("[data-testid=stTextInput] input"), page.locator(".ranker .prompt")
    expect(field.or_(screen).first).to_be_visible()
    if field.is_visible():
        field.fill(name)
        page.locator("[data-testid=stFormSubmitButton] button").click()
    expect(screen).to_be_visible()

"""Disks that a test fills: a real small one, and a limit on file size, which any user may set.

Only root may mount the small disk. Any user can become root in a user namespace:
unshare --user --map-root-user python -m pytest tests/whole/test_full_disk.py
"""

import ctypes
import os
import resource
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from label_data.errors import InputError

KIB = 1024
SAID = "the disk is full"
"""Part of every refusal, except those of exports."""
SIZE = 24 * 2**20
NEW_MOUNTS = 0x20000
"""CLONE_NEWNS: later mounts are visible only to this process and its children, and vanish with them."""


@dataclass(frozen=True, slots=True)
class SmallDisk:
    """A tmpfs that a ballast file fills. Errors are those of a full disk, ENOSPC."""

    folder: Path

    @contextmanager
    def full(self, leaving: int = 0) -> Iterator[None]:
        """Leave only `leaving` bytes free during the block."""
        ballast = self.folder / "ballast"
        with ballast.open("wb") as file:
            free = os.statvfs(self.folder)
            os.posix_fallocate(file.fileno(), 0, free.f_bavail * free.f_frsize - leaving)
        try:
            yield
        finally:
            ballast.unlink()


@dataclass(frozen=True, slots=True)
class LimitedFiles:
    """Any folder, with a limit on file size. Errors are those of a file that is too large, EFBIG."""

    folder: Path

    @contextmanager
    def full(self, leaving: int = 0) -> Iterator[None]:
        """Let no file grow beyond `leaving` bytes during the block."""
        before, most = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (leaving, most))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (before, most))


@contextmanager
def small_disk(folder: Path) -> Iterator[SmallDisk]:
    """Mount a small disk at the folder; raise PermissionError if this user may not mount."""
    _mount_for_this_process_alone()
    _run("mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(folder))
    try:
        yield SmallDisk(folder)
    finally:
        _run("umount", "--lazy", str(folder))


@cache
def _mount_for_this_process_alone() -> None:
    if ctypes.CDLL(None, use_errno=True).unshare(NEW_MOUNTS):
        raise PermissionError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    _run("mount", "--make-rprivate", "/")


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise PermissionError(done.stderr.strip())


@pytest.fixture(params=["a small disk", "a limit on files"])
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SmallDisk | LimitedFiles]:
    """Return a disk that can be filled; the test runs once per kind."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if request.param == "a limit on files":
        yield LimitedFiles(folder)
        return
    with ExitStack() as mounted:
        try:
            small = mounted.enter_context(small_disk(folder))
        except PermissionError as error:
            pytest.skip(f"this user may not mount ({error})")
        yield small


def refusal(error: pytest.ExceptionInfo[InputError]) -> str:
    """Return the error's message after checking that it is one or two sentences a person can act on."""
    message = str(error.value)
    assert "disk" in message or "written" in message
    assert "\n" not in message and message.endswith(".") and len(message) < 400
    return message

"""Disks that are full for as long as a test says: a real small one, and a limit on files, which every user may set.

Only root may mount the former; anybody may become root of a world of their own:
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
SAID = "the disk took no more"
"""What every refusal says, but those of exports."""
SIZE = 24 * 2**20
NEW_MOUNTS = 0x20000
"""CLONE_NEWNS: what this process mounts from now on is there for it and its children alone, and goes with them."""


@dataclass(frozen=True, slots=True)
class SmallDisk:
    """A tmpfs; what is free on it is taken by one other file. Errors are those of a full disk, ENOSPC."""

    folder: Path

    @contextmanager
    def full(self, leaving: int = 0) -> Iterator[None]:
        """Leave so many bytes free, for the block."""
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
    """Any folder; no file may grow beyond a limit. Errors are those of a file that is too large, EFBIG."""

    folder: Path

    @contextmanager
    def full(self, leaving: int = 0) -> Iterator[None]:
        """Let no file be larger than so many bytes, for the block."""
        before, most = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (leaving, most))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (before, most))


@contextmanager
def small_disk(folder: Path) -> Iterator[SmallDisk]:
    """Mount a small disk at the folder; PermissionError where this user may mount nothing."""
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
    """Return a disk with a folder, each kind in its turn."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if request.param == "a limit on files":
        yield LimitedFiles(folder)
        return
    with ExitStack() as mounted:
        try:
            small = mounted.enter_context(small_disk(folder))
        except PermissionError as error:
            pytest.skip(f"this user may mount nothing ({error})")
        yield small


def refusal(error: pytest.ExceptionInfo[InputError]) -> str:
    """Return the error's message, which must be one sentence or two that a person can act on."""
    said = str(error.value)
    assert "disk" in said or "written" in said
    assert "\n" not in said and said.endswith(".") and len(said) < 400
    return said

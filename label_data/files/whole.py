"""Files and folders that appear whole or not at all, however the process ends."""

import os
import secrets
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from label_data.errors import InputError
from label_data.files.full_disk import is_full


def check_ending(path: Path, endings: Sequence[str]) -> None:
    """Raise InputError unless the file's name ends in one of these endings, such as ".jsonl.gz"."""
    if not path.name.endswith(tuple(endings)):
        raise InputError("label_data.files.ending", file=path, endings=", ".join(endings))


def check_free(folder: Path) -> None:
    """Raise InputError if `folder` exists, unless it is an empty folder: nothing is ever overwritten."""
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise InputError("label_data.files.folder_taken", folder=folder)


@contextmanager
def whole_folder(folder: Path) -> Iterator[Path]:
    """Yield an empty folder to write into; it takes the name `folder` when the block ends without an error.

    It is written beside `folder`, flushed to the disk and renamed, so `folder` never has half of its content. When two
    processes do this at once, the first one's content stays and the other gets FileExistsError. Raises InputError if
    the disk is full, and removes what was written.
    """
    try:
        yield from _written_beside(folder)
    except Exception as error:
        if not is_full(error):
            raise
        raise InputError("label_data.files.disk_full", folder=folder, error=str(error)) from error


def _written_beside(folder: Path) -> Iterator[Path]:
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as beside:
        new = Path(beside) / folder.name
        new.mkdir()
        yield new
        for path in (*new.rglob("*"), new):
            if path.is_file():
                path.chmod(0o644)  # safetensors writes its files readable by their owner alone
            flush(path)
        try:
            new.rename(folder)
        except OSError as error:
            raise FileExistsError(error.errno, "the folder exists", str(folder)) from error
        flush(folder.parent)


def flush(path: Path) -> None:
    """Wait until the file, or the folder's list of names, is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


BUFFER = 2**20
"""Bytes written at a time."""


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """Open a new file beside the path; it replaces the file at the path, flushed to the disk, when the block ends.

    If the block raises, the new file is removed and the old one stays. Raises InputError if the disk is full or the
    folder can't be written to.
    """
    if path.is_dir():
        raise InputError("label_data.files.name_a_file", file=path)
    new = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        try:
            with new.open("xb", buffering=BUFFER) as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            new.replace(path)
            flush(path.parent)
        finally:
            new.unlink(missing_ok=True)
    except OSError as error:
        raise InputError("label_data.files.unwritable", file=path, error=error.strerror) from None

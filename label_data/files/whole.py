"""Folders that appear whole or not at all, however the process ends."""

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
    """Raise InputError if something is at `folder` already, an empty folder apart: nothing is ever overwritten."""
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise InputError(f"{folder} exists already and is left as it is. Name another folder, or remove it first.")


@contextmanager
def whole_folder(folder: Path) -> Iterator[Path]:
    """Yield an empty folder to write into; when the block ends well, what it holds takes the name `folder`.

    It is written beside `folder`, flushed to the disk and renamed, so `folder` never holds half of anything. When two
    processes do this at once the first one's content stays and FileExistsError tells the other. InputError if the disk
    is full: what was written is removed.
    """
    try:
        yield from _written_beside(folder)
    except Exception as error:
        if not is_full(error):
            raise
        raise InputError(
            f"{folder}: the disk took no more ({error}), and nothing is there. Free some space, or name a folder on "
            "another disk."
        ) from error


def _written_beside(folder: Path) -> Iterator[Path]:
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as beside:
        made = Path(beside) / folder.name
        made.mkdir()
        yield made
        for path in (*made.rglob("*"), made):
            if path.is_file():
                path.chmod(0o644)  # safetensors writes its files readable by their owner alone
            flush(path)
        try:
            made.rename(folder)
        except OSError as error:
            raise FileExistsError(error.errno, "something is there already", str(folder)) from error
        flush(folder.parent)


def flush(path: Path) -> None:
    """Return once the file, or the folder's list of names, is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


BUFFER = 2**20
"""Bytes that are written at once."""


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """Open a new file beside the path; it takes the path's place, on the disk for good, when the block ends.

    If an error leaves the block the new file is removed and the old one stays. Raises InputError if the disk or the
    folder's permissions are in the way.
    """
    if path.is_dir():
        raise InputError(f"{path}: this is a folder. Name a file in it.")
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
        raise InputError(f"{path}: the file can't be written ({error.strerror}). Name another place.") from None

"""Where everything is kept: one folder, `data` unless the environment variable WORKBENCH_DATA names another."""

import os
from pathlib import Path

from label_data.errors import InputError


def data_folder() -> Path:
    """Return the data folder; it is made by whoever first writes into it."""
    return Path(os.environ.get("WORKBENCH_DATA") or "data")


def create_data_folder() -> Path:
    """Return the data folder, and make it if it is not there; InputError if it can't be made."""
    folder = data_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"{folder}: the data folder can't be made ({error.strerror}). Name another with WORKBENCH_DATA."
        ) from None
    return folder


def default_store() -> str:
    """Return the store's address: what WORKBENCH_STORE says, a URL or a file's path, or the data folder's file."""
    return os.environ.get("WORKBENCH_STORE") or str(data_folder() / "workbench.db")

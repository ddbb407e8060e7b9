"""The data folder, which holds everything: `data`, or the folder that the environment variable WORKBENCH_DATA names."""

import os
from pathlib import Path

from label_data.errors import InputError


def data_folder() -> Path:
    """Return the path of the data folder, which may not exist yet."""
    return Path(os.environ.get("WORKBENCH_DATA") or "data")


def create_data_folder() -> Path:
    """Create the data folder if needed and return its path. Raises InputError if it can't be created."""
    folder = data_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError("label_data.data_folder.no_folder", folder=str(folder), problem=error.strerror) from None
    return folder


def default_store() -> str:
    """Return the store's address: the value of WORKBENCH_STORE (a URL or path), or workbench.db in the data folder."""
    return os.environ.get("WORKBENCH_STORE") or str(data_folder() / "workbench.db")

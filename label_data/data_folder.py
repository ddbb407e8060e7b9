"""Where everything is kept: one folder, `data` unless the environment variable WORKBENCH_DATA names another."""

import os
from pathlib import Path


def data_folder() -> Path:
    """Return the data folder; it is made by whoever first writes into it."""
    return Path(os.environ.get("WORKBENCH_DATA") or "data")


def default_store() -> str:
    """Return the store's address: what WORKBENCH_STORE says, a URL or a file's path, or the data folder's file."""
    return os.environ.get("WORKBENCH_STORE") or str(data_folder() / "workbench.db")

"""Where everything is kept: one folder, `data` unless the environment variable WORKBENCH_DATA names another."""

import os
from pathlib import Path


def data_folder() -> Path:
    """Return the data folder; it is made by whoever first writes into it."""
    return Path(os.environ.get("WORKBENCH_DATA") or "data")


def default_store() -> Path:
    """Return the file of the embedded store."""
    return data_folder() / "workbench.db"

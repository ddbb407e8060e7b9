"""What every test shares: fixtures, the markers that follow from them, and the order of the files."""

import os
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # a core for each worker; torch reads it when it is imported

import pytest

pytest_plugins = [
    "app_pages",
    "browser_fixtures",
    "chat_server",
    "full_disks",
    "reward_fixtures",
    "store_fixtures",
]
NEEDS = {
    "browser": {"browser", "hostile_browser"},
    "model": {"packaged_model_folder"},
    "postgres": {"postgres", "postgres_store", "empty_database"},
}
"""Marker -> the fixtures whose tests get it."""
SLOW = (
    "label_data/assignment/test_assignment_machine.py",
    "reward/data/test_versions.py",
    "reward/evaluation/test_one_model.py",
    "reward/finetuning",
    "reward/model/test_model.py",
    "reward/serving/test_server.py",
    "reward/test_commands.py",
    "whole",
    "workbench/jobs/test_execution.py",
    "workbench/test_app.py",
    "workbench/test_logs.py",
)
"""Files and folders that take more than about ten seconds: they train, or start the app, a server or a worker."""


def pytest_collection_modifyitems(items):
    """Mark every test by what it needs, and put the files that take long first.

    The workers take file by file, so they end at about the same time. Files with a browser come before those with
    only a model: one worker converts the model, and the others need not wait for it.
    """
    by_file = {}
    for item in items:
        names = {*item.fixturenames, *(["postgres"] if on_postgres(item) else [])}
        for marker, fixtures in NEEDS.items():
            if names & fixtures:
                item.add_marker(marker)
        if any(item.path.is_relative_to(Path(__file__).parent / path) for path in SLOW):
            item.add_marker("slow")
        by_file.setdefault(item.path, set()).update(names)
    first = ("browser", "packaged_model_folder", "trained")
    items.sort(key=lambda item: [name not in by_file[item.path] for name in first])


def on_postgres(item):
    """Say whether a test with a run for each back end is the run on PostgreSQL."""
    return hasattr(item, "callspec") and "postgresql" in item.callspec.params.values()


@pytest.fixture(scope="session")
def packaged_model_folder(tmp_path_factory):
    """The folder of the packaged model: `model_folder(PACKAGED_MODEL)` finds it from any process and data folder.

    The conversion takes about 40 seconds. WORKBENCH_TEST_MODELS names a folder that keeps it between runs.
    """
    from label_data.settings import PACKAGED_MODEL
    from reward.networks.backbones import model_folder
    from workers import shared_folder

    with pytest.MonkeyPatch.context() as patch:
        with shared_folder(tmp_path_factory, "models") as folder:
            patch.setenv("WORKBENCH_MODELS", os.environ.get("WORKBENCH_TEST_MODELS") or str(folder))
            packaged = model_folder(PACKAGED_MODEL)
        yield packaged

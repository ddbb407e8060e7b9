"""What several tests share: the packaged model, converted once, in a data folder of the tests' own."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # a core for each worker; torch reads it when it is imported

import pytest

from app_pages import app  # noqa: F401 - fixtures are found by name
from chat_server import chat_server  # noqa: F401 - fixtures are found by name
from full_disks import disk  # noqa: F401 - fixtures are found by name
from reward_fixtures import (  # noqa: F401 - fixtures are found by name
    planted_store,
    tiny_backbone_folder,
    tiny_encoder_folder,
    trained,
)
from store_fixtures import (  # noqa: F401 - fixtures are found by name
    address,
    empty_database,
    empty_store_file,
    new_store,
    postgres,
    postgres_store,
    ranked_store,
    sqlite_store,
    store,
)
from workers import shared_folder


def pytest_collection_modifyitems(items):
    """Put the files first that take long, so that the workers, which take file by file, end at about the same time.

    Those with a browser come before those with a model alone: one worker converts the model, the others need not wait.
    """
    needs = {}
    for item in items:
        needs.setdefault(item.path, set()).update(item.fixturenames)
    slow = ("browser", "packaged_model_folder", "trained")
    items.sort(key=lambda item: [name not in needs[item.path] for name in slow])


@pytest.fixture(scope="session")
def packaged_model_folder(tmp_path_factory):
    """The folder of the packaged model: `model_folder(PACKAGED_MODEL)` finds it from any process and data folder.

    The conversion takes about 40 seconds. WORKBENCH_TEST_MODELS names a folder that keeps it between runs.
    """
    from label_data.settings import PACKAGED_MODEL
    from reward.networks.backbones import model_folder

    with pytest.MonkeyPatch.context() as patch:
        with shared_folder(tmp_path_factory, "models") as folder:
            patch.setenv("WORKBENCH_MODELS", os.environ.get("WORKBENCH_TEST_MODELS") or str(folder))
            packaged = model_folder(PACKAGED_MODEL)
        yield packaged

"""What several tests share: the packaged model, converted once, in a data folder of the tests' own."""

import os

import pytest

from chat_server import chat_server  # noqa: F401 - fixtures are found by name
from reward_fixtures import planted_store, tiny_backbone_folder, trained  # noqa: F401 - fixtures are found by name
from store_fixtures import (  # noqa: F401 - fixtures are found by name
    address,
    empty_database,
    empty_store_file,
    postgres,
    postgres_store,
    ranked_store,
    sqlite_store,
    store,
)


@pytest.fixture(scope="session")
def packaged_model_folder(tmp_path_factory):
    """The folder of the packaged model: `model_folder(PACKAGED_MODEL)` finds it from any process and data folder.

    The conversion takes about 40 seconds. WORKBENCH_TEST_MODELS names a folder that keeps it between runs.
    """
    from label_data.settings import PACKAGED_MODEL
    from reward.backbones import model_folder

    kept = os.environ.get("WORKBENCH_TEST_MODELS") or str(tmp_path_factory.mktemp("models"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WORKBENCH_MODELS", kept)
        yield model_folder(PACKAGED_MODEL)

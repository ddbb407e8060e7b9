"""No file, whatever is in it, ends the program, is read wrongly, leaves a trace in the store, or takes much to read."""

import json
import subprocess
import sys

import pytest

from hostile_files import FILES
from tests.support.paths import TESTS

MOST_MEMORY, MOST_SECONDS = 200, 2.0
"""MiB and seconds of CPU for one file; tests/support/import_hostile_files.py tells how both are measured."""


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory):
    """Return what became of each file, imported one after the other by one process that forks for each."""
    folder = tmp_path_factory.mktemp("hostile")
    command = [sys.executable, str(TESTS / "support" / "import_hostile_files.py"), str(folder), "--json"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert not list(folder.rglob("*escaped*"))
    return dict(map(json.loads, done.stdout.splitlines()))


def test_there_are_enough_of_them_and_each_has_a_name_of_its_own():
    assert len({file.what for file in FILES}) == len(FILES) >= 60


@pytest.mark.parametrize("file", FILES, ids=[file.what for file in FILES])
def test_a_hostile_file_is_refused_in_one_sentence_or_read_exactly(outcomes, file):
    found = outcomes[file.what]
    assert not found["crash"]
    assert found["seconds"] <= MOST_SECONDS
    assert found["mebibytes"] <= MOST_MEMORY
    if file.said:
        assert (found["status"], found["printed"]) == (1, "")
        assert all(part in found["error"] for part in file.said.split(" … "))
        assert file.name.partition("\n")[0].encode("ascii", "backslashreplace").decode()[-6:] in found["error"]
        assert found["error"].endswith((".\n", "…\n"))
        assert len(found["error"]) <= 1_001
        assert found["error"].rstrip("\n").isprintable()
        assert found["unchanged"]
    else:
        assert (found["status"], found["error"]) == (0, "")
        assert found["stored"] == file.read
        assert file.spoken in found["printed"]

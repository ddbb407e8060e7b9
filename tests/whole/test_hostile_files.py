"""No file, whatever it holds, crashes an import, is misread, marks the store when refused, or costs much to read."""

import json
import subprocess
import sys

import pytest

from tests.support.paths import ROOT
from tests.whole.hostile_files.files import FILES

MOST_MEMORY, MOST_SECONDS = 200, 2.0
"""MiB and seconds of CPU for one file; tests/whole/hostile_files/__main__.py explains how both are measured."""


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory):
    """Return {fault: outcome} of all files, imported one after the other."""
    folder = tmp_path_factory.mktemp("hostile")
    command = [sys.executable, "-m", "tests.whole.hostile_files", str(folder), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert not list(folder.rglob("*escaped*"))
    return dict(map(json.loads, done.stdout.splitlines()))


def test_there_are_60_files_or_more_and_no_two_with_one_description():
    assert len({file.fault for file in FILES}) == len(FILES) >= 60


@pytest.mark.parametrize("file", FILES, ids=[file.fault for file in FILES])
def test_a_hostile_file_is_refused_in_one_sentence_or_read_exactly(outcomes, file):
    outcome = outcomes[file.fault]
    assert not outcome["crash"]
    assert outcome["seconds"] <= MOST_SECONDS
    assert outcome["mebibytes"] <= MOST_MEMORY
    if file.refusal:
        assert (outcome["status"], outcome["printed"]) == (1, "")
        assert all(part in outcome["error"] for part in file.refusal.split(" … "))
        assert file.name.partition("\n")[0].encode("ascii", "backslashreplace").decode()[-6:] in outcome["error"]
        assert outcome["error"].endswith((".\n", "…\n"))
        assert len(outcome["error"]) <= 1_001
        assert outcome["error"].rstrip("\n").isprintable()
        assert outcome["unchanged"]
    else:
        assert (outcome["status"], outcome["error"]) == (0, "")
        assert outcome["stored"] == file.read
        assert file.printed in outcome["printed"]

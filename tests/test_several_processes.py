import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from two_processes import gradient_and_weights


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """What two processes and one found."""
    folder = tmp_path_factory.mktemp("processes")
    script = Path(__file__).with_name("two_processes.py")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", script, folder]
    root = script.parent.parent
    environment = {**os.environ, "PYTHONPATH": f"{root}:{script.parent}", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, timeout=500)
    assert done.returncode == 0, done.stderr
    two = [torch.load(folder / f"{number}.pt", weights_only=True) for number in (0, 1)]
    (folder / "alone").mkdir()
    return *two, gradient_and_weights(folder / "alone")


@pytest.mark.parametrize("step", ["nine", "one"])
def test_trap_24_two_processes_find_the_gradient_that_one_finds(found, step):
    first, second, alone = (some[step] for some in found)
    assert torch.equal(first, second)
    assert (first - alone).norm() <= 1e-5 * alone.norm()


def test_trap_17_two_processes_measure_the_validation_prompts_as_one_does(found):
    first, second, alone = (some["validation"].item() for some in found)
    assert first == second and first == pytest.approx(alone, rel=1e-3)


def test_two_processes_train_the_same_weights_as_one(found):
    first, second, alone = (some["weights"] for some in found)
    assert torch.equal(first, second)
    assert (first - alone).norm() <= 1e-3 * alone.norm()

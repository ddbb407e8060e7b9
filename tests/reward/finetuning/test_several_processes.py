import os
import subprocess
import sys

import pytest
import torch

from tests.support.paths import ROOT, TESTS
from two_processes import gradient_and_weights, trained_in_rows

FSDP = {
    "ACCELERATE_USE_FSDP": "true",
    "FSDP_VERSION": "2",
    "FSDP_AUTO_WRAP_POLICY": "TRANSFORMER_BASED_WRAP",
    "FSDP_STATE_DICT_TYPE": "FULL_STATE_DICT",
}
"""The environment in which `accelerate launch` starts its processes after `accelerate config` chose FSDP."""


def results_of_two(folder, *arguments, **environment):
    """Return the tensors that each of two processes saved."""
    script = TESTS / "support" / "two_processes.py"
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    around = {**os.environ, "PYTHONPATH": f"{ROOT}:{script.parent}", "OMP_NUM_THREADS": "1", **environment}
    done = subprocess.run(
        [*torchrun, script, folder, *arguments], capture_output=True, text=True, check=False, env=around, timeout=500
    )
    assert done.returncode == 0, done.stderr
    return [torch.load(folder / f"{number}.pt", weights_only=True) for number in (0, 1)]


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """The tensors of two processes, and of one process alone."""
    folder = tmp_path_factory.mktemp("processes")
    two = results_of_two(folder)
    (folder / "alone").mkdir()
    return *two, gradient_and_weights(folder / "alone")


@pytest.mark.parametrize("step", ["nine", "one"])
def test_trap_24_two_processes_compute_the_gradient_of_one(results, step):
    first, second, alone = (result[step] for result in results)
    assert torch.equal(first, second)
    assert (first - alone).norm() <= 1e-5 * alone.norm()


def test_trap_17_two_processes_compute_the_validation_log_loss_of_one(results):
    first, second, alone = (result["validation"].item() for result in results)
    assert first == second and first == pytest.approx(alone, rel=1e-3)


def test_two_processes_train_the_same_weights_as_one(results):
    first, second, alone = (result["weights"] for result in results)
    assert torch.equal(first, second)
    assert (first - alone).norm() <= 1e-3 * alone.norm()


def test_two_processes_with_half_of_the_network_each_train_the_same_weights_as_one(tmp_path):
    """FSDP gathers the weights of a layer for its use and frees them afterwards."""
    first, second = results_of_two(tmp_path, "fsdp", **FSDP)
    alone = trained_in_rows(tmp_path / "alone")
    assert first.pop("divided") and second.pop("divided") and not alone.pop("divided")
    log_loss = alone.pop("validation").item()
    assert first.pop("validation").item() == second.pop("validation").item() == pytest.approx(log_loss, rel=1e-4)
    assert second == {} and first.keys() == alone.keys()
    for name, weight in alone.items():
        assert (first[name] - weight).norm() <= 1e-4 * weight.norm(), name

"""Run by torchrun: every process saves the gradient of one step and the result of a short training to a folder.

With "fsdp" as second argument, the network is sharded over the processes and trained; the first saves its weights.
"""

import sys
from pathlib import Path

import torch
from accelerate import PartialState
from accelerate.utils import DistributedType

from reward.finetuning.train import end_process
from reward.finetuning.trainer import RankingTrainer, fit, training_arguments
from reward.networks.lean_layers import use_lean_layers
from reward.networks.ranked_network import RankedNetwork, start_head
from reward.settings import Settings
from tiny_networks import PAD, random_training_groups, tiny_decoder

SETTINGS = Settings(method="full", epochs=2, groups_per_step=9, learning_rate=1e-3, batch_tokens=150)
GROUPS = 19  # steps of 9, 9 and 1: uneven shares, and a step with no group for the second process


def new_network() -> RankedNetwork:
    network = tiny_decoder()
    start_head(network.score, seed=0)
    use_lean_layers(network)
    return RankedNetwork(network, PAD, "cache")


def gradient_and_weights(folder: Path) -> dict[str, torch.Tensor]:
    """Return the gradients of steps of 9 groups and of 1, and the weights after a training."""
    groups, tensors = random_training_groups(GROUPS), {}
    for name, step in (("nine", groups[:9]), ("one", groups[:1])):
        ranked = new_network()
        trainer = RankingTrainer(
            ranked, training_arguments(SETTINGS, folder, 1, False, "cpu"), SETTINGS, [step], [], 0.0
        )
        trainer.training_step(trainer.accelerator.prepare_model(ranked), step)
        tensors[name] = torch.cat([weight.grad.flatten() for weight in ranked.parameters()])
    ranked = new_network()
    result = fit(ranked, groups, random_training_groups(24, seed=2), SETTINGS, folder, device="cpu")
    tensors["weights"] = torch.cat([weight.detach().flatten() for weight in ranked.parameters()])
    tensors["validation"] = torch.tensor(result.best_log_loss)
    return tensors


def trained_in_rows(folder: Path) -> dict[str, torch.Tensor]:
    """Return the weights after a training in rows, on one process only, and the validation log loss."""
    ranked = new_network()
    ranked.layout = "row"
    result = fit(
        ranked, random_training_groups(GROUPS), random_training_groups(24, seed=2), SETTINGS, folder, device="cpu"
    )
    return result.weights | {"validation": torch.tensor(result.best_log_loss), "divided": torch.tensor(result.divided)}


def divide_on_cpus() -> None:
    """Let accelerate use FSDP without a GPU: torch can, over gloo, but accelerate enables it only on GPUs."""
    start = PartialState.__init__

    def start_as_if_on_gpus(state, *arguments, **options) -> None:
        start(state, *arguments, **options)
        if state.distributed_type == DistributedType.MULTI_CPU:
            state._shared_state["distributed_type"] = DistributedType.MULTI_GPU

    PartialState.__init__ = start_as_if_on_gpus


if __name__ == "__main__":
    out = Path(sys.argv[1])
    if sys.argv[2:] == ["fsdp"]:
        divide_on_cpus()
        tensors = trained_in_rows(out / "divided")
    else:
        tensors = gradient_and_weights(out / "run")
    torch.save(tensors, out / f"{torch.distributed.get_rank()}.pt")
    end_process()

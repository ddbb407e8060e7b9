"""Run by torchrun: one step's gradient and a short training, saved by every process into the folder that is named.

With a second argument, "fsdp", the network is divided between the processes and trained; the first saves its weights.
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
GROUPS = 19  # steps of 9, 9 and 1: uneven shares, and a step in which the second process has none


def fresh() -> RankedNetwork:
    network = tiny_decoder()
    start_head(network.score, seed=0)
    use_lean_layers(network)
    return RankedNetwork(network, PAD, "cache")


def gradient_and_weights(folder: Path) -> dict[str, torch.Tensor]:
    """Return the gradient of a step of 9 groups, that of a step of 1, and the weights after a training."""
    groups, found = random_training_groups(GROUPS), {}
    for name, step in (("nine", groups[:9]), ("one", groups[:1])):
        ranked = fresh()
        trainer = RankingTrainer(
            ranked, training_arguments(SETTINGS, folder, 1, False, "cpu"), SETTINGS, [step], [], 0.0
        )
        trainer.training_step(trainer.accelerator.prepare_model(ranked), step)
        found[name] = torch.cat([weight.grad.flatten() for weight in ranked.parameters()])
    ranked = fresh()
    said = fit(ranked, groups, random_training_groups(24, seed=2), SETTINGS, folder, device="cpu")
    found["weights"] = torch.cat([weight.detach().flatten() for weight in ranked.parameters()])
    found["validation"] = torch.tensor(said.best_log_loss)
    return found


def trained_in_rows(folder: Path) -> dict[str, torch.Tensor]:
    """Return the weights after a training in rows, and the validation log-loss; no weights on all but one process."""
    ranked = fresh()
    ranked.layout = "row"
    said = fit(
        ranked, random_training_groups(GROUPS), random_training_groups(24, seed=2), SETTINGS, folder, device="cpu"
    )
    return said.weights | {"validation": torch.tensor(said.best_log_loss), "divided": torch.tensor(said.divided)}


def divide_on_cpus() -> None:
    """Let accelerate use FSDP without a GPU: torch can, over gloo, but accelerate asks for it on GPUs alone."""
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
        found = trained_in_rows(out / "divided")
    else:
        found = gradient_and_weights(out / "run")
    torch.save(found, out / f"{torch.distributed.get_rank()}.pt")
    end_process()

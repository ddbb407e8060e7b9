"""Fine-tuning with transformers' Trainer: steps of whole groups, resumed bit for bit, on one process or several.

A step is a few groups (prompts with their rankings). Every process sees all groups of the step, takes its share, and
reads the share in batches of at most `batch_tokens`. The loss is divided by the weight of the whole step, so the
gradient depends neither on the batches nor on the number of processes.
"""

import logging
import math
import os
import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from accelerate.utils import gather_object
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset
from transformers import PrinterCallback, Trainer, TrainerCallback, TrainingArguments

from label_data.errors import InputError
from label_data.files.full_disk import is_full
from label_data.sentences import Sentence, say
from reward import metrics
from reward.file_names import LOG_FILE
from reward.finetuning.callbacks import EarlyStopping, RunLog, StopOnRequest, cut_log
from reward.finetuning.checkpoints import checkpoint_folder, drop_partial, last_whole, mark_whole, step_of
from reward.finetuning.training_groups import TrainingGroup, summed_loss, tie_strength_of
from reward.networks.batches import Input, group_batches, tokens_at_once
from reward.networks.ranked_network import RankedNetwork, layout_difference
from reward.progress import OnProgress, silent
from reward.settings import HEAD_RATE_FACTORS, Layout, Precision, Settings

CHECKPOINTS = "checkpoints"
EVALUATIONS = 4
"""Evaluations on the validation prompts in each epoch, each with a checkpoint."""
WARMUP, FINAL_RATE = 0.05, 0.1
"""Share of the steps in which the learning rate rises, and the share of the peak at which its cosine ends."""
FEWEST_VALIDATION = 20
"""With fewer validation prompts there is no early stopping, because their log loss is mostly noise."""
CHECKED_INPUTS = 8
CACHED_PRODUCTS = {"LRU_CACHE_CAPACITY": "32", "ONEDNN_PRIMITIVE_CACHE_CAPACITY": "32"}
"""Environment variables that limit how many prepared matrix products oneDNN caches, by shape. The default is 1,024, but
hardly any two batches have the same length, so the cache grew by some 12 MB at each step of LoRA in bfloat16."""
BFLOAT16_ON_CPU = ("avx512_bf16", "amx_bf16", "bf16")
"""torch's names for bfloat16 instruction sets: since Zen 4 and Cooper Lake, since Sapphire Rapids, and on Arm."""
TORCH_SAVE = "inline_container.cc"
"""The source file of torch that is named in the error of torch.save when a write fails; the error has no errno."""
logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Fitted:
    """The result of training; the network holds the weights of the best step."""

    steps: int
    """Steps taken, of `planned`."""
    planned: int
    best_step: int
    best_log_loss: float
    """On the validation prompts; nan without validation prompts."""
    tokens: int
    """Tokens read for training since the last start, without validation prompts and padding."""
    layout: Layout
    fallback: Sentence | None
    """Why the network's own layout was not used; None if it was."""
    precision: Precision
    weights: dict[str, torch.Tensor]
    """Trained weights of the best step, by their name in the network that was given."""
    divided: bool
    """Whether the network holds only this process's part of the weights."""


def fit(
    ranked: RankedNetwork,
    train: Sequence[TrainingGroup],
    validation: Sequence[TrainingGroup],
    settings: Settings,
    folder: Path,
    resume: bool = False,
    on_progress: OnProgress = silent,
    device: str | None = None,
) -> Fitted:
    """Train the network's trainable weights, with checkpoints and `log.jsonl` in the folder.

    Args:
        train, validation: groups of different prompts.
        resume: continue from the last checkpoint in the folder, or from the start if there is none.
        on_progress: gets (steps done, steps, message). If it raises, a checkpoint is saved and the error passes on.
        device: "cpu" trains on the CPU; by default the GPU is used if there is one.

    Raises:
        InputError: if there is nothing to train on, the processor lacks the bfloat16 that the settings ask for, or the
            disk is full. After a full disk the run can resume from its last checkpoint.
    """
    if not train:
        raise InputError("reward.finetuning.nothing_to_train_on")
    for name, capacity in CACHED_PRODUCTS.items():
        os.environ.setdefault(name, capacity)
    validation = validation if len(validation) >= FEWEST_VALIDATION else []
    steps = steps_of(len(train), settings)
    arguments = training_arguments(settings, folder, len(steps), bool(validation), device)
    stop = StopOnRequest(on_progress)
    callbacks: list[TrainerCallback] = [stop, RunLog(folder / LOG_FILE, len(steps) / settings.epochs)]
    if validation:
        callbacks.append(EarlyStopping(settings.patience, len(steps) / settings.epochs))
    strength = tie_strength_of(train) if settings.loss == "davidson" else 0.0
    groups_of_steps = [[train[position] for position in step] for step in steps]
    trainer = RankingTrainer(ranked, arguments, settings, groups_of_steps, validation, strength, callbacks)
    fallback = _checked(ranked, train, settings.batch_tokens or tokens_at_once(arguments.device.type, "plain"))
    checkpoint = last_whole(folder / CHECKPOINTS) if resume else None
    if trainer.is_world_process_zero():
        drop_partial(folder / CHECKPOINTS)
        cut_log(folder / LOG_FILE, step_of(checkpoint) if checkpoint else 0)
    try:
        trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    except Exception as error:
        if not (is_full(error) or TORCH_SAVE in str(error)):
            raise
        drop_partial(folder / CHECKPOINTS)
        raise InputError("reward.finetuning.disk_full", folder=folder, error=error) from error
    if stop.error is not None:
        raise stop.error
    state = trainer.state
    best_step, best_log_loss = state.global_step, math.nan
    if validation and state.best_global_step is not None and state.best_metric is not None:
        best_step, best_log_loss = state.best_global_step, state.best_metric
    return Fitted(
        steps=state.global_step,
        planned=len(steps),
        best_step=best_step,
        best_log_loss=best_log_loss,
        tokens=trainer.tokens_read,
        layout=ranked.layout,
        fallback=fallback,
        precision="bfloat16" if arguments.bf16 else "float32",
        weights=trainer.whole_weights(),
        divided=trainer.is_fsdp_enabled,
    )


def steps_of(groups: int, settings: Settings) -> list[list[int]]:
    """Return the positions of the groups in every step of all epochs; each epoch has an order of its own."""
    rng = np.random.default_rng(settings.seed)
    size = settings.groups_per_step
    steps: list[list[int]] = []
    for _ in range(settings.epochs):
        order = rng.permutation(groups).tolist()
        steps += [order[start : start + size] for start in range(0, groups, size)]
    return steps


def _checked(ranked: RankedNetwork, train: Sequence[TrainingGroup], tokens: int) -> Sentence | None:
    """Compare the layout with "plain" on a few inputs; if they differ, change to "plain", warn, and return why.

    The check is in float32 whatever the precision of training: bfloat16 alone moved rewards by 7% of their size.
    """
    if ranked.layout == "plain":
        return None
    difference = layout_difference(ranked, inputs_to_check(train, tokens))
    if difference is None:
        return None
    fallback = say("reward.finetuning.inexact_layout", layout=ranked.layout, difference=difference)
    ranked.layout = "plain"
    logger.warning("%s Training takes longer, and is exact.", fallback)
    return fallback


def inputs_to_check(train: Sequence[TrainingGroup], tokens: int) -> list[Input]:
    """Return up to CHECKED_INPUTS inputs of the first groups that fit into one batch of `tokens` in the plain layout.

    If no group is that small, return the first two inputs of the group whose first two inputs are the shortest.
    """
    checked: list[Input] = []
    for group in train:
        more = [*checked, *group.inputs][:CHECKED_INPUTS]
        if len(checked) < CHECKED_INPUTS and _padded_tokens(more) <= tokens:
            checked = more
    return checked or min((list(group.inputs[:2]) for group in train), key=_padded_tokens)


def _padded_tokens(inputs: Sequence[Input]) -> int:
    return len(inputs) * max(len(item.ids) for item in inputs)


def training_arguments(
    settings: Settings, folder: Path, steps: int, validated: bool, device: str | None
) -> TrainingArguments:
    """Return the arguments of transformers' Trainer: `steps` steps, saved and evaluated EVALUATIONS times an epoch."""
    interval = max(1, round(steps / settings.epochs / EVALUATIONS))
    on_cpu = device == "cpu" or not torch.cuda.is_available()
    return TrainingArguments(
        output_dir=str(folder / CHECKPOINTS),
        num_train_epochs=1,  # the data loader holds the steps of all epochs
        per_device_train_batch_size=1,  # one step
        learning_rate=settings.rate,
        lr_scheduler_type="cosine_with_min_lr",
        lr_scheduler_kwargs={"min_lr_rate": FINAL_RATE},
        warmup_steps=int(WARMUP * steps),
        max_grad_norm=1.0,
        weight_decay=0.0,
        seed=settings.seed,
        use_cpu=on_cpu,
        bf16=in_bfloat16(settings.precision, on_cpu),
        logging_steps=1,
        eval_strategy="steps" if validated else "no",
        eval_steps=interval if validated else None,
        save_strategy="steps",
        save_steps=interval,
        save_total_limit=2,
        load_best_model_at_end=validated,
        metric_for_best_model="log_loss" if validated else None,
        greater_is_better=False if validated else None,
        ddp_find_unused_parameters=False,
        ddp_broadcast_buffers=False,
        report_to=list(settings.report_to),
        disable_tqdm=True,
    )


def in_bfloat16(precision: Precision | None, on_cpu: bool) -> bool:
    """Return whether to compute matrix products in bfloat16.

    Raises InputError for bfloat16 on a processor without instructions for it: one such processor took 13 times as long.
    """
    if precision is None:
        return not on_cpu and torch.cuda.is_bf16_supported()
    capabilities = torch.cpu.get_capabilities()
    if precision == "bfloat16" and on_cpu and not any(capabilities.get(name) for name in BFLOAT16_ON_CPU):
        raise InputError("reward.finetuning.no_bfloat16", instructions=", ".join(BFLOAT16_ON_CPU))
    return precision == "bfloat16"


class RankingTrainer(Trainer):
    """A Trainer whose training examples are steps: lists of groups. See the module for how a step is divided."""

    def __init__(
        self,
        ranked: RankedNetwork,
        arguments: TrainingArguments,
        settings: Settings,
        steps: Sequence[Sequence[TrainingGroup]],
        validation: Sequence[TrainingGroup],
        tie_strength: float,
        callbacks: Sequence[TrainerCallback] = (),
    ) -> None:
        super().__init__(
            ranked, arguments, train_dataset=list(steps), eval_dataset=list(validation) or None, callbacks=[*callbacks]
        )
        self.remove_callback(PrinterCallback)
        self.ranked = ranked
        self.settings = settings
        self.tie_strength = tie_strength
        self.tokens_read = 0
        self._last_logged = time.perf_counter(), 0

    def get_train_dataloader(self) -> DataLoader[Sequence[TrainingGroup]]:
        """Return the steps in order, all of them to every process."""
        return DataLoader(cast(Dataset[Sequence[TrainingGroup]], self.train_dataset), batch_size=1, collate_fn=_only)

    def create_optimizer(self, model: torch.nn.Module | None = None) -> torch.optim.Optimizer:
        """Return AdamW, created once, with a learning rate of its own for the head."""
        if self.optimizer is None:
            network = model or cast(torch.nn.Module, self.model)  # Trainer types its model as optional
            trained = [(name, weight) for name, weight in network.named_parameters() if weight.requires_grad]
            head = [weight for name, weight in trained if _of_head(name)]
            rest = [weight for name, weight in trained if not _of_head(name)]
            rate, factor = self.args.learning_rate, HEAD_RATE_FACTORS[self.settings.method]
            groups = [{"params": rest, "lr": rate}, {"params": head, "lr": rate * factor}]
            self.optimizer = torch.optim.AdamW(groups, weight_decay=0.0, fused=True)
        return self.optimizer

    # The type of `inputs` differs from Trainer's, which takes the batches of a data loader of tensors.
    def training_step(  # type: ignore[override]
        self,
        model: torch.nn.Module,
        inputs: Sequence[TrainingGroup],
        num_items_in_batch: torch.Tensor | int | None = None,
    ) -> torch.Tensor:
        """Add the gradient of this process's share of the step, and return its loss.

        The mean of the losses over all processes is the loss of the step.
        """
        model.train()
        scale = self.args.world_size / sum(group.weight for group in inputs)
        batches, counted, turns = self._share(inputs)
        total = torch.zeros((), device=self.args.device)
        for turn in range(turns):
            batch = batches[turn % len(batches)]
            with nullcontext() if turn == turns - 1 else self.accelerator.no_sync(model):
                rewards = model(_inputs(batch))
                loss = summed_loss(rewards, batch, self.settings, self.tie_strength)
                loss = loss * (scale if turn < counted else 0.0)
                self.accelerator.backward(loss)
            total += loss.detach()
        self.tokens_read += _tokens(_inputs(inputs), self.ranked.layout)
        return total

    def evaluate(
        self,
        eval_dataset: Any = None,  # the type in Trainer's signature; not used
        ignore_keys: list[str] | None = None,
        metric_key_prefix: str = "eval",
    ) -> dict[str, float]:
        """Return log loss and accuracy on the validation prompts, weighted like the loss, and log them."""
        batches, counted, turns = self._share(cast(Sequence[TrainingGroup], self.eval_dataset))
        self.ranked.eval()
        pairs: list[tuple[float, float]] = []
        with torch.inference_mode():
            for turn in range(turns):
                batch = batches[turn % len(batches)]
                rewards = self.model_wrapped(_inputs(batch)).float().cpu().numpy()
                if turn < counted:
                    pairs += _margins(rewards, batch)
        if self.args.world_size > 1:
            pairs = gather_object(pairs)
        margins, weights = np.array(sorted(pairs)).T  # sorted: the sum must not depend on which process computed what
        measured = {
            f"{metric_key_prefix}_log_loss": metrics.log_loss(margins, weights),
            f"{metric_key_prefix}_accuracy": metrics.accuracy(margins, weights),
        }
        self.log(measured)
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, measured)
        return measured

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Add the tokens read per second since the last logged step, and log to every tracker."""
        if "loss" in logs:
            then, before = self._last_logged
            self._last_logged = now, read = time.perf_counter(), self.tokens_read
            logs["tokens_per_second"] = (read - before) / max(now - then, 1e-9)
        super().log(logs, start_time)

    def _save_checkpoint(self, model: torch.nn.Module, trial: Any) -> None:  # Any: as in Trainer, which declares none
        """Save a checkpoint, and mark it as whole once the parts of all processes are on the disk."""
        super()._save_checkpoint(model, trial)
        self.accelerator.wait_for_everyone()
        if self.args.should_save:
            mark_whole(checkpoint_folder(Path(str(self.args.output_dir)), self.state.global_step))

    def whole_weights(self) -> dict[str, torch.Tensor]:
        """Return the trained weights, including the parts that other processes hold."""
        if self.is_fsdp_enabled:
            weights: dict[str, torch.Tensor] = self.accelerator.get_state_dict(self.model_wrapped)
            return weights
        return self.ranked.state_dict()

    def _share(self, groups: Sequence[TrainingGroup]) -> tuple[list[list[TrainingGroup]], int, int]:
        """Return this process's batches, how many of them count, and how many turns every process takes.

        All processes take the same number of turns, because a process with more would wait for the others forever.
        Batches that a process reads beyond its own have no weight.
        """
        longest_first = sorted(groups, key=lambda group: -sum(len(item.ids) for item in group.inputs))
        tokens = self.settings.batch_tokens or tokens_at_once(self.args.device.type, self.ranked.layout)
        processes = self.args.world_size
        shares: list[list[list[TrainingGroup]]] = []
        for process in range(processes):
            dealt = longest_first[process::processes] or longest_first[:1]
            positions = group_batches([group.inputs for group in dealt], tokens, self.ranked.layout)
            shares.append([[dealt[position] for position in batch] for batch in positions])
        own = shares[self.args.process_index]
        counted = len(own) if self.args.process_index < len(longest_first) else 0
        return own, counted, max(map(len, shares))


def _only(steps: list[Sequence[TrainingGroup]]) -> Sequence[TrainingGroup]:
    return steps[0]


def _of_head(name: str) -> bool:
    return bool({"score", "classifier"} & set(name.split(".")))


def _inputs(groups: Sequence[TrainingGroup]) -> list[Input]:
    return [item for group in groups for item in group.inputs]


def _tokens(inputs: Sequence[Input], layout: Layout) -> int:
    if layout == "plain":
        return sum(len(item.ids) for item in inputs)
    return sum(map(len, {item.prompt for item in inputs})) + sum(len(item.completion) for item in inputs)


def _margins(rewards: NDArray[np.float32], groups: Sequence[TrainingGroup]) -> list[tuple[float, float]]:
    """Return margin and weight of every comparison of the groups; `rewards` are in the order of their inputs."""
    pairs: list[tuple[float, float]] = []
    start = 0
    for group in groups:
        end = start + len(group.inputs)
        own = rewards[start:end]
        pairs += [(float(own[pair.first] - own[pair.second]), pair.weight) for pair in group.comparisons]
        start = end
    return pairs

"""Fine-tuning on transformers' Trainer: steps of whole groups, resumed to the bit, on one process or many.

A step is a few groups. Every process sees all of them, takes its share, and reads that in batches as large as
memory is meant to hold; the loss is divided by the weight of the whole step. So neither the batches nor the number of
processes changes the gradient.
"""

import json
import logging
import math
import os
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate.utils import gather_object
from torch.utils.data import DataLoader
from transformers import (
    PrinterCallback,
    Trainer,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)

from label_data.errors import InputError
from label_data.files.full_disk import is_full
from label_data.files.whole import replacing
from reward import metrics
from reward.file_names import LOG_FILE
from reward.finetuning.checkpoints import checkpoint_folder, drop_partial, last_whole, mark_whole, step_of
from reward.finetuning.lessons import Judged, strength_of_ties, summed_loss
from reward.networks.batches import Input, group_batches, tokens_at_once
from reward.networks.ranked_network import RankedNetwork, disagreement
from reward.settings import HEAD_RATE_FACTORS, Layout, Precision, Settings

OnProgress = Callable[[int, int, str], object]
CHECKPOINTS = "checkpoints"
EVALUATIONS = 4
"""How often an epoch is looked at on the validation prompts, and kept."""
WARMUP, LEAST_RATE = 0.05, 0.1
"""Share of the steps in which the learning rate rises, and what share of it the cosine ends at."""
FEWEST_VALIDATION = 20
"""Validation prompts below which nothing is stopped by them: their log-loss is mostly chance."""
CHECKED_INPUTS = 8
PREPARED_PRODUCTS = {"LRU_CACHE_CAPACITY": "32", "ONEDNN_PRIMITIVE_CACHE_CAPACITY": "32"}
"""How many matrix products of a shape oneDNN keeps ready. By itself it keeps 1,024, but
hardly two batches have one length, so they took some 12 MB more at each step of LoRA in bfloat16."""
BFLOAT16_ON_CPU = ("avx512_bf16", "amx_bf16", "bf16")
"""What torch calls instructions for it: of Zen 4 and Cooper Lake on, of Sapphire Rapids on, of Arm."""
TORCH_SAVE = "inline_container.cc"
"""What torch.save's error names when a write failed: the place in torch's source, and no number."""
logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Fitted:
    """What came of training; the network holds the weights of the best step."""

    steps: int
    """Taken, of `planned`."""
    planned: int
    best_step: int
    best_log_loss: float
    """On the validation prompts; nan without any."""
    tokens: int
    """Read while training since the last start, the validation prompts and padding left out."""
    layout: Layout
    fallback: str
    """Why groups were not read in the layout that was meant; empty if they were."""
    precision: Precision
    weights: dict[str, torch.Tensor]
    """Trained weights of the best step, by their name in the network that was given."""
    divided: bool
    """Does the network that was given hold only this process's part of them?"""


def fit(
    ranked: RankedNetwork,
    train: Sequence[Judged],
    validation: Sequence[Judged],
    settings: Settings,
    folder: Path,
    resume: bool = False,
    on_progress: OnProgress = lambda done, total, message: None,
    device: str | None = None,
) -> Fitted:
    """Train the network's trainable weights; checkpoints and `log.jsonl` go to the folder.

    Args:
        train, validation: groups, none of whose prompts is in both.
        resume: go on from the folder's last checkpoint; without one, from the start.
        on_progress: gets (steps done, steps, message); if it raises, a checkpoint is kept and the error comes through.
        device: "cpu" keeps training there; by default the GPU if there is one.

    Raises:
        InputError: if there is nothing to train on, the processor has no bfloat16 that was asked for, or the disk is
            full; then what was done is kept, as when stopped.
    """
    if not train:
        raise InputError("No training prompt has a ranking that this loss can learn from. Rank some prompts first.")
    for name, kept in PREPARED_PRODUCTS.items():
        os.environ.setdefault(name, kept)
    validation = validation if len(validation) >= FEWEST_VALIDATION else []
    steps = steps_of(len(train), settings)
    arguments = training_arguments(settings, folder, len(steps), bool(validation), device)
    stop = _Stop(on_progress)
    callbacks: list[TrainerCallback] = [stop, _Log(folder / LOG_FILE, len(steps) / settings.epochs)]
    if validation:
        callbacks.append(_EarlyStop(settings.patience, len(steps) / settings.epochs))
    strength = strength_of_ties(train) if settings.loss == "davidson" else 0.0
    of_steps = [[train[at] for at in step] for step in steps]
    trainer = RankingTrainer(ranked, arguments, settings, of_steps, validation, strength, callbacks)
    fallback = _checked(ranked, train, settings.batch_tokens or tokens_at_once(arguments.device.type, "plain"))
    last = last_whole(folder / CHECKPOINTS) if resume else None
    if trainer.is_world_process_zero():
        drop_partial(folder / CHECKPOINTS)
        _cut_log(folder / LOG_FILE, step_of(last) if last else 0)
    try:
        trainer.train(resume_from_checkpoint=str(last) if last else None)
    except Exception as error:
        if not (is_full(error) or TORCH_SAVE in str(error)):
            raise
        drop_partial(folder / CHECKPOINTS)
        raise InputError(
            f"{folder}: the disk took no more ({error}). Free some space and go on from the last checkpoint with "
            "--resume, or remove the folder."
        ) from error
    if stop.error is not None:
        raise stop.error
    state = trainer.state
    return Fitted(
        steps=state.global_step,
        planned=len(steps),
        best_step=state.best_global_step if validation else state.global_step,
        best_log_loss=state.best_metric if validation else math.nan,
        tokens=trainer.tokens_read,
        layout=ranked.layout,
        fallback=fallback,
        precision="bfloat16" if arguments.bf16 else "float32",
        weights=trainer.whole_weights(),
        divided=trainer.is_fsdp_enabled,
    )


def steps_of(groups: int, settings: Settings) -> list[list[int]]:
    """Return the positions of the groups in every step of every epoch, each epoch in another order."""
    chance = np.random.default_rng(settings.seed)
    steps = []
    for _ in range(settings.epochs):
        order = chance.permutation(groups).tolist()
        steps += [order[at : at + settings.groups_per_step] for at in range(0, groups, settings.groups_per_step)]
    return steps


def _checked(ranked: RankedNetwork, train: Sequence[Judged], tokens: int) -> str:
    """Compare the layout with the plain one on a few inputs; where they differ, read plainly and say so loudly.

    In float32 whatever the precision of training: bfloat16 alone was seen to move rewards by 7 % of their size.
    """
    if ranked.layout == "plain":
        return ""
    wrong = disagreement(ranked, inputs_to_check(train, tokens))
    if wrong:
        wrong = f"Read in the layout {ranked.layout!r}, {wrong}: every prompt is read with each of its completions."
        ranked.layout = "plain"
        logger.warning("%s It takes longer, and is exact.", wrong)
    return wrong


def inputs_to_check(train: Sequence[Judged], tokens: int) -> list[Input]:
    """Return some inputs, of the first groups that together are one batch of so many tokens even if read plainly.

    Where none is so small, the first two of that group of which they are the fewest tokens.
    """
    found: list[Input] = []
    for group in train:
        more = [*found, *group.inputs][:CHECKED_INPUTS]
        if len(found) < CHECKED_INPUTS and _padded_tokens(more) <= tokens:
            found = more
    return found or min((group.inputs[:2] for group in train), key=_padded_tokens)


def _padded_tokens(inputs: Sequence[Input]) -> int:
    return len(inputs) * max(len(one.ids) for one in inputs)


def training_arguments(
    settings: Settings, folder: Path, steps: int, validated: bool, device: str | None
) -> TrainingArguments:
    """Return what transformers' Trainer is told: `steps` in all, kept and looked at four times an epoch."""
    every = max(1, round(steps / settings.epochs / EVALUATIONS))
    on_cpu = device == "cpu" or not torch.cuda.is_available()
    return TrainingArguments(
        output_dir=str(folder / CHECKPOINTS),
        num_train_epochs=1,  # the data loader holds the steps of all epochs
        per_device_train_batch_size=1,  # one step
        learning_rate=settings.rate,
        lr_scheduler_type="cosine_with_min_lr",
        lr_scheduler_kwargs={"min_lr_rate": LEAST_RATE},
        warmup_steps=int(WARMUP * steps),
        max_grad_norm=1.0,
        weight_decay=0.0,
        seed=settings.seed,
        use_cpu=on_cpu,
        bf16=in_bfloat16(settings.precision, on_cpu),
        logging_steps=1,
        eval_strategy="steps" if validated else "no",
        eval_steps=every if validated else None,
        save_strategy="steps",
        save_steps=every,
        save_total_limit=2,
        load_best_model_at_end=validated,
        metric_for_best_model="log_loss" if validated else None,
        greater_is_better=False if validated else None,
        ddp_find_unused_parameters=False,
        ddp_broadcast_buffers=False,
        report_to=list(settings.report_to),
        disable_tqdm=True,
    )


def in_bfloat16(asked: Precision | None, on_cpu: bool) -> bool:
    """Say whether matrix products are to be in bfloat16.

    Raises InputError if that was asked of a processor that has no instructions for it: one took 13 times as long.
    """
    if asked is None:
        return not on_cpu and torch.cuda.is_bf16_supported()
    able = torch.cpu.get_capabilities()
    if asked == "bfloat16" and on_cpu and not any(able.get(name) for name in BFLOAT16_ON_CPU):
        raise InputError(
            f"This processor has no instructions for bfloat16 ({', '.join(BFLOAT16_ON_CPU)}): without them it would "
            "take many times as long. Leave --precision out."
        )
    return asked == "bfloat16"


class RankingTrainer(Trainer):
    """Trainer whose data are steps: lists of groups. See the module for how a step is divided."""

    def __init__(
        self,
        ranked: RankedNetwork,
        arguments: TrainingArguments,
        settings: Settings,
        steps: Sequence[Sequence[Judged]],
        validation: Sequence[Judged],
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

    def get_train_dataloader(self) -> DataLoader:
        """Return the steps in order, all of them to every process."""
        return DataLoader(self.train_dataset, batch_size=1, collate_fn=_only)

    def create_optimizer(self, model: torch.nn.Module | None = None) -> torch.optim.Optimizer:
        """Return AdamW, made once, in which the head has a rate of its own."""
        if self.optimizer is None:
            trained = [pair for pair in (model or self.model).named_parameters() if pair[1].requires_grad]
            head = [weight for name, weight in trained if _of_head(name)]
            rest = [weight for name, weight in trained if not _of_head(name)]
            rate, times = self.args.learning_rate, HEAD_RATE_FACTORS[self.settings.method]
            groups = [{"params": rest, "lr": rate}, {"params": head, "lr": rate * times}]
            self.optimizer = torch.optim.AdamW(groups, weight_decay=0.0, fused=True)
        return self.optimizer

    def training_step(
        self,
        model: torch.nn.Module,
        inputs: Sequence[Judged],
        num_items_in_batch: torch.Tensor | int | None = None,
    ) -> torch.Tensor:
        """Add the gradient of this process's share of the step, and return its loss; their mean is the step's."""
        model.train()
        scale = self.args.world_size / sum(one.weight for one in inputs)
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
        self, eval_dataset: Any = None, ignore_keys: list[str] | None = None, metric_key_prefix: str = "eval"
    ) -> dict[str, float]:
        """Return log-loss and accuracy on the validation prompts, weighted as the loss is, and log them."""
        batches, counted, turns = self._share(self.eval_dataset)
        self.ranked.eval()
        found: list[tuple[float, float]] = []
        with torch.inference_mode():
            for turn in range(turns):
                batch = batches[turn % len(batches)]
                rewards = self.model_wrapped(_inputs(batch)).float().cpu().numpy()
                if turn < counted:
                    found += _margins(rewards, batch)
        if self.args.world_size > 1:
            found = gather_object(found)
        margins, weights = np.array(sorted(found)).T  # sorted: the sum must not depend on who computed what
        measured = {
            f"{metric_key_prefix}_log_loss": metrics.log_loss(margins, weights),
            f"{metric_key_prefix}_accuracy": metrics.accuracy(margins, weights),
        }
        self.log(measured)
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, measured)
        return measured

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Add the tokens read a second since the last step was logged, and log to every tracker."""
        if "loss" in logs:
            then, before = self._last_logged
            self._last_logged = now, read = time.perf_counter(), self.tokens_read
            logs["tokens_per_second"] = (read - before) / max(now - then, 1e-9)
        super().log(logs, start_time)

    def _save_checkpoint(self, model: torch.nn.Module, trial: Any) -> None:
        """Keep a checkpoint, which counts once every process's part of it is on the disk."""
        super()._save_checkpoint(model, trial)
        self.accelerator.wait_for_everyone()
        if self.args.should_save:
            mark_whole(checkpoint_folder(Path(self.args.output_dir), self.state.global_step))

    def whole_weights(self) -> dict[str, torch.Tensor]:
        """Return the trained weights, those of other processes included."""
        if self.is_fsdp_enabled:
            return self.accelerator.get_state_dict(self.model_wrapped)
        return self.ranked.state_dict()

    def _share(self, groups: Sequence[Judged]) -> tuple[list[list[Judged]], int, int]:
        """Return this process's batches, how many of them count, and how many turns all processes take.

        All take equally many turns, or those with more would wait for the others for ever: what is read in a turn
        beyond a process's own counts nothing.
        """
        longest_first = sorted(groups, key=lambda one: -sum(len(some.ids) for some in one.inputs))
        processes, shares, layout = self.args.world_size, [], self.ranked.layout
        tokens = self.settings.batch_tokens or tokens_at_once(self.args.device.type, layout)
        for process in range(processes):
            dealt = longest_first[process::processes] or longest_first[:1]
            positions = group_batches([one.inputs for one in dealt], tokens, layout)
            shares.append([[dealt[at] for at in batch] for batch in positions])
        mine = shares[self.args.process_index]
        counted = len(mine) if self.args.process_index < len(longest_first) else 0
        return mine, counted, max(map(len, shares))


def _only(steps: list[Sequence[Judged]]) -> Sequence[Judged]:
    return steps[0]


def _of_head(name: str) -> bool:
    return bool({"score", "classifier"} & set(name.split(".")))


def _inputs(groups: Sequence[Judged]) -> list[Input]:
    return [one for group in groups for one in group.inputs]


def _tokens(inputs: Sequence[Input], layout: Layout) -> int:
    if layout == "plain":
        return sum(len(one.ids) for one in inputs)
    return sum(map(len, {one.prompt for one in inputs})) + sum(len(one.completion) for one in inputs)


def _margins(rewards: np.ndarray, groups: Sequence[Judged]) -> list[tuple[float, float]]:
    """Return margin and weight of every comparison of the groups, whose rewards these are in order."""
    found, start = [], 0
    for group in groups:
        own, start = rewards[start : start + len(group.inputs)], start + len(group.inputs)
        found += [(float(own[pair.first] - own[pair.second]), pair.weight) for pair in group.compared]
    return found


# What is done after a step


class _Stop(TrainerCallback):
    """Tells how far training is, and ends it with a checkpoint when whoever is told raises."""

    def __init__(self, on_progress: OnProgress) -> None:
        self.on_progress = on_progress
        self.error: BaseException | None = None

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> TrainerControl:
        losses = [line["loss"] for line in state.log_history if "loss" in line]
        said = f", loss {losses[-1]:.3f}" if losses else ""
        try:
            self.on_progress(
                state.global_step, state.max_steps, f"Step {state.global_step} of {state.max_steps}{said}."
            )
        except BaseException as error:  # also Ctrl+C: first the checkpoint, then the error, from `fit`
            self.error = error
        stopped = self.error is not None
        if torch.distributed.is_initialized():
            flag = torch.tensor(int(stopped), device=args.device)
            torch.distributed.all_reduce(flag, torch.distributed.ReduceOp.MAX)
            stopped = bool(flag)
            if stopped and self.error is None:
                self.error = KeyboardInterrupt("Another process was stopped.")
        if stopped:
            control.should_save = control.should_training_stop = True
        elif state.global_step == state.max_steps and args.eval_strategy != "no":
            control.should_evaluate = control.should_save = True
        return control


class _EarlyStop(TrainerCallback):
    """Ends training when the last looks at the validation prompts brought no gain, but not amid the first epoch.

    All it goes by is the history, which checkpoints hold: a training that is resumed ends where it would have.
    """

    def __init__(self, patience: int, steps_per_epoch: float) -> None:
        self.patience = patience
        self.steps_per_epoch = steps_per_epoch

    def on_evaluate(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> TrainerControl:
        losses = [line["eval_log_loss"] for line in state.log_history if "eval_log_loss" in line]
        without_gain = len(losses) - 1 - losses.index(min(losses))
        if without_gain >= self.patience and state.global_step >= self.steps_per_epoch:
            control.should_training_stop = True
        return control


class _Log(TrainerCallback):
    """Appends to a file a line of JSON for every step and every evaluation."""

    def __init__(self, path: Path, steps_per_epoch: float) -> None:
        self.path = path
        self.steps_per_epoch = steps_per_epoch

    def on_log(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, logs: dict[str, float], **_: Any
    ) -> None:
        names = {
            "loss": "loss",
            "learning_rate": "learning_rate",
            "grad_norm": "gradient_norm",
            "tokens_per_second": "tokens_per_second",
            "eval_log_loss": "validation_log_loss",
            "eval_accuracy": "validation_accuracy",
        }
        said = {names[name]: value for name, value in logs.items() if name in names}
        if said and state.is_world_process_zero:
            line = {"step": state.global_step, "epoch": round(state.global_step / self.steps_per_epoch, 4), **said}
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")


def _cut_log(path: Path, step: int) -> None:
    """Drop the lines of steps after this one, which are taken again, and a last line that was cut short."""
    if path.exists():
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
        kept = [line for line in lines if line.endswith("\n") and json.loads(line)["step"] <= step]
        with replacing(path) as file:
            file.write("".join(kept).encode())

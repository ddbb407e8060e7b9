"""Callbacks of transformers' Trainer: progress and stopping, early stopping, and the log of a run."""

import json
from pathlib import Path
from typing import Any

import torch
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from label_data.files.whole import replacing
from label_data.sentences import say
from reward.progress import OnProgress

LOGGED = {
    "loss": "loss",
    "learning_rate": "learning_rate",
    "grad_norm": "gradient_norm",
    "tokens_per_second": "tokens_per_second",
    "eval_log_loss": "validation_log_loss",
    "eval_accuracy": "validation_accuracy",
}
"""The numbers that the log keeps: name in the trainer -> name in the log."""


class StopOnRequest(TrainerCallback):
    """Report progress after every step; when `on_progress` raises, save a checkpoint and end training."""

    def __init__(self, on_progress: OnProgress) -> None:
        self.on_progress = on_progress
        self.error: BaseException | None = None
        """What `on_progress` raised; `fit` raises it once the checkpoint is saved."""

    # `Any` in these three classes: keyword arguments that the trainer passes and that are not used here.
    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> TrainerControl:
        """Report the step and its loss, and stop all processes if one of them was asked to stop."""
        step, steps = state.global_step, state.max_steps
        losses = [line["loss"] for line in state.log_history if "loss" in line]
        if losses:
            message = say("reward.finetuning.step_loss", step=step, steps=steps, loss=losses[-1])
        else:
            message = say("reward.finetuning.step", step=step, steps=steps)
        try:
            self.on_progress(step, steps, message)
        except BaseException as error:  # Ctrl+C too: the checkpoint comes first, then `fit` raises the error
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
        elif step == steps and args.eval_strategy != "no":
            control.should_evaluate = control.should_save = True
        return control


class EarlyStopping(TrainerCallback):
    """End training after `patience` evaluations without a lower validation log loss, but not before one epoch is over.

    It depends only on the history, which checkpoints hold, so a resumed run ends at the same step.
    """

    def __init__(self, patience: int, steps_per_epoch: float) -> None:
        self.patience = patience
        self.steps_per_epoch = steps_per_epoch

    def on_evaluate(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> TrainerControl:
        """Stop if the lowest log loss is at least `patience` evaluations old."""
        losses = [line["eval_log_loss"] for line in state.log_history if "eval_log_loss" in line]
        without_gain = len(losses) - 1 - losses.index(min(losses))
        if without_gain >= self.patience and state.global_step >= self.steps_per_epoch:
            control.should_training_stop = True
        return control


class RunLog(TrainerCallback):
    """Append one line of JSON to a file for every step and every evaluation."""

    def __init__(self, path: Path, steps_per_epoch: float) -> None:
        self.path = path
        self.steps_per_epoch = steps_per_epoch

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **_: Any,
    ) -> None:
        """Write the logged numbers; only the first process writes."""
        numbers = {LOGGED[name]: value for name, value in (logs or {}).items() if name in LOGGED}
        if numbers and state.is_world_process_zero:
            epoch = round(state.global_step / self.steps_per_epoch, 4)
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"step": state.global_step, "epoch": epoch, **numbers}) + "\n")


def cut_log(path: Path, step: int) -> None:
    """Remove the lines of the steps after this step, which a resumed run repeats, and an incomplete last line."""
    if path.exists():
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
        kept = [line for line in lines if line.endswith("\n") and json.loads(line)["step"] <= step]
        with replacing(path) as file:
            file.write("".join(kept).encode())

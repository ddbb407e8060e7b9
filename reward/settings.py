"""How a reward model is trained: every field is a flag of `python -m reward train`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from label_data.errors import InputError
from label_data.settings import PACKAGED_MODEL

Method = Literal["head", "top", "lora", "full"]
Loss = Literal["bradley-terry", "plackett-luce", "davidson"]
Layout = Literal["plain", "cache", "row"]
"""How groups are read: see `batches`."""
Precision = Literal["float32", "bfloat16"]
"""Of the matrix products while training; weights and rewards are float32 either way."""

LEARNING_RATES = {"full": 2e-5, "lora": 2e-4, "top": 1e-4}
HEAD_TIMES = {"full": 10.0, "lora": 5.0, "top": 10.0}
"""How much faster than the rest the head learns, which starts from chance."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What to train, on how much, and how; the defaults are for a CPU and a few thousand comparisons."""

    method: Method = "head"
    """head: a linear head on a frozen backbone; top: the last layers; lora: low-rank changes of all; full: all."""
    backbone: str = PACKAGED_MODEL
    seed: int = 0
    """Decides split, order, the head's start and intervals."""
    held_out: float = 0.2
    """Share of the prompts kept for the report."""
    validation: float = 0.1
    """Share of the training prompts that stop training when it no longer helps; never those of the report."""
    epochs: int = 2
    learning_rate: float | None = None
    """At its highest; by method if None."""
    groups_per_step: int = 8
    """Prompts, with all that was said of their completions, in one step of the optimiser: 8 gave less validation
    log-loss than 32 in docs/results.md."""
    patience: int = 3
    """Evaluations without a better validation log-loss after which training stops, once one epoch is over; there are
    four in each."""
    loss: Loss = "bradley-terry"
    margin: float = 0.0
    """Gap asked for each step of strength; Touvron et al. 2023 used 1/3 and 1."""
    smoothing: float = 0.0
    """Share of comparisons taken to be slips."""
    centring: float = 0.01
    """How much the mean square of rewards counts."""
    annotator_weights: Mapping[str, float] = field(default_factory=dict)
    """How much an annotator's rankings weigh where it is not 1."""
    top_layers: int = 4
    """Layers that are trained by the method top."""
    lora_rank: int = 16
    dropout: float = 0.0
    """In every layer that has any, while training. Above 0 the rewards that are learned from are noisy."""
    layout: Layout | None = None
    """None: what suits the network."""
    gradient_checkpointing: bool = False
    """Compute activations twice instead of keeping them."""
    precision: Precision | None = None
    """None: bfloat16 on a GPU that has it, float32 elsewhere."""
    batch_tokens: int | None = None
    """Tokens to read at once, padding included; by device if None."""
    report_to: tuple[str, ...] = ()
    """Trackers that transformers knows: tensorboard, wandb, mlflow …"""

    def __post_init__(self) -> None:
        for name, low, high in (
            ("held_out", 0.0, 1.0),
            ("validation", -1e-9, 0.5),
            ("smoothing", -1e-9, 0.5),
            ("dropout", -1e-9, 1.0),
        ):
            if not low < getattr(self, name) < high:
                raise InputError(
                    f"{name.replace('_', '-')} is {getattr(self, name)}; give a number of at least {max(0.0, low):g} "
                    f"and below {high:g}."
                )
        for name in ("epochs", "groups_per_step", "patience", "top_layers", "lora_rank"):
            if getattr(self, name) < 1:
                raise InputError(f"{name.replace('_', '-')} is {getattr(self, name)}; give a whole number from 1.")
        if self.loss != "bradley-terry" and (self.margin or self.smoothing):
            raise InputError(f"Margin and smoothing belong to the loss bradley-terry, not to {self.loss}.")
        for name in ("margin", "centring"):
            if getattr(self, name) < 0:
                raise InputError(f"{name} is {getattr(self, name)}; give a number of at least 0.")
        if any(weight < 0 for weight in self.annotator_weights.values()):
            raise InputError("An annotator's weight is at least 0; 0 leaves their rankings out.")

    @property
    def rate(self) -> float:
        """The learning rate at its highest, of all but the head."""
        return self.learning_rate or LEARNING_RATES[self.method]


DEFAULTS = Settings()

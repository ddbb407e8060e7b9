"""The settings of a training run: each field is a flag of `python -m reward train`, with its help in `metadata`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from label_data.errors import InputError
from label_data.settings import PACKAGED_MODEL

Method = Literal["head", "last-layers", "lora", "full"]
"""Linear head, last layers, LoRA, full fine-tuning."""
OLD_METHODS: dict[str, Method] = {"top": "last-layers"}
"""Names of methods in the runs, reports and jobs of earlier versions, and on the command line until 1.2."""
Loss = Literal["bradley-terry", "plackett-luce", "davidson"]
Layout = Literal["plain", "cache", "row"]
"""How prompts and their completions are laid out for the network: see `reward.networks.batches`."""
Precision = Literal["float32", "bfloat16"]
"""Precision of the matrix products during training. Weights and rewards are float32 either way."""

LEARNING_RATES = {"full": 2e-5, "lora": 2e-4, "last-layers": 1e-4}
HEAD_RATE_FACTORS = {"full": 10.0, "lora": 5.0, "last-layers": 10.0}
"""Learning rate of the head, which starts from random weights, as a multiple of the rate of the other weights."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What to train, on which share of the data, and how. The defaults suit a CPU and a few thousand comparisons."""

    method: Method = field(
        default="head",
        metadata={
            "help": "head: a linear head on a frozen backbone, in seconds; last-layers: the backbone's last layers; "
            "lora: LoRA adapters in all layers; full: full fine-tuning"
        },
    )
    backbone: str = field(
        default=PACKAGED_MODEL, metadata={"help": "model to train: packaged:NAME, a folder, or a Hugging Face hub name"}
    )
    seed: int = field(
        default=0,
        metadata={"help": "seed of the split, the prompt order, the head's initial weights and the intervals"},
    )
    held_out: float = field(default=0.2, metadata={"help": "share of the prompts held out for the report"})
    validation: float = field(
        default=0.1,
        metadata={"help": "share of the training prompts used for early stopping; never prompts of the report"},
    )
    epochs: int = field(default=2, metadata={"help": "maximum number of epochs"})
    learning_rate: float | None = field(
        default=None, metadata={"help": "peak learning rate; the default depends on the method"}
    )
    groups_per_step: int = field(default=8, metadata={"help": "prompts per optimiser step, with all their rankings"})
    """The default of 8 gave a lower validation log loss than 32 in docs/results.md."""
    patience: int = field(
        default=3,
        metadata={
            "help": "evaluations without a lower validation log loss before early stopping, never in the first epoch"
        },
    )
    """There are four evaluations in each epoch."""
    loss: Loss = field(
        default="bradley-terry",
        metadata={
            "help": "bradley-terry: from pairs; plackett-luce: from whole rankings; davidson: from pairs and ties"
        },
    )
    margin: float = field(default=0.0, metadata={"help": "reward margin required for each step of preference strength"})
    """Touvron et al. 2023 used 1/3 and 1."""
    smoothing: float = field(
        default=0.0, metadata={"help": "label smoothing: share of comparisons assumed to be mistakes"}
    )
    centring: float = field(
        default=0.01, metadata={"help": "weight of the mean squared reward in the loss, which keeps rewards near 0"}
    )
    annotator_weights: Mapping[str, float] = field(
        default_factory=dict,
        metadata={"help": "weight of an annotator's rankings: NAME=0.5; repeat for each"},
    )
    """By annotator's name; an annotator who is not named has weight 1."""
    last_layers: int = field(default=4, metadata={"help": "number of layers to train with --method last-layers"})
    lora_rank: int = field(default=16, metadata={"help": "rank of the LoRA adapters"})
    dropout: float = field(default=0.0, metadata={"help": "dropout during training, in every layer that supports it"})
    """Above 0 the rewards used for training are noisy."""
    layout: Layout | None = field(
        default=None,
        metadata={
            "help": "how to read prompts: once for all their completions (row, cache) or with each completion (plain); "
            "by default the fastest that the network supports"
        },
    )
    gradient_checkpointing: bool = field(
        default=False, metadata={"help": "recompute activations, which saves memory but takes longer"}
    )
    precision: Precision | None = field(
        default=None,
        metadata={"help": "bfloat16 is faster on processors that support it; the default depends on the device"},
    )
    """None: bfloat16 on a GPU that supports it, float32 elsewhere."""
    batch_tokens: int | None = field(
        default=None, metadata={"help": "tokens per batch, padding included; the default depends on the device"}
    )
    report_to: tuple[str, ...] = field(
        default=(),
        metadata={"help": "experiment tracker supported by transformers: tensorboard, wandb, …; repeat for each"},
    )

    def __post_init__(self) -> None:
        object.__setattr__(self, "method", OLD_METHODS.get(self.method, self.method))
        ranges = {
            "held_out": (0.0, 1.0),
            "validation": (-1e-9, 0.5),
            "smoothing": (-1e-9, 0.5),
            "dropout": (-1e-9, 1.0),
        }
        for name, (low, high) in ranges.items():
            value = getattr(self, name)
            if not low < value < high:
                flag, least = flag_of(name), max(0.0, low)
                raise InputError("reward.settings.out_of_range", setting=flag, value=value, low=least, high=high)
        for name in ("epochs", "groups_per_step", "patience", "last_layers", "lora_rank"):
            if getattr(self, name) < 1:
                raise InputError("reward.settings.below_one", setting=flag_of(name), value=getattr(self, name))
        if self.loss != "bradley-terry" and (self.margin or self.smoothing):
            raise InputError("reward.settings.only_bradley_terry", loss=self.loss)
        for name in ("margin", "centring"):
            if getattr(self, name) < 0:
                raise InputError("reward.settings.negative", setting=flag_of(name), value=getattr(self, name))
        for annotator, weight in self.annotator_weights.items():
            if weight < 0:
                raise InputError("reward.settings.negative_weight", annotator=annotator, value=weight)

    @property
    def rate(self) -> float:
        """The peak learning rate of all weights but the head's."""
        return self.learning_rate or LEARNING_RATES[self.method]


def flag_of(name: str) -> str:
    """Return the flag of the setting with this name: annotator_weights -> --annotator-weight."""
    return "--annotator-weight" if name == "annotator_weights" else f"--{name.replace('_', '-')}"


DEFAULTS = Settings()

"""Networks to fine-tune: the folder's with a head of one number, which of its weights are trained, and back to whole.

Each method gives the trainer a RankedNetwork and turns it into a plain network afterwards.
"""

from pathlib import Path

import torch
from peft import LoraConfig, LoraModel
from torch import nn
from transformers import AutoModelForSequenceClassification, PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

from reward.networks.backbones import load_model, one_label_config
from reward.networks.lean_layers import keep_less
from reward.networks.ranked_network import RankedNetwork, layout_for, start_head
from reward.settings import Layout, Settings

DROPOUTS = (
    "attention_dropout",
    "attention_probs_dropout_prob",
    "attn_pdrop",
    "classifier_dropout",
    "embd_pdrop",
    "hidden_dropout",
    "hidden_dropout_prob",
    "dropout_rate",
    "resid_pdrop",
    "residual_dropout",
)
"""What settings of networks call the shares that are dropped while training."""


def set_dropout(config: PreTrainedConfig, dropout: float) -> None:
    """Set every dropout that the settings know: encoders come with 0.1, and would learn from noisy rewards."""
    for name in DROPOUTS:
        if hasattr(config, name):
            setattr(config, name, dropout)


def with_head(folder: Path, pad: int, settings: Settings, device: str | None = None) -> PreTrainedModel:
    """Return the folder's network in float32 with a fresh head of one number."""
    config = one_label_config(folder, pad)
    set_dropout(config, settings.dropout)
    network = load_model(AutoModelForSequenceClassification, folder, device, config)
    start_head(RankedNetwork(network, pad).head, settings.seed)
    return network


def fine_tunable(folder: Path, tokenizer: PreTrainedTokenizerBase, settings: Settings) -> RankedNetwork:
    """Return the folder's network with a head, of which the method full trains all and lora low-rank changes.

    Low-rank changes start from none, and the head is trained as it is.

    Source: Hu et al. 2021, arXiv:2106.09685.
    """
    pad = tokenizer.pad_token_id
    network = with_head(folder, pad, settings)
    layout = layout_for(network, settings.layout, settings.gradient_checkpointing)
    if settings.gradient_checkpointing:
        network.activation_checkpointing_enable({"use_reentrant": False})
    else:
        keep_less(network)
    if settings.method == "full":
        return RankedNetwork(network, pad, layout)
    torch.manual_seed(settings.seed)  # the changes' first factor is drawn
    asked = LoraConfig(
        r=settings.lora_rank,
        lora_alpha=2 * settings.lora_rank,
        lora_dropout=settings.dropout,
        target_modules="all-linear",
        exclude_modules=["score", "classifier"],  # the head is trained as it is
    )
    found = LoraNetwork(LoraModel(network, asked, "default"), pad, layout)
    found.head.requires_grad_(True)
    return found


class LoraNetwork(RankedNetwork):
    """A network with low-rank changes."""

    def __init__(self, changed: LoraModel, pad: int, layout: Layout) -> None:
        super().__init__(changed.model, pad, layout)
        self._changed = [changed]  # in a list, or its weights would be found twice

    def whole(self) -> PreTrainedModel:
        """Return the plain network with the changes added to its weights."""
        return self._changed[0].merge_and_unload()


def effective_dropout(network: nn.Module) -> float:
    """Return the largest share that any module of the network drops while training, whatever was asked for."""
    dropped = [module.p for module in network.modules() if isinstance(module, nn.Dropout)]
    dropped += [getattr(module, "attention_dropout", 0.0) for module in network.modules()]
    return float(max(dropped, default=0.0))

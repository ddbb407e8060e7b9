"""Networks for full fine-tuning and LoRA: add a scalar head, select the trainable weights, merge the adapters.

Each method gives the trainer a RankedNetwork and turns it into a plain network afterwards.
"""

from pathlib import Path
from typing import cast

import torch
from peft import LoraConfig, LoraModel
from torch import nn
from transformers import AutoModelForSequenceClassification, PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

from reward.networks.backbones import load_model, one_label_config
from reward.networks.lean_layers import use_lean_layers
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
"""Names of the dropout probabilities in the configurations of networks."""


def set_dropout(config: PreTrainedConfig, dropout: float) -> None:
    """Set every dropout in the configuration: encoders come with 0.1, which would make the training rewards noisy."""
    for name in DROPOUTS:
        if hasattr(config, name):
            setattr(config, name, dropout)


def network_with_head(folder: Path, pad: int, settings: Settings, device: str | None = None) -> PreTrainedModel:
    """Return the network of the folder in float32 with a new scalar head."""
    config = one_label_config(folder, pad)
    set_dropout(config, settings.dropout)
    network = load_model(AutoModelForSequenceClassification, folder, device, config)
    start_head(RankedNetwork(network, pad).head, settings.seed)
    return network


def trainable_network(folder: Path, tokenizer: PreTrainedTokenizerBase, settings: Settings) -> RankedNetwork:
    """Return the network of the folder with a head, for the methods "full" and "lora".

    With "full" all weights are trainable. With "lora" the adapters, which start at zero, and the whole head are.

    Source: Hu et al. 2021, arXiv:2106.09685.
    """
    pad = tokenizer.pad_token_id
    network = network_with_head(folder, pad, settings)
    layout = layout_for(network, settings.layout, settings.gradient_checkpointing)
    if settings.gradient_checkpointing:
        network.activation_checkpointing_enable({"use_reentrant": False})
    else:
        use_lean_layers(network)
    if settings.method == "full":
        return RankedNetwork(network, pad, layout)
    torch.manual_seed(settings.seed)  # the first factor of each adapter is drawn at random
    config = LoraConfig(
        r=settings.lora_rank,
        lora_alpha=2 * settings.lora_rank,
        lora_dropout=settings.dropout,
        target_modules="all-linear",
        exclude_modules=["score", "classifier"],  # the head is trained without an adapter
    )
    ranked = LoraNetwork(LoraModel(network, config, "default"), pad, layout)
    ranked.head.requires_grad_(True)
    return ranked


class LoraNetwork(RankedNetwork):
    """A network with LoRA adapters."""

    def __init__(self, adapted: LoraModel, pad: int, layout: Layout) -> None:
        super().__init__(adapted.model, pad, layout)
        self._adapted = [adapted]  # in a list, or torch would register its weights twice

    def merged(self) -> PreTrainedModel:
        """Return the plain network with the adapters merged into its weights."""
        return cast(PreTrainedModel, self._adapted[0].merge_and_unload())  # peft types it as any module


def effective_dropout(network: nn.Module) -> float:
    """Return the largest dropout that any module of the network applies in training, whatever the settings say."""
    dropouts = [module.p for module in network.modules() if isinstance(module, nn.Dropout)]
    dropouts += [getattr(module, "attention_dropout", 0.0) for module in network.modules()]
    return float(max(dropouts, default=0.0))

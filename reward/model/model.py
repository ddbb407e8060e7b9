"""A reward model: a network with one label, whose logit is the reward. Load it, save it, and compute rewards.

The folder of a model can be loaded with AutoModelForSequenceClassification of transformers alone.
"""

import json
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import AutoModelForSequenceClassification, PreTrainedModel, PreTrainedTokenizerBase

from label_data.errors import InputError
from reward.file_names import PROVENANCE_FILE
from reward.model.uncertainty import Uncertainty
from reward.networks.attention import attend_in_families
from reward.networks.backbones import load_config, load_model, load_tokenizer, one_label_config, template_sha256
from reward.networks.batches import LONGEST_INPUT, Input, Messages, batches, encode, tokens_at_once
from reward.networks.features import Backbone
from reward.networks.ranked_network import RankedNetwork, layout_to_score, shares_prompts

HEADS = ("score.", "classifier.")
"""Prefixes of the names of a head's weights, in decoders and in encoders."""


@dataclass(frozen=True, slots=True)
class RewardModel:
    """A network with one label and its tokenizer."""

    network: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    uncertainty: Uncertainty | None = None
    """Uncertainty of the head's weights; None if it is unknown, as for a fine-tuned network."""

    def __post_init__(self) -> None:
        if shares_prompts(self.network):
            attend_in_families(self.network)

    @classmethod
    def load(cls, folder: Path | str, device: str | None = None) -> "RewardModel":
        """Return the model in a folder that `save`, or any trainer of one-label classifiers, wrote.

        Raises InputError if the folder has no such model.
        """
        folder = Path(folder)
        if not folder.is_dir():
            raise InputError("reward.model.no_folder", folder=folder)
        labels = load_config(folder).num_labels
        if labels != 1:
            raise InputError("reward.model.not_one_label", folder=folder, labels=labels)
        tokenizer = load_tokenizer(folder)
        _check_template(folder, tokenizer)
        network = load_model(AutoModelForSequenceClassification, folder, device)
        return cls(network, tokenizer, Uncertainty.load(folder))

    @classmethod
    def from_head(
        cls, backbone: Backbone, layer: int, weights: NDArray[np.float64], uncertainty: Uncertainty | None = None
    ) -> "RewardModel":
        """Return the first `layer` layers of the backbone with a head of these weights, shape (width,)."""
        config = one_label_config(backbone.folder, backbone.tokenizer.pad_token_id, slice(layer))
        network = AutoModelForSequenceClassification.from_config(config).eval()
        body = network.base_model
        names = body.state_dict().keys()
        body.load_state_dict({name: tensor for name, tensor in backbone.network.state_dict().items() if name in names})
        with torch.no_grad():
            network.score.weight.copy_(torch.from_numpy(weights)[None])
        return cls(network.to(backbone.network.device), backbone.tokenizer, uncertainty)

    def save(self, folder: Path) -> None:
        """Write network, tokenizer and chat template into an existing empty folder.

        Weights that bfloat16 represents exactly are written in bfloat16, at half the size. The head stays in float32,
        and the configuration says float32, so a loaded model computes in float32.
        """
        state = {
            name: tensor if name.startswith(HEADS) else _smallest_exact(tensor)
            for name, tensor in self.network.state_dict().items()
        }
        self.network.save_pretrained(folder, state_dict=state)
        tokenizer = deepcopy(self.tokenizer)
        tokenizer.model_max_length = min(LONGEST_INPUT, tokenizer.model_max_length)
        tokenizer.truncation_side = "left"
        tokenizer.save_pretrained(folder)
        if self.uncertainty is not None:
            self.uncertainty.save(folder)

    @torch.inference_mode()
    def rewards_with_deviations(
        self, inputs: Sequence[Input]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
        """Return the rewards of encoded prompts and completions, and their standard deviations, shape (inputs,) each.

        The deviations are from `Uncertainty.deviations`; None if the model has no uncertainty.
        """
        rewards = np.empty(len(inputs), dtype=np.float32)
        deviations = None if self.uncertainty is None else np.empty_like(rewards)
        layout = layout_to_score(self.network)
        ranked = RankedNetwork(self.network, self.tokenizer.pad_token_id, layout)
        for batch in batches(inputs, tokens_at_once(self.network.device.type, layout), layout):
            items = [inputs[position] for position in batch]
            if self.uncertainty is None or deviations is None:
                rewards[batch] = ranked(items).float().cpu().numpy()
            else:
                features = ranked.features(items)
                rewards[batch] = ranked.rewards_of(features).float().cpu().numpy()
                deviations[batch] = self.uncertainty.deviations(features.float().cpu().numpy())
        return rewards, deviations

    def rewards(self, inputs: Sequence[Input]) -> NDArray[np.float32]:
        """Return the rewards of encoded prompts and completions, shape (inputs,)."""
        return self.rewards_with_deviations(inputs)[0]

    def score(self, messages: Messages, completions: Sequence[str]) -> list[float]:
        """Return the reward of each completion of one prompt, in log-odds.

        A reward does not depend on the other completions. Compare rewards only between completions of the same prompt,
        because training compares no others.
        """
        return self.score_with_deviations(messages, completions)[0]

    def score_with_deviations(
        self, messages: Messages, completions: Sequence[str]
    ) -> tuple[list[float], list[float] | None]:
        """Return the same rewards, and the standard deviation of each, or None if the model has no uncertainty.

        A deviation estimates how far the reward, relative to the mean training completion, would move if other prompts
        had been ranked. It covers neither annotators with other preferences nor what the features miss.
        """
        rewards, deviations = self.rewards_with_deviations(
            [encode(self.tokenizer, messages, completion) for completion in completions]
        )
        return rewards.tolist(), None if deviations is None else deviations.tolist()


def _check_template(folder: Path, tokenizer: PreTrainedTokenizerBase) -> None:
    """Raise InputError if the folder has another chat template than the one it was trained with, if that is known."""
    provenance = folder / PROVENANCE_FILE
    if not provenance.is_file():
        return
    trained_with = json.loads(provenance.read_text(encoding="utf-8"))["template_sha256"]
    if template_sha256(tokenizer) != trained_with:
        raise InputError("reward.model.template_changed", folder=folder)


def _smallest_exact(tensor: torch.Tensor) -> torch.Tensor:
    """Return the tensor in bfloat16 if bfloat16 represents it exactly, else unchanged."""
    small = tensor.to(torch.bfloat16)
    return small if torch.equal(small.to(tensor.dtype), tensor) else tensor

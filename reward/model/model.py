"""A reward model: a backbone cut to the layer its head reads, loaded, saved and asked for rewards.

The folder is a plain AutoModelForSequenceClassification with one label, whose logit is the reward.
"""

import hashlib
import json
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from transformers import AutoModelForSequenceClassification, PreTrainedModel, PreTrainedTokenizerBase

from label_data.errors import InputError
from reward.file_names import PROVENANCE_FILE
from reward.model.uncertainty import Uncertainty
from reward.networks.attention import attend_in_families
from reward.networks.backbones import load_config, load_model, load_tokenizer, one_label_config
from reward.networks.batches import LONGEST_INPUT, Input, Messages, batches, encode, tokens_at_once
from reward.networks.features import Backbone
from reward.networks.ranked_network import RankedNetwork, layout_to_score, shares_prompts

HEADS = ("score.", "classifier.")
"""What the weights of a head are called, of a decoder and of an encoder."""


@dataclass(frozen=True, slots=True)
class RewardModel:
    """A network with one label and its tokenizer."""

    network: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    uncertainty: Uncertainty | None = None
    """How far the head's weights may be off; None where nobody knows, as for a network that was fine-tuned."""

    def __post_init__(self) -> None:
        if shares_prompts(self.network):
            attend_in_families(self.network)

    @classmethod
    def load(cls, folder: Path | str, device: str | None = None) -> "RewardModel":
        """Return the model of a folder that `save`, or any trainer of one-label classifiers, wrote.

        Raises InputError if the folder holds no such model.
        """
        folder = Path(folder)
        labels = load_config(folder).num_labels if folder.is_dir() else None
        if labels != 1:
            raise InputError(
                f"{folder}: not a reward model's folder ({'no such folder' if labels is None else f'{labels} labels'})."
                " Name one that python -m reward train made."
            )
        tokenizer = load_tokenizer(folder)
        _check_template(folder, tokenizer)
        network = load_model(AutoModelForSequenceClassification, folder, device)
        return cls(network, tokenizer, Uncertainty.load(folder))

    @classmethod
    def from_head(
        cls, backbone: Backbone, layer: int, weights: np.ndarray, uncertainty: Uncertainty | None = None
    ) -> "RewardModel":
        """Return the backbone cut to its first `layer` layers, with the weights, shape (width,), as its head."""
        config = one_label_config(backbone.folder, backbone.tokenizer.pad_token_id, slice(layer))
        network = AutoModelForSequenceClassification.from_config(config).eval()
        body = network.base_model
        wanted = body.state_dict().keys()
        body.load_state_dict({name: tensor for name, tensor in backbone.network.state_dict().items() if name in wanted})
        with torch.no_grad():
            network.score.weight.copy_(torch.from_numpy(weights)[None])
        return cls(network.to(backbone.network.device), backbone.tokenizer, uncertainty)

    def save(self, folder: Path) -> None:
        """Write network, tokenizer and chat template into an empty folder that exists.

        Weights that bfloat16 holds exactly are written in it, at half the size; the head stays float32, and the
        settings say float32, so everything is computed in that.
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
    def rewards_with_deviations(self, inputs: Sequence[Input]) -> tuple[np.ndarray, np.ndarray | None]:
        """Return the rewards of encoded prompts and completions, shape (inputs,), float32, and how sure they are.

        The standard deviations, of the same shape, are those of `Uncertainty.deviations`; None where nobody knows.
        """
        found = np.empty(len(inputs), dtype=np.float32)
        deviations = None if self.uncertainty is None else np.empty_like(found)
        layout = layout_to_score(self.network)
        ranked = RankedNetwork(self.network, self.tokenizer.pad_token_id, layout)
        for batch in batches(inputs, tokens_at_once(self.network.device.type, layout), layout):
            some = [inputs[at] for at in batch]
            if deviations is None:
                found[batch] = ranked(some).float().cpu().numpy()
            else:
                features = ranked.features(some)
                found[batch] = ranked.rewards_of(features).float().cpu().numpy()
                deviations[batch] = self.uncertainty.deviations(features.float().cpu().numpy())
        return found, deviations

    def rewards(self, inputs: Sequence[Input]) -> np.ndarray:
        """Return the rewards of encoded prompts and completions, shape (inputs,), float32."""
        return self.rewards_with_deviations(inputs)[0]

    def score(self, messages: Messages, completions: Sequence[str]) -> list[float]:
        """Return the reward of each completion of one prompt: log-odds, of use only against one another.

        A reward does not depend on the other completions. The reward of one prompt's completion says nothing beside
        that of another prompt's: training compares completions of one prompt only.
        """
        return self.score_with_deviations(messages, completions)[0]

    def score_with_deviations(
        self, messages: Messages, completions: Sequence[str]
    ) -> tuple[list[float], list[float] | None]:
        """Return the same rewards, and the standard deviation of each; None if the model has none.

        A deviation says how far the reward, less that of the mean training completion, would move had other prompts
        been ranked. It says nothing of annotators of another taste, nor of what the features do not show.
        """
        rewards, deviations = self.rewards_with_deviations(
            [encode(self.tokenizer, messages, text) for text in completions]
        )
        return rewards.tolist(), None if deviations is None else deviations.tolist()


def _check_template(folder: Path, tokenizer: PreTrainedTokenizerBase) -> None:
    """Raise InputError if the folder says which chat template it was trained with, and holds another."""
    provenance = folder / PROVENANCE_FILE
    if not provenance.is_file():
        return
    trained_with = json.loads(provenance.read_text(encoding="utf-8"))["template_sha256"]
    if hashlib.sha256(tokenizer.chat_template.encode()).hexdigest() != trained_with:
        raise InputError(
            f"{folder}: its chat template is another than the one it was trained with, so its rewards would mean "
            "nothing. Put the template back, or train again."
        )


def _smallest_exact(tensor: torch.Tensor) -> torch.Tensor:
    small = tensor.to(torch.bfloat16)
    return small if torch.equal(small.to(tensor.dtype), tensor) else tensor

"""A network with one label that reads whole groups: tokens of prompts and completions in, a vector of rewards out.

Training, evaluation and serving use this same function, so they give the same rewards.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, cast

import torch
from accelerate.utils import parse_flag_from_env
from torch import nn
from transformers import PreTrainedModel

from label_data.errors import InputError
from label_data.sentences import Sentence, say
from reward.networks.attention import IN_FAMILIES, attend_in_families, attends_in_families
from reward.networks.batches import LONGEST_INPUT, Input, arguments_for, padded
from reward.settings import Layout

ROUNDING = 1e-3
"""Largest difference of rewards and gradients from the plain layout in float32, as a share of their size."""


class RankedNetwork(nn.Module):
    """Compute the rewards of encoded prompts and completions in one of the layouts of `batches`."""

    def __init__(self, network: PreTrainedModel, pad: int, layout: Layout = "plain") -> None:
        super().__init__()
        self.network = network
        self.pad = pad
        self.layout = layout
        if shares_prompts(network):
            attend_in_families(network)
        self._no_split_modules = network._no_split_modules  # the layers, which FSDP wraps

    @property
    def head(self) -> nn.Module:
        """The module that maps hidden states to a reward."""
        head = self.network.score if hasattr(self.network, "score") else self.network.classifier
        return cast(nn.Module, head)  # torch types each attribute as "Tensor or Module"

    def forward(self, inputs: Sequence[Input]) -> torch.Tensor:
        """Return the rewards of the inputs, shape (inputs,)."""
        network = self.network
        if not hasattr(network, "score"):  # an encoder, whose own head reads the first token
            arguments, _ = padded(inputs, self.pad, network.device)
            read = network(input_ids=arguments["input_ids"], attention_mask=arguments["attention_mask"])
            rewards: torch.Tensor = read.logits[:, 0].clone()  # not a view, because FSDP hooks into the output
            return rewards
        return self.rewards_of(self.features(inputs)).clone()

    def features(self, inputs: Sequence[Input]) -> torch.Tensor:
        """Return what a decoder's head reads: the hidden state of each input's last token, shape (inputs, width)."""
        hidden, rows, last = self._hidden(inputs)
        return hidden[rows, last]

    def rewards_of(self, features: torch.Tensor) -> torch.Tensor:
        """Return the rewards of features, shape (inputs,)."""
        with torch.autocast(features.device.type, enabled=False):  # full precision, because small steps count
            dtype = [weight.dtype for weight in self.head.parameters()][-1]
            rewards: torch.Tensor = self.head(features.to(dtype))[:, 0]
            return rewards

    def _hidden(self, inputs: Sequence[Input]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return the hidden states, and the row and place of every input's last token in them."""
        body = cast(PreTrainedModel, self.network.base_model)  # typed as any module
        arguments, rows, last = arguments_for(body, inputs, self.pad, self.layout)
        return body(**arguments).last_hidden_state, rows, last

    # Overloaded in torch; all arguments are passed on. Any: as torch has it.
    def state_dict(self, *args: Any, **options: Any) -> dict[str, Any]:  # type: ignore[override]
        """Return only the trainable weights, because a checkpoint need not repeat the others."""
        trained, prefix = self._trained(), options.get("prefix", "")
        weights = super().state_dict(*args, **options)
        return {name: weight for name, weight in weights.items() if name.removeprefix(prefix) in trained}

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False) -> Any:
        """Load weights that `state_dict` returned.

        Raises RuntimeError if they are not exactly the trainable weights, whatever `strict` says: a head that is not in
        a checkpoint would silently stay random.
        """
        wrong = sorted(self._trained() ^ state_dict.keys())
        if wrong:
            raise RuntimeError(f"These weights are either trainable or given, but not both: {', '.join(wrong[:5])}.")
        keys = super().load_state_dict(state_dict, strict=False, assign=assign)
        keys.missing_keys.clear()
        return keys

    def _trained(self) -> set[str]:
        return {name for name, weight in self.named_parameters() if weight.requires_grad}


def shares_prompts(network: PreTrainedModel) -> bool:
    """Return whether reading a prompt once for all its completions is exact for this network.

    It is inexact for encoders, in which a prompt attends to the completion, and for layers with a sliding window.
    """
    return hasattr(network, "score") and sees_all_before(network)


def sees_all_before(network: PreTrainedModel) -> bool:
    """Return whether every layer of a decoder attends to the whole text before a token, not to a sliding window."""
    config = network.config.get_text_config()
    window = getattr(config, "sliding_window", None)
    windowed = window is not None and window < LONGEST_INPUT
    kinds = set(getattr(config, "layer_types", None) or ["full_attention"])
    return kinds == {"full_attention"} and not windowed


def layout_for(network: PreTrainedModel, layout: Layout | None, checkpointing: bool) -> Layout:
    """Return the layout to train in: the given layout, or by default rows, which take the least memory and time.

    Raises InputError if the given layout would be inexact for this network.
    """
    if layout == "cache" and checkpointing:
        raise InputError("reward.networks.cache_with_checkpointing")
    divided = parse_flag_from_env("ACCELERATE_USE_FSDP")
    if layout == "cache" and divided:
        raise InputError("reward.networks.cache_with_fsdp")
    if not shares_prompts(network):
        if layout in ("cache", "row"):
            raise InputError("reward.networks.prompts_not_shared", network=type(network).__name__)
        return "plain"
    if layout == "row" and not takes_rows(network):
        raise InputError("reward.networks.no_rows")
    if layout is not None:
        return layout
    if takes_rows(network):
        return "row"
    return "plain" if checkpointing or divided else "cache"


def layout_to_score(network: PreTrainedModel) -> Layout:
    """Return the layout to score in: rows, or "cache" for a network on a CPU that can't attend in families."""
    if not shares_prompts(network):
        return "plain"
    return "row" if reads_rows_fast(network) else "cache"


def reads_rows_fast(network: PreTrainedModel) -> bool:
    """Return whether rows are the fastest layout for this network: on a GPU with a mask, on a CPU only without."""
    return attends_in_families(network) or (network.device.type != "cpu" and takes_rows(network))


def takes_rows(network: PreTrainedModel) -> bool:
    """Return whether the network's attention takes a mask of the tokens in a row."""
    return network.config._attn_implementation in ("sdpa", IN_FAMILIES)


def layout_difference(ranked: RankedNetwork, inputs: Sequence[Input]) -> Sentence | None:
    """Return how the layout differs from the plain layout on these inputs, or None if only by rounding.

    Compares rewards and the gradients of a fixed weighted sum of the rewards in the first two trainable weights: a
    prompt cached without its gradient would still give the right rewards.
    """
    weights = [weight for weight in ranked.parameters() if weight.requires_grad][:2]
    factors = torch.linspace(-1, 1, len(inputs)) + 0.1
    layout, training = ranked.layout, ranked.training
    results: dict[Layout, list[torch.Tensor]] = {}
    ranked.eval()  # dropout would differ between the two
    try:
        for ranked.layout in (layout, "plain"):
            rewards = ranked(inputs)
            gradients = torch.autograd.grad((rewards * factors.to(rewards)).sum(), weights)
            results[ranked.layout] = [rewards.detach(), *gradients]
    finally:
        ranked.layout = layout
        ranked.train(training)
    for index, (actual, plain) in enumerate(zip(results[layout], results["plain"], strict=True)):
        gap, size = float((actual - plain).norm()), float(plain.norm())
        if not gap <= ROUNDING * max(size, 1e-6):
            key = "reward.networks.rewards_differ" if index == 0 else "reward.networks.gradients_differ"
            return say(key, gap=gap, size=size)
    return None


def start_head(head: nn.Module, seed: int) -> None:
    """Draw the head's weights from a normal distribution, deviation 1 / sqrt(width + 1), and set its bias to 0.

    Source: Stiennon et al. 2020, arXiv:2009.01325, appendix B.1.
    """
    linear = [module for module in head.modules() if isinstance(module, nn.Linear)][-1]
    drawn = torch.randn(linear.weight.shape, generator=torch.Generator().manual_seed(seed))
    with torch.no_grad():
        linear.weight.copy_(drawn / math.sqrt(linear.weight.shape[1] + 1))
        if linear.bias is not None:
            linear.bias.zero_()

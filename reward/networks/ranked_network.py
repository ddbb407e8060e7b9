"""A network with one label that reads whole groups: tokens of prompts and completions in, a vector of rewards out.

What is trained, checked and served is this one function, so a reward is the same number in all three.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from accelerate.utils import parse_flag_from_env
from torch import nn
from transformers import PreTrainedModel

from label_data.errors import InputError
from reward.networks.attention import IN_FAMILIES, attend_in_families, attends_in_families
from reward.networks.batches import LONGEST_INPUT, Input, arguments_for, padded
from reward.settings import Layout

ROUNDING = 1e-3
"""How far rewards and gradients may be from those of the plain layout in float32, as a share of their size."""


class RankedNetwork(nn.Module):
    """Computes the rewards of encoded prompts and completions in one of the layouts of `batches`."""

    def __init__(self, network: PreTrainedModel, pad: int, layout: Layout = "plain") -> None:
        super().__init__()
        self.network = network
        self.pad = pad
        self.layout = layout
        if shares_prompts(network):
            attend_in_families(network)
        self._no_split_modules = network._no_split_modules  # what FSDP wraps: the layers

    @property
    def head(self) -> nn.Module:
        """The last linear map, to one number."""
        return self.network.score if hasattr(self.network, "score") else self.network.classifier

    def forward(self, inputs: Sequence[Input]) -> torch.Tensor:
        """Return the rewards of the inputs, shape (inputs,)."""
        network = self.network
        if not hasattr(network, "score"):  # an encoder: its own head reads its first token
            arguments, _ = padded(inputs, self.pad, network.device)
            read = network(input_ids=arguments["input_ids"], attention_mask=arguments["attention_mask"])
            return read.logits[:, 0].clone()  # no view: FSDP watches what comes out
        return self.rewards_of(self.features(inputs)).clone()

    def features(self, inputs: Sequence[Input]) -> torch.Tensor:
        """Return what a decoder's head reads of each input: its last token's hidden state, shape (inputs, width)."""
        hidden, rows, last = self._hidden(inputs)
        return hidden[rows, last]

    def rewards_of(self, features: torch.Tensor) -> torch.Tensor:
        """Return the head of the features, shape (inputs,)."""
        with torch.autocast(features.device.type, enabled=False):  # the head in full precision: small steps count
            precise = [weight.dtype for weight in self.head.parameters()][-1]
            return self.head(features.to(precise))[:, 0]

    def _hidden(self, inputs: Sequence[Input]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return the hidden states, and of every input the row and the place of its last token in them."""
        body = self.network.base_model
        arguments, rows, last = arguments_for(body, inputs, self.pad, self.layout)
        return body(**arguments).last_hidden_state, rows, last

    def state_dict(self, *args: Any, **options: Any) -> dict[str, Any]:
        """Return the weights that are trained: a checkpoint need not repeat what never changes."""
        trained, prefix = self._trained(), options.get("prefix", "")
        every = super().state_dict(*args, **options)
        return {name: weight for name, weight in every.items() if name.removeprefix(prefix) in trained}

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False) -> Any:
        """Load weights that `state_dict` gave.

        Raises RuntimeError if they are not exactly those that are trained here, whatever `strict` says: a head that is
        not in a checkpoint would quietly stay what chance made it.
        """
        wrong = sorted(self._trained() ^ state_dict.keys())
        if wrong:
            raise RuntimeError(f"These weights are trained or given, but not both: {', '.join(wrong[:5])}.")
        found = super().load_state_dict(state_dict, strict=False, assign=assign)
        found.missing_keys.clear()
        return found

    def _trained(self) -> set[str]:
        return {name for name, weight in self.named_parameters() if weight.requires_grad}


def shares_prompts(network: PreTrainedModel) -> bool:
    """Say whether reading a prompt once is exact for this network: not for encoders, whose prompt sees the completion.

    Nor where a layer sees a window of the text only.
    """
    return hasattr(network, "score") and sees_all_before(network)


def sees_all_before(network: PreTrainedModel) -> bool:
    """Say whether every layer of a decoder sees all of the text before a token, and not a window of it."""
    config = network.config.get_text_config()
    window = getattr(config, "sliding_window", None)
    windowed = window is not None and window < LONGEST_INPUT
    kinds = set(getattr(config, "layer_types", None) or ["full_attention"])
    return kinds == {"full_attention"} and not windowed


def layout_for(network: PreTrainedModel, asked: Layout | None, checkpointing: bool) -> Layout:
    """Return the layout to train in: the one asked for, or rows, which take the least memory and time.

    Raises InputError if the one asked for would be inexact here.
    """
    if asked == "cache" and checkpointing:
        raise InputError(
            "Gradient checkpointing drops the kept prompts, and completions would be read without them. "
            "Use --layout row or --layout plain with it, or leave --gradient-checkpointing out."
        )
    divided = parse_flag_from_env("ACCELERATE_USE_FSDP")
    if asked == "cache" and divided:
        raise InputError(
            "FSDP takes a layer's weights away after its first use in a step, and kept prompts use them twice. "
            "Use --layout row or --layout plain with it."
        )
    if not shares_prompts(network):
        if asked in ("cache", "row"):
            raise InputError(
                f"A {type(network).__name__} can't read a prompt once for all its completions: its prompt sees the "
                "completion, or its layers see a window only. Leave --layout out, or use --layout plain."
            )
        return "plain"
    if asked == "row" and not takes_rows(network):
        raise InputError("Reading in rows needs the attention implementation sdpa. Leave --layout out.")
    if asked is not None:
        return asked
    if takes_rows(network):
        return "row"
    return "plain" if checkpointing or divided else "cache"


def layout_to_score(network: PreTrainedModel) -> Layout:
    """Return the layout to score in: rows, or on a CPU kept prompts where a network can't attend in families."""
    if not shares_prompts(network):
        return "plain"
    return "row" if reads_rows_fast(network) else "cache"


def reads_rows_fast(network: PreTrainedModel) -> bool:
    """Say whether rows are the fastest way for this network: on a GPU under a mask, on a CPU only without one."""
    return attends_in_families(network) or (network.device.type != "cpu" and takes_rows(network))


def takes_rows(network: PreTrainedModel) -> bool:
    """Say whether the network attends in a way that can be told which token of a row sees which."""
    return network.config._attn_implementation in ("sdpa", IN_FAMILIES)


def disagreement(ranked: RankedNetwork, inputs: Sequence[Input]) -> str:
    """Return how far the layout is from the plain one on these inputs, in words; empty if it is rounding alone.

    Compares rewards, and the gradients of a fixed sum of them in the first two weights that are trained: a prompt
    whose keys were kept without their gradient would give the right rewards.
    """
    weights = [weight for weight in ranked.parameters() if weight.requires_grad][:2]
    signs = torch.linspace(-1, 1, len(inputs)) + 0.1
    layout, training, found = ranked.layout, ranked.training, {}
    ranked.eval()  # dropout would differ between the two
    try:
        for ranked.layout in (layout, "plain"):
            rewards = ranked(inputs)
            gradients = torch.autograd.grad((rewards * signs.to(rewards)).sum(), weights)
            found[ranked.layout] = [rewards.detach(), *gradients]
    finally:
        ranked.layout = layout
        ranked.train(training)
    for name, one, plain in zip(("rewards", "gradients", "gradients"), found[layout], found["plain"], strict=False):
        gap, size = float((one - plain).norm()), float(plain.norm())
        if not gap <= ROUNDING * max(size, 1e-6):
            return f"the {name} differ by {gap:.2g} where they are of size {size:.2g}"
    return ""


def start_head(head: nn.Module, seed: int) -> None:
    """Draw the head's weights from a normal distribution of deviation 1 / sqrt(width + 1), its bias 0.

    Source: Stiennon et al. 2020, arXiv:2009.01325, appendix B.1.
    """
    linear = [module for module in head.modules() if isinstance(module, nn.Linear)][-1]
    drawn = torch.randn(linear.weight.shape, generator=torch.Generator().manual_seed(seed))
    with torch.no_grad():
        linear.weight.copy_(drawn / math.sqrt(linear.weight.shape[1] + 1))
        if linear.bias is not None:
            linear.bias.zero_()

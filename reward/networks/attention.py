"""Attention of prompts and their completions in one row, on a CPU: no token is held against one it does not see.

A mask over a row has every two of its tokens computed and most thrown away: with nine completions nine tenths. Here a
prompt attends to itself, and a completion's tokens to the prompt and, apart from that, to their completion. The two
parts are joined by their sums of exponentials, which is exact, and so is the gradient of each part, given the whole's
output and sum.

Source: Juravsky et al. 2024 (Hydragen), arXiv:2402.05099, section 3.1, for reading; Dao et al. 2022 (FlashAttention),
arXiv:2205.14135, appendix B.2, for the gradient.
"""

from collections.abc import Iterator, Sequence
from typing import Any
from weakref import WeakSet

import torch
from torch import nn
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

Family = tuple[int, tuple[int, ...]]
"""How many tokens a prompt has, and each of its completions, in the order in which they stand in the row."""
IN_FAMILIES = "in_families"
"""What transformers knows this attention as."""

_attend = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu.default
_attend_backward = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward.default


_refused: WeakSet[PreTrainedModel] = WeakSet()


def attend_in_families(network: PreTrainedModel) -> None:
    """Have a network on a CPU attend in families when it is given any; without, it attends by sdpa as before.

    One that attends in another way, or turns out not to heed families, is left alone.
    """
    able = network.config._attn_implementation == "sdpa" and network._can_set_attn_implementation()
    if able and network.device.type == "cpu" and network not in _refused:
        network.set_attn_implementation(IN_FAMILIES)
        if not _heeds_families(network):
            network.set_attn_implementation("sdpa")
            _refused.add(network)


@torch.no_grad()
def _heeds_families(network: PreTrainedModel) -> bool:
    """Say whether a completion reads the same in a row behind another as alone.

    It does not where layers keep what they are given from their attention, as StableLM's and Nemotron's do, and can't
    be read at all where values have another width than keys.
    """
    training, width = network.training, network.get_input_embeddings().weight.shape[1]
    vectors = torch.randn(1, 5, width, generator=torch.Generator().manual_seed(0)).to(network.dtype)
    in_row = {
        "inputs_embeds": vectors,
        "position_ids": torch.tensor([[0, 1, 2, 2, 3]]),
        "attention_mask": any_mask(),
        "families": ((2, (1, 2)),),
    }
    alone = {"inputs_embeds": vectors[:, [0, 1, 3, 4]], "position_ids": torch.arange(4)[None]}
    network.eval()
    try:
        found, wanted = (network.base_model(**one, use_cache=False).last_hidden_state[0, -1] for one in (in_row, alone))
    except (RuntimeError, TypeError, ValueError):
        return False
    finally:
        network.train(training)
    return bool((found - wanted).norm() <= 1e-3 * wanted.norm())


def any_mask() -> torch.Tensor:
    """Return what stands for a mask beside families: of four dimensions, so that transformers makes none."""
    return torch.ones(1, 1, 1, 1, dtype=torch.bool)


def attends_in_families(network: PreTrainedModel) -> bool:
    """Say whether the network may be given families now.

    It may only on a CPU, whose kernels these are, and not while it drops a share of what is seen.
    """
    dropped = getattr(network.config, "attention_dropout", 0.0) if network.training else 0.0
    return network.config._attn_implementation == IN_FAMILIES and network.device.type == "cpu" and not dropped


def attention(
    module: nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    families: Sequence[Family] | None = None,
    **options: Any,
) -> tuple[torch.Tensor, None]:
    """Return what the tokens see, shape (rows, tokens, heads, width), of queries of shape (rows, heads, tokens, width).

    Keys and values may have fewer heads, each of which stands for as many of the queries' in turn.
    """
    if families is None:
        return sdpa_attention_forward(module, query, key, value, attention_mask, scaling=scaling, **options)
    return _InFamilies.apply(query, key, value, families, scaling).transpose(1, 2), None


AttentionInterface.register(IN_FAMILIES, attention)
AttentionMaskInterface.register(IN_FAMILIES, sdpa_mask)


class _InFamilies(torch.autograd.Function):
    """Attention of one row of families, computed in float32 at least: bfloat16 was seen to take twice as long."""

    @staticmethod
    def forward(
        ctx: Any,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        families: Sequence[Family],
        scaling: float | None,
    ) -> torch.Tensor:
        q, k, v = _precise(query, key, value)
        found = torch.empty_like(q)
        sums = torch.empty_like(q[..., 0])  # logarithms of the sums of exponentials
        for prompt, completions, each in _places(families):
            found[:, :, prompt], sums[:, :, prompt] = _attend(*_of(prompt, q, k, v), 0.0, True, scale=scaling)
            for one in each:
                found[:, :, one], sums[:, :, one] = _attend(*_of(one, q, k, v), 0.0, True, scale=scaling)
            of_prompt, of_prompt_sums = _attend(
                q[:, :, completions], k[:, :, prompt], v[:, :, prompt], 0.0, False, scale=scaling
            )
            own_sums = sums[:, :, completions]
            found[:, :, completions].lerp_(of_prompt, torch.sigmoid(of_prompt_sums - own_sums)[..., None])
            sums[:, :, completions] = torch.logaddexp(of_prompt_sums, own_sums)
        found = found.to(query.dtype)
        ctx.save_for_backward(query, key, value, found, sums)
        ctx.families, ctx.scaling = families, scaling
        return found

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        query, key, value, found, sums = ctx.saved_tensors
        g, q, k, v, found = _precise(gradient, query, key, value, found)
        of_query, of_key, of_value = (torch.empty_like(one) for one in (q, k, v))
        for prompt, completions, each in _places(ctx.families):
            for one in (prompt, *each):
                of_query[:, :, one], of_key[:, :, one], of_value[:, :, one] = _attend_backward(
                    *_of(one, g, q, k, v, found, sums), 0.0, True, scale=ctx.scaling
                )
            of_completions, of_prompt_key, of_prompt_value = _attend_backward(
                *_of(completions, g, q),
                *_of(prompt, k, v),
                *_of(completions, found, sums),
                0.0,
                False,
                scale=ctx.scaling,
            )
            of_query[:, :, completions] += of_completions
            of_key[:, :, prompt] += of_prompt_key
            of_value[:, :, prompt] += of_prompt_value
        return of_query.to(query.dtype), of_key.to(key.dtype), of_value.to(value.dtype), None, None


def _precise(*some: torch.Tensor) -> list[torch.Tensor]:
    return [one if one.dtype == torch.float64 else one.float() for one in some]


def _of(place: slice, *some: torch.Tensor) -> list[torch.Tensor]:
    return [one[:, :, place] for one in some]


def _places(families: Sequence[Family]) -> Iterator[tuple[slice, slice, list[slice]]]:
    """Yield where each family's prompt stands in the row, its completions together, and each of them."""
    end = 0
    for prompt, completions in families:
        start, end = end, end + prompt
        of_prompt, each = slice(start, end), []
        for length in completions:
            start, end = end, end + length
            each.append(slice(start, end))
        yield of_prompt, slice(of_prompt.stop, end), each

"""Attention over prompts and their completions in one row, on a CPU, without a mask.

A family is a prompt with its completions. With a mask, attention is computed between all pairs of tokens in a row and
most of it is discarded: nine tenths with nine completions. Here a prompt attends to itself; the tokens of a completion
attend to the prompt and, in a second call, to their completion. The two results are combined by their sums of
exponentials, which is exact. The gradient of each part is exact too, given the output and the sum of the whole.

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
"""Number of tokens of a prompt and of each of its completions, in their order in the row."""
IN_FAMILIES = "in_families"
"""Name under which this attention is registered in transformers."""

_attend = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu.default
_attend_backward = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward.default

_refused: WeakSet[PreTrainedModel] = WeakSet()


def attend_in_families(network: PreTrainedModel) -> None:
    """Let a network on a CPU attend in families when its input has families; other inputs still use sdpa.

    Networks with another attention implementation, or that do not respect families, are left unchanged.
    """
    supported = network.config._attn_implementation == "sdpa" and network._can_set_attn_implementation()
    if supported and network.device.type == "cpu" and network not in _refused:
        network.set_attn_implementation(IN_FAMILIES)
        if not _respects_families(network):
            network.set_attn_implementation("sdpa")
            _refused.add(network)


@torch.no_grad()
def _respects_families(network: PreTrainedModel) -> bool:
    """Return whether a completion has the same hidden state behind another completion in a row as alone.

    It does not if the layers filter the arguments of their attention, as those of StableLM and Nemotron do. If values
    have another width than keys, the row can't be computed at all.
    """
    embeddings: Any = network.get_input_embeddings()  # Any: typed as any module, with a weight that may be a module
    training, width = network.training, embeddings.weight.shape[1]
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
        last, expected = (
            network.base_model(**arguments, use_cache=False).last_hidden_state[0, -1] for arguments in (in_row, alone)
        )
    except (RuntimeError, TypeError, ValueError):
        return False
    finally:
        network.train(training)
    return bool((last - expected).norm() <= 1e-3 * expected.norm())


def any_mask() -> torch.Tensor:
    """Return a placeholder mask for inputs with families: with four dimensions, so that transformers creates none."""
    return torch.ones(1, 1, 1, 1, dtype=torch.bool)


def attends_in_families(network: PreTrainedModel) -> bool:
    """Return whether the network can take families now: only on a CPU, and not while attention dropout is active."""
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
    **options: Any,  # Any: passed on to sdpa_attention_forward
) -> tuple[torch.Tensor, None]:
    """Return the output, shape (rows, tokens, heads, width), for queries of shape (rows, heads, tokens, width).

    Keys and values may have fewer heads than queries; each of their heads then serves several query heads in turn.
    """
    if families is None:
        return sdpa_attention_forward(module, query, key, value, attention_mask, scaling=scaling, **options)
    output = _InFamilies.apply(query, key, value, families, scaling)  # type: ignore[no-untyped-call]  # untyped in torch
    return output.transpose(1, 2), None


AttentionInterface.register(IN_FAMILIES, attention)
AttentionMaskInterface.register(IN_FAMILIES, sdpa_mask)


class _InFamilies(torch.autograd.Function):
    """Attention over one row of families, in float32 or float64: bfloat16 took twice as long."""

    @staticmethod
    def forward(
        ctx: Any,  # Any: torch's context takes whatever attributes are set
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        families: Sequence[Family],
        scaling: float | None,
    ) -> torch.Tensor:
        q, k, v = _precise(query, key, value)
        output = torch.empty_like(q)
        sums = torch.empty_like(q[..., 0])  # logarithms of the sums of exponentials
        for prompt, completions, each in _places(families):
            output[:, :, prompt], sums[:, :, prompt] = _attend(*_sliced(prompt, q, k, v), 0.0, True, scale=scaling)
            for place in each:
                output[:, :, place], sums[:, :, place] = _attend(*_sliced(place, q, k, v), 0.0, True, scale=scaling)
            prompt_output, prompt_sums = _attend(
                q[:, :, completions], k[:, :, prompt], v[:, :, prompt], 0.0, False, scale=scaling
            )
            own_sums = sums[:, :, completions]
            output[:, :, completions].lerp_(prompt_output, torch.sigmoid(prompt_sums - own_sums)[..., None])
            sums[:, :, completions] = torch.logaddexp(prompt_sums, own_sums)
        output = output.to(query.dtype)
        ctx.save_for_backward(query, key, value, output, sums)
        ctx.families, ctx.scaling = families, scaling
        return output

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        query, key, value, output, sums = ctx.saved_tensors
        g, q, k, v, output = _precise(gradient, query, key, value, output)
        query_gradient, key_gradient, value_gradient = (torch.empty_like(tensor) for tensor in (q, k, v))
        for prompt, completions, each in _places(ctx.families):
            for place in (prompt, *each):
                query_gradient[:, :, place], key_gradient[:, :, place], value_gradient[:, :, place] = _attend_backward(
                    *_sliced(place, g, q, k, v, output, sums), 0.0, True, scale=ctx.scaling
                )
            completions_query, prompt_key, prompt_value = _attend_backward(
                *_sliced(completions, g, q),
                *_sliced(prompt, k, v),
                *_sliced(completions, output, sums),
                0.0,
                False,
                scale=ctx.scaling,
            )
            query_gradient[:, :, completions] += completions_query
            key_gradient[:, :, prompt] += prompt_key
            value_gradient[:, :, prompt] += prompt_value
        return query_gradient.to(query.dtype), key_gradient.to(key.dtype), value_gradient.to(value.dtype), None, None


def _precise(*tensors: torch.Tensor) -> list[torch.Tensor]:
    return [tensor if tensor.dtype == torch.float64 else tensor.float() for tensor in tensors]


def _sliced(place: slice, *tensors: torch.Tensor) -> list[torch.Tensor]:
    return [tensor[:, :, place] for tensor in tensors]


def _places(families: Sequence[Family]) -> Iterator[tuple[slice, slice, list[slice]]]:
    """Yield the places in the row of each family's prompt, of all its completions together, and of each completion."""
    end = 0
    for prompt, completions in families:
        start, end = end, end + prompt
        prompt_place, each = slice(start, end), []
        for length in completions:
            start, end = end, end + length
            each.append(slice(start, end))
        yield prompt_place, slice(prompt_place.stop, end), each

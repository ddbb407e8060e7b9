"""Layers that save less for the gradient, on a CPU: what a single operation can recompute is not saved.

For each token, a layer of the Llama kind saves some 19 vectors of its width. Seven of them can be recomputed: in the
norms the vectors before the multiplication with the weights, in the gated MLP the output of the activation and its
product with `up`. Values and gradients are the same except for rounding.

Source: Zhang & Sennrich 2019 (RMSNorm), arXiv:1910.07467, eq. 4; Shazeer 2020 (GLU variants), arXiv:2002.05202, eq. 6.
"""

from collections.abc import Callable
from inspect import signature
from types import MethodType
from typing import Any

import torch
from torch import nn
from torch.autograd.function import once_differentiable
from torch.autograd.graph import saved_tensors_hooks
from transformers import PreTrainedModel

Forward = Callable[[Any, torch.Tensor], torch.Tensor]
"""The forward function of a module. The module is Any, because torch types each attribute as "Tensor or Module"."""


def use_lean_layers(network: PreTrainedModel) -> None:
    """Replace the forward functions of the network's norms and gated MLPs where the lean functions compute the same.

    Do not use it with gradient checkpointing, which frees the outputs of `gate` and `up`: a lean MLP keeps them.
    """
    if network.device.type != "cpu":
        return
    for module in network.modules():
        forward = _lean(module)
        if forward is not None and _computes_the_same(module, forward):
            module.forward = MethodType(forward, module)


def _lean(module: nn.Module) -> Forward | None:
    if len(signature(type(module).forward).parameters) != 2:  # the module and its input
        return None
    if all(hasattr(module, name) for name in ("weight", "variance_epsilon")):
        return _norm
    if all(hasattr(module, name) for name in ("gate_proj", "up_proj", "down_proj", "act_fn")):
        return _gated_mlp
    return None


def _computes_the_same(module: Any, forward: Forward) -> bool:
    """Compare values and gradients for small and large vectors: a module with the same attributes may differ.

    The comparison is in training mode, so that a module with dropout counts as different.
    """
    weights = [weight for weight in module.parameters() if weight.requires_grad]
    training, generator = module.training, torch.Generator().manual_seed(0)

    def outputs_of(function: Forward, vectors: torch.Tensor, along: torch.Tensor) -> list[torch.Tensor]:
        output = function(module, vectors)
        return [output, *torch.autograd.grad((output * along).sum(), [vectors, *weights])]

    module.train()
    try:
        with torch.enable_grad(), torch.random.fork_rng(devices=[]):
            weight = module.weight if forward is _norm else module.gate_proj.weight
            for size in (1.0, 100.0):
                vectors, along = torch.randn(2, 2, weight.shape[-1], generator=generator).to(weight.dtype)
                vectors = (size * vectors).requires_grad_()
                lean, stock = (outputs_of(function, vectors, along) for function in (forward, type(module).forward))
                pairs = zip(lean, stock, strict=True)
                if not all((ours - theirs).norm() <= 1e-3 * theirs.norm() for ours, theirs in pairs):  # false for nan
                    return False
    except (AttributeError, RuntimeError, TypeError, ValueError):
        return False
    finally:
        module.train(training)
    return True


def _norm(module: Any, hidden: torch.Tensor) -> torch.Tensor:
    if hidden.dtype != module.weight.dtype:  # under autocast, where the stock function decides the precision
        stock: torch.Tensor = type(module).forward(module, hidden)
        return stock
    normed: torch.Tensor = _Norm.apply(hidden, module.weight, module.variance_epsilon)  # type: ignore[no-untyped-call]  # untyped in torch
    return normed


class _Norm(torch.autograd.Function):
    """Divide vectors x of shape (..., width) by their root mean square, and multiply by weights g of shape (width,).

    With n = x / rms(x) and the gradient d of the output, the gradient of x is (g d - n mean(g d n)) / rms(x), and the
    gradient of g is the sum of d n over all vectors.
    """

    @staticmethod
    def forward(ctx: Any, hidden: torch.Tensor, weight: torch.Tensor, epsilon: float) -> torch.Tensor:
        # ctx is Any here and below: torch's context takes whatever attributes are set
        norms = torch.linalg.vector_norm(hidden, dim=-1, keepdim=True)
        scale = norms.square_().div_(hidden.shape[-1]).add_(epsilon).rsqrt_()
        ctx.save_for_backward(hidden, weight, scale)
        output: torch.Tensor = (hidden * scale).mul_(weight)
        return output

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, None]:
        hidden, weight, scale = ctx.saved_tensors
        normed = hidden * scale
        shares = (gradient * normed).flatten(0, -2)
        along = (shares @ weight).div_(weight.shape[0]).view_as(scale)
        return normed.mul_(-along).addcmul_(gradient, weight).mul_(scale), shares.sum(0), None


def _gated_mlp(mlp: Any, hidden: torch.Tensor) -> torch.Tensor:
    """Return down(act(gate(x)) * up(x)) of x, shape (..., width); `down` recomputes its input for the gradient."""
    gate, up = mlp.gate_proj(hidden), mlp.up_proj(hidden)
    product = _Gated.apply(gate, up, mlp.act_fn)  # type: ignore[no-untyped-call]  # untyped in torch
    gate, up, address = gate.detach(), up.detach(), product.data_ptr()

    def pack(tensor: torch.Tensor) -> torch.Tensor | torch.Size:
        return tensor.shape if tensor.data_ptr() == address and tensor.is_contiguous() else tensor

    def unpack(packed: torch.Tensor | torch.Size) -> torch.Tensor:
        if isinstance(packed, torch.Tensor):
            return packed
        recomputed: torch.Tensor = (mlp.act_fn(gate) * up).view(packed)
        return recomputed

    with saved_tensors_hooks(pack, unpack):
        output: torch.Tensor = mlp.down_proj(product)
    return output


class _Gated(torch.autograd.Function):
    """Compute act(gate) * up, elementwise."""

    @staticmethod
    def forward(ctx: Any, gate: torch.Tensor, up: torch.Tensor, act: nn.Module) -> torch.Tensor:
        ctx.save_for_backward(gate, up)
        ctx.act = act
        product: torch.Tensor = act(gate) * up
        return product

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, None]:
        gate, up = ctx.saved_tensors
        with torch.enable_grad():
            gate = gate.detach().requires_grad_()
            activated = ctx.act(gate)
        (gate_gradient,) = torch.autograd.grad(activated, gate, gradient * up)
        return gate_gradient, activated.detach() * gradient, None

"""Layers that keep less for the gradient, on a CPU: what one operation computes again is not kept.

Of a token, a layer of the Llama kind keeps some 19 vectors of its width, of which 7 can be had again: what a norm has
before it multiplies by its weights, and of the gated MLP what the activation gave and what that times `up` is. Values
and gradients are the same but for rounding.

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

Forward = Callable[[nn.Module, torch.Tensor], torch.Tensor]


def keep_less(network: PreTrainedModel) -> None:
    """Have the network's norms and gated MLPs keep less, where they compute what is computed here; else leave them.

    Not with gradient checkpointing: a gated MLP would hold what `gate` and `up` gave, which checkpointing drops.
    """
    if network.device.type != "cpu":
        return
    for module in network.modules():
        forward = _lean(module)
        if forward is not None and _computes_the_same(module, forward):
            module.forward = MethodType(forward, module)


def _lean(module: nn.Module) -> Forward | None:
    if len(signature(type(module).forward).parameters) != 2:  # the module and what it reads
        return None
    if all(hasattr(module, name) for name in ("weight", "variance_epsilon")):
        return _norm
    if all(hasattr(module, name) for name in ("gate_proj", "up_proj", "down_proj", "act_fn")):
        return _gated_mlp
    return None


def _computes_the_same(module: nn.Module, forward: Forward) -> bool:
    """Compare values and gradients, of small and of large vectors: what has the same attributes may compute otherwise.

    As in training: a layer that drops a share of what it gives is not the same.
    """
    weights = [weight for weight in module.parameters() if weight.requires_grad]
    training, chance = module.training, torch.Generator().manual_seed(0)

    def found(of: Forward, vectors: torch.Tensor, along: torch.Tensor) -> list[torch.Tensor]:
        out = of(module, vectors)
        return [out, *torch.autograd.grad((out * along).sum(), [vectors, *weights])]

    module.train()
    try:
        with torch.enable_grad(), torch.random.fork_rng(devices=[]):
            weight = module.weight if forward is _norm else module.gate_proj.weight
            for size in (1.0, 100.0):
                vectors, along = torch.randn(2, 2, weight.shape[-1], generator=chance).to(weight.dtype)
                vectors = (size * vectors).requires_grad_()
                ours, stock = (found(of, vectors, along) for of in (forward, type(module).forward))
                pairs = zip(ours, stock, strict=True)
                if not all((one - other).norm() <= 1e-3 * other.norm() for one, other in pairs):  # so that nan is not
                    return False
    except (AttributeError, RuntimeError, TypeError, ValueError):
        return False
    finally:
        module.train(training)
    return True


def _norm(module: nn.Module, hidden: torch.Tensor) -> torch.Tensor:
    if hidden.dtype != module.weight.dtype:  # by autocast, where the kind decides how precise it is
        return type(module).forward(module, hidden)
    return _Norm.apply(hidden, module.weight, module.variance_epsilon)


class _Norm(torch.autograd.Function):
    """Vectors x of shape (..., width) divided by their root mean square, times the weights g of shape (width,).

    With n = x / rms(x) and the gradient d of what comes out, that of x is (g d - n mean(g d n)) / rms(x), that of g
    the sum of d n over all vectors.
    """

    @staticmethod
    def forward(ctx: Any, hidden: torch.Tensor, weight: torch.Tensor, epsilon: float) -> torch.Tensor:
        of_vector = torch.linalg.vector_norm(hidden, dim=-1, keepdim=True)
        scale = of_vector.square_().div_(hidden.shape[-1]).add_(epsilon).rsqrt_()
        ctx.save_for_backward(hidden, weight, scale)
        return (hidden * scale).mul_(weight)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, None]:
        hidden, weight, scale = ctx.saved_tensors
        normed = hidden * scale
        shares = (gradient * normed).flatten(0, -2)
        along = (shares @ weight).div_(weight.shape[0]).view_as(scale)
        return normed.mul_(-along).addcmul_(gradient, weight).mul_(scale), shares.sum(0), None


def _gated_mlp(mlp: nn.Module, hidden: torch.Tensor) -> torch.Tensor:
    """Return down(act(gate(x)) * up(x)) of x, shape (..., width); `down` gets its input for the gradient anew."""
    gate, up = mlp.gate_proj(hidden), mlp.up_proj(hidden)
    product = _Gated.apply(gate, up, mlp.act_fn)
    gate, up, place = gate.detach(), up.detach(), product.data_ptr()

    def kept(tensor: torch.Tensor) -> torch.Tensor | torch.Size:
        return tensor.shape if tensor.data_ptr() == place and tensor.is_contiguous() else tensor

    def given_back(what: torch.Tensor | torch.Size) -> torch.Tensor:
        return what if isinstance(what, torch.Tensor) else (mlp.act_fn(gate) * up).view(what)

    with saved_tensors_hooks(kept, given_back):
        return mlp.down_proj(product)


class _Gated(torch.autograd.Function):
    """act(gate) * up, elementwise."""

    @staticmethod
    def forward(ctx: Any, gate: torch.Tensor, up: torch.Tensor, act: nn.Module) -> torch.Tensor:
        ctx.save_for_backward(gate, up)
        ctx.act = act
        return act(gate) * up

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, None]:
        gate, up = ctx.saved_tensors
        with torch.enable_grad():
            gate = gate.detach().requires_grad_()
            activated = ctx.act(gate)
        (of_gate,) = torch.autograd.grad(activated, gate, gradient * up)
        return of_gate, activated.detach() * gradient, None

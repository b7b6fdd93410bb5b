"""What lies between the convolutions of colour models, in one pass over memory: sums, gates, ELU.

Layer by layer, these take as long as the convolutions, though they are a hundredth of the operations.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from pipeline.fast.library import Compiled, in_parts

_SIZES = [*[ctypes.c_long] * 3, ctypes.c_int]
_KINDS = {torch.float32: 0, torch.bfloat16: 1}
_FORWARD, _BACKWARD = (
    {dtype: Compiled("activations.cpp", name, _SIZES + types, BFLOAT16=kind) for dtype, kind in _KINDS.items()}
    for name, types in (("forward", [ctypes.c_int, *[ctypes.c_void_p] * 4]), ("backward", [ctypes.c_void_p] * 6))
)


class Activated(NamedTuple):
    """h (B, C, H, W), and what the next convolution sees of it: ELU(h), or with ELU(−h) beside it (B, 2C, H, W)."""

    h: Tensor
    out: Tensor


def takes(network: nn.Module) -> bool:
    """Whether the compiled functions can work on this network."""
    return all(function.takes(network) for function in (*_FORWARD.values(), *_BACKWARD.values()))


def activated(*inputs: Tensor, gate: Tensor | None = None, both: bool = True) -> Activated:
    """Of h, the sum of `inputs` (B, C, H, W) and of a σ(b), where `gate` (B, 2C, H, W) is a beside b."""
    h, out = _Activation.apply(both, True, gate, *inputs)
    return Activated(h, out)


def elu_of_sum(*inputs: Tensor, both: bool = True) -> Tensor:
    """The same without h."""
    return _Activation.apply(both, False, None, *inputs)[1]


class _Activation(torch.autograd.Function):
    """ELU's slope follows from its value, so that of what goes in only the gate is kept."""

    @staticmethod
    def forward(
        ctx: Any, both: bool, keeps_h: bool, gate: Tensor | None, *inputs: Tensor
    ) -> tuple[Tensor | None, Tensor]:
        dtype = inputs[0].dtype
        inputs = tuple(_laid_out(values, dtype) for values in inputs)
        gate = None if gate is None else _laid_out(gate, dtype)
        _check(inputs, gate)
        h, out = torch.empty_like(inputs[0]) if keeps_h else None, _as_wide(inputs[0], 1 + both, 1)
        pointers = (ctypes.c_void_p * len(inputs))(*(values.data_ptr() for values in inputs))
        _run(_FORWARD, inputs[0], both, len(inputs), pointers, gate, h, out)
        ctx.save_for_backward(out, gate)
        ctx.both, ctx.inputs = both, len(inputs)
        ctx.set_materialize_grads(False)
        return h, out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, by_h: Tensor | None, by_out: Tensor | None) -> tuple[Tensor | None, ...]:
        out, gate = ctx.saved_tensors
        by_h = None if by_h is None else _laid_out(by_h, out.dtype)
        by_out = torch.zeros_like(out) if by_out is None else _laid_out(by_out, out.dtype)
        by_input, by_gate = _as_wide(out, 1, 1 + ctx.both), None if gate is None else torch.empty_like(gate)
        _run(_BACKWARD, by_input, ctx.both, gate, out, by_h, by_out, by_input, by_gate)
        return None, None, by_gate, *[by_input] * ctx.inputs


def _run(functions: dict[torch.dtype, Compiled], like: Tensor, both: bool, *arguments: Any) -> None:
    channels, function = like.shape[1], functions[like.dtype]
    addresses = [value.data_ptr() if isinstance(value, Tensor) else value for value in arguments]
    in_parts(like.numel() // channels, lambda part, _: function.call(part.start, part.stop, channels, both, *addresses))


def _laid_out(values: Tensor, dtype: torch.dtype) -> Tensor:
    """Channel beside channel, of this type, so that its address may be given away."""
    if values.device.type != "cpu":
        raise ValueError(f"values on {values.device}: must be on the CPU")
    return values.to(dtype).contiguous(memory_format=torch.channels_last)


def _check(inputs: Sequence[Tensor], gate: Tensor | None) -> None:
    shapes = [tuple(values.shape) for values in inputs]
    batch, channels, *size = shapes[0]
    if set(shapes) != {shapes[0]} or (gate is not None and gate.shape != (batch, 2 * channels, *size)):
        of_gate = "" if gate is None else f" and a gate of {tuple(gate.shape)}"
        raise ValueError(f"inputs of shapes {shapes}{of_gate}: must be alike, and a gate twice as wide")


def _as_wide(like: Tensor, times: int, parts: int) -> Tensor:
    """Room for `times` channels for each `parts` of `like`."""
    batch, channels, *size = like.shape
    shape = (batch, channels * times // parts, *size)
    return torch.empty(shape, dtype=like.dtype, memory_format=torch.channels_last)

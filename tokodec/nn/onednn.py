"""Products of matrices in float32 by oneDNN, on a processor, for inference.

The library that PyTorch takes for them reaches half of what AMD's processors can do and picks its order of summation by the number of
rows and of threads. oneDNN's are twice as fast there, and an entry depends on its row and its column alone (``tests/nn/test_onednn.py``).
"""

import platform

import torch
from jaxtyping import Float
from torch import Tensor

_FEW = 2
"""A single row or column would take another way, with another order of summation."""
_MACHINES = ("x86_64", "AMD64")


def computes(*factors: Tensor) -> bool:
    """Whether products of these are computed here: in float32 on an x86 processor, of what needs no gradient."""
    if not _is_there() or (torch.is_grad_enabled() and any(factor.requires_grad for factor in factors)):
        return False
    plain = all(factor.device.type == "cpu" and factor.dtype == torch.float32 for factor in factors)
    return plain and not torch.is_autocast_enabled("cpu") and not torch.compiler.is_compiling()


def linear(x: Float[Tensor, "... c"], weight: Float[Tensor, "d c"], bias: Float[Tensor, " d"] | None = None) -> Float[Tensor, "... d"]:
    """``x @ weight.T + bias``, where :func:`computes` says so."""
    rows = x.reshape(-1, x.shape[-1])
    if not len(rows) or not len(weight):
        return torch.nn.functional.linear(x, weight, bias)
    found = torch.ops.mkldnn._linear_pointwise(_several(rows), _several(weight), _wide(bias), "none", [], "")  # noqa: SLF001  no public name
    return found[: len(rows), : len(weight)].reshape(*x.shape[:-1], len(weight))


def _is_there() -> bool:
    onednn = torch.backends.mkldnn
    known = platform.machine() in _MACHINES and hasattr(torch.ops.mkldnn, "_linear_pointwise")
    return known and onednn.is_available() and bool(onednn.enabled)


def _several(rows: Float[Tensor, "n c"]) -> Float[Tensor, "m c"]:
    """In one piece: of rows with gaps between them oneDNN has nothing but a reference implementation."""
    return rows.contiguous() if len(rows) >= _FEW else rows.repeat(_FEW, 1)


def _wide(bias: Float[Tensor, " d"] | None) -> Float[Tensor, " e"] | None:
    return bias if bias is None or len(bias) >= _FEW else bias.repeat(_FEW)

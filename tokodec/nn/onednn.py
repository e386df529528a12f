"""Products of matrices in float32 by oneDNN, on a processor, for inference.

The library that PyTorch takes for them reaches half of what AMD's processors can do and picks its order of summation by the number of
rows and of threads. oneDNN's are twice as fast there, and an entry depends on its row and its column alone (``tests/nn/test_onednn.py``).
Without AVX-512 it is no faster, and older ones make the same choices.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

_ROWS = 16
_COLUMNS = 2
"""Fewer take another way, with another order of summation: rows below 16 with oneDNN 3.5 (PyTorch 2.6), below 2 with later ones."""


def computes(*factors: Tensor | None) -> bool:
    """Whether products of these are oneDNN's: in float32 on a processor with AVX-512, of what needs no gradient."""
    given = [factor for factor in factors if factor is not None]
    if not _is_there() or (torch.is_grad_enabled() and any(factor.requires_grad for factor in given)):
        return False
    plain = all(factor.device.type == "cpu" and factor.dtype == torch.float32 for factor in given)
    return plain and not torch.is_autocast_enabled("cpu") and not torch.compiler.is_compiling()


def linear(x: Float[Tensor, "... c"], weight: Float[Tensor, "d c"], bias: Float[Tensor, " d"] | None = None) -> Float[Tensor, "... d"]:
    """``x @ weight.T + bias``, by oneDNN where :func:`computes` says so."""
    if not computes(x, weight, bias) or not x.numel() or not len(weight):
        return F.linear(x, weight, bias)
    rows = x.reshape(-1, x.shape[-1])
    wide = bias if bias is None or len(bias) >= _COLUMNS else F.pad(bias, (0, _COLUMNS - len(bias)))
    found = _product(_several(rows, _ROWS), _several(weight, _COLUMNS), wide)
    return found[: len(rows), : len(weight)].reshape(*x.shape[:-1], len(weight))


def _is_there() -> bool:
    onednn = torch.backends.mkldnn
    known = torch.backends.cpu.get_cpu_capability() == "AVX512" and hasattr(torch.ops.mkldnn, "_linear_pointwise")
    return known and onednn.is_available() and bool(onednn.enabled)


def _several(rows: Float[Tensor, "n c"], least: int) -> Float[Tensor, "m c"]:
    """In one piece: of rows with gaps between them oneDNN has nothing but a reference implementation."""
    return rows.contiguous() if len(rows) >= least else F.pad(rows, (0, 0, 0, least - len(rows)))


def _product(rows: Float[Tensor, "n c"], weight: Float[Tensor, "d c"], bias: Float[Tensor, " d"] | None) -> Float[Tensor, "n d"]:
    return torch.ops.mkldnn._linear_pointwise(rows, weight, bias, "none", [], "")  # noqa: SLF001  no public name

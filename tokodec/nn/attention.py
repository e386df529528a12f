"""Scaled dot-product attention."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from tokodec.nn import onednn

_QUERIES = 256
"""So many at a time: their weights over a thousand keys stay in the cache of a processor."""
_MANY = 512
"""Over fewer keys PyTorch's own way is as fast in float32."""

Heads = Float[Tensor, "b heads n c"]
Keys = Float[Tensor, "b heads m c"]


def attend(q: Heads, k: Keys, v: Keys, seen: Bool[Tensor, "b m"] | None = None) -> Heads:
    """Every query looks at every key, or at those that are ``seen``.

    PyTorch's own way, except on a processor, for inference: matrix by matrix takes half the time in bfloat16, and, by oneDNN, over many
    keys two thirds of it in float32.
    """
    if seen is not None:
        return F.scaled_dot_product_attention(q, k, v, attn_mask=seen[:, None, None])
    if q.dtype == torch.bfloat16 and q.device.type == "cpu" and not torch.is_grad_enabled():
        return _by_matrices(q, k, v, torch.matmul)
    if k.shape[2] >= _MANY and onednn.computes(q, k, v):
        return _by_matrices(q, k.contiguous(), v.mT.contiguous().mT, _product)  # as oneDNN wants them, once for all queries
    return F.scaled_dot_product_attention(q, k, v)


def _by_matrices(q: Heads, k: Keys, v: Keys, product: Callable[[Tensor, Tensor], Tensor]) -> Heads:
    """Head by head, some queries at a time."""
    q, found = q * q.shape[-1] ** -0.5, q.new_empty(q.shape)  # contiguous, so that what is written into its rows is written into it
    for out, queries, keys, values in zip(*(t.flatten(0, 1) for t in (found, q, k, v)), strict=True):
        for some, into in zip(queries.split(_QUERIES), out.split(_QUERIES), strict=True):
            into.copy_(product(product(some, keys.T).softmax(1), values))
    return found


def _product(a: Float[Tensor, "n c"], b: Float[Tensor, "c m"]) -> Float[Tensor, "n m"]:
    return onednn.linear(a, b.T)


def attend_causally(q: Heads, k: Heads, v: Heads) -> Heads:
    """Every query looks at the keys up to its own place, as PyTorch does it."""
    return F.scaled_dot_product_attention(q, k, v, is_causal=True)


def attend_where(q: Heads, k: Keys, v: Keys, pairs: Bool[Tensor, "n m"]) -> Heads:
    """Every query looks at the keys that ``pairs`` gives it, as PyTorch does it."""
    return F.scaled_dot_product_attention(q, k, v, attn_mask=pairs)

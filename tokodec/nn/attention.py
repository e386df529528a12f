"""Scaled dot-product attention."""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

_QUERIES = 256
"""So many at a time: their weights over a thousand keys stay in the cache of a processor."""

Heads = Float[Tensor, "b heads n c"]
Keys = Float[Tensor, "b heads m c"]


def attend(q: Heads, k: Keys, v: Keys, seen: Bool[Tensor, "b m"] | None = None) -> Heads:
    """Every query looks at every key, or at those that are ``seen``.

    PyTorch's own way, except in bfloat16 on a processor, where matrix by matrix takes half the time.
    """
    if seen is not None:
        return F.scaled_dot_product_attention(q, k, v, attn_mask=seen[:, None, None])
    if q.dtype != torch.bfloat16 or q.device.type != "cpu" or torch.is_grad_enabled():
        return F.scaled_dot_product_attention(q, k, v)
    q, found = q * q.shape[-1] ** -0.5, q.new_empty(q.shape)  # contiguous, so that what is written into its rows is written into it
    for out, queries, keys, values in zip(*(t.flatten(0, 1) for t in (found, q, k, v)), strict=True):
        for some, into in zip(queries.split(_QUERIES), out.split(_QUERIES), strict=True):
            torch.mm((some @ keys.T).softmax(1), values, out=into)
    return found


def attend_causally(q: Heads, k: Heads, v: Heads) -> Heads:
    """Every query looks at the keys up to its own place, as PyTorch does it."""
    return F.scaled_dot_product_attention(q, k, v, is_causal=True)


def attend_where(q: Heads, k: Keys, v: Keys, pairs: Bool[Tensor, "n m"]) -> Heads:
    """Every query looks at the keys that ``pairs`` gives it, as PyTorch does it."""
    return F.scaled_dot_product_attention(q, k, v, attn_mask=pairs)

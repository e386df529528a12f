"""Tokenizers with the textbook's layers in place of ours: the peer of ``published_tokenizers.py``, over the same weights.

1x1 convolutions are convolutions, attention multiplies out its matrix of weights, ``x * sigmoid(x)`` and sums make new maps, a search
makes the matrix of all distances, and a batch is computed at once: what the authors of these models write.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tokodec.nn import magvit, mix, resnet, transformer, vqgan
from tokodec.quantizers import codebook, cosine
from tokodec.tokenizers.lattice import LatticeTokenizer, sequence
from tokodec.tokenizers.rows import RowTokenizer, ranked


def _swish(x: Tensor) -> Tensor:
    return x * torch.sigmoid(x)


def _bent(x: Tensor) -> Tensor:
    return F.leaky_relu(x, 0.1)


def _added(x: Tensor, branch: Tensor) -> Tensor:
    return x + branch


def _attention(self: Any, x: Tensor) -> Tensor:
    places = self.norm(x).flatten(2).transpose(1, 2)
    q, k, v = self.query(places), self.key(places), self.value(places)
    weights = (torch.bmm(q, k.transpose(1, 2)) * q.shape[-1] ** -0.5).softmax(2)
    return x + self.out(torch.bmm(weights, v)).transpose(1, 2).reshape(x.shape)


def _heads(self: Any, x: Tensor, seen: Tensor | None = None) -> Tensor:
    q, k, v = self.qkv(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4).unbind()
    logits = q @ k.transpose(2, 3) * q.shape[-1] ** -0.5
    weights = (logits if seen is None else logits.masked_fill(~seen[:, None, None], -torch.inf)).softmax(3)
    return self.out((weights @ v).transpose(1, 2).flatten(2))


def _nearest(z: Tensor, codes: Tensor) -> Tensor:
    return (z.square().sum(1, keepdim=True) + codes.square().sum(1) - 2 * z @ codes.T).argmin(1)


def _strongest(z: Tensor, codes: Tensor) -> Tensor:
    return (z @ codes.T).argmax(1)


def _at_once(self: LatticeTokenizer, x: Tensor) -> Tensor:
    return self.quantizer.ids(sequence(self.latents(x)))


def _rows_at_once(self: RowTokenizer, x: Tensor) -> Tensor:
    return ranked(self.quantizer.ids(self.latents(self.cut(self.to_native(x)).contiguous())), len(x))


@contextmanager
def plain() -> Iterator[None]:
    """Inside, all tokenizers of the house compute so."""
    parts: tuple[tuple[Any, str, Any], ...] = (
        (vqgan, "swish", _swish),
        (magvit, "swish", _swish),
        (vqgan, "added", _added),
        (resnet, "added", _added),
        (resnet, "_bent", _bent),
        (resnet.Pointwise, "forward", nn.Conv2d.forward),
        (vqgan.Attention, "forward", _attention),
        (transformer.Attention, "forward", _heads),
        (mix.Mix, "forward", nn.Conv2d.forward),
        (mix.ThinLinear, "forward", nn.Linear.forward),
        (codebook, "nearest", _nearest),
        (codebook, "strongest", _strongest),
        (cosine, "strongest", _strongest),
        (LatticeTokenizer, "settled", _at_once),
        (RowTokenizer, "_ids", _rows_at_once),
    )
    patches = [patch.object(where, name, new) for where, name, new in parts]
    for one in patches:
        one.start()
    try:
        yield
    finally:
        for one in patches:
            one.stop()

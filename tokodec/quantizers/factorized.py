"""Factorized quantization: a vector is cut into parts, and each has a codebook of its own, kept from telling what the others tell.

Source: Bai et al., "Factorized visual tokenization and generation", CVPR 2026 (FQGAN; showlab/FQGAN).
"""

from collections.abc import Sequence
from itertools import combinations

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from tokodec.errors import InputError
from tokodec.quantizers.base import Quantized, Quantizer
from tokodec.quantizers.entropy import Terms


class FactorizedQuantizer(Quantizer):
    """Quantizers of one codebook each, side by side. Ids have a last axis of parts.

    Terms: those of the parts, summed; and ``disentanglement``, the mean over pairs of parts and over places of the squared cosine
    between their codes, if they have the same dimension. It moves codes where the gradient of codes does, else vectors.
    """

    def __init__(self, parts: Sequence[Quantizer]) -> None:
        super().__init__()
        if not parts or any(len(q.vocab) != 1 for q in parts):
            raise InputError("parts are one or more quantizers, each with one codebook")
        self.parts = nn.ModuleList(parts)
        self.dims = [q.dim for q in parts]
        self.dim, self.size = sum(self.dims), 1
        for quantizer in parts:
            self.size *= quantizer.size

    @property
    def vocab(self) -> tuple[int, ...]:
        return tuple(q.size for q in self._quantizers())

    def arm(self) -> None:
        for quantizer in self._quantizers():
            quantizer.arm()

    def forward(self, z: Float[Tensor, "b n d"]) -> Quantized:
        found = [q(part) for q, part in zip(self._quantizers(), z.split(self.dims, -1), strict=True)]
        codes = [one.z for one in found]
        terms: Terms = {name: torch.stack([one.terms[name] for one in found]).sum(0) for name in found[0].terms}
        if len(codes) > 1 and len(set(self.dims)) == 1:
            terms["disentanglement"] = disentanglement(codes)
        return Quantized(z=torch.cat(codes, -1), ids=torch.stack([one.ids for one in found], -1), vocab=self.vocab, terms=terms)

    def ids(self, z: Float[Tensor, "b n d"]) -> Int[Tensor, "b n k"]:
        parts = z.split(self.dims, -1)
        return torch.stack([q.ids(part) for q, part in zip(self._quantizers(), parts, strict=True)], -1)

    def lookup(self, ids: Int[Tensor, "b n k"]) -> Float[Tensor, "b n d"]:
        return torch.cat([q.lookup(i) for q, i in zip(self._quantizers(), ids.unbind(-1), strict=True)], -1)

    def _quantizers(self) -> list[Quantizer]:
        return [q for q in self.parts if isinstance(q, Quantizer)]


def disentanglement(codes: Sequence[Float[Tensor, "b n d"]]) -> Float[Tensor, " b"]:
    """The mean squared cosine between two of them, over places and pairs: 0 where all are orthogonal, at most 1."""
    units = [F.normalize(c, dim=-1) for c in codes]
    return torch.stack([(a * b).sum(-1).square().mean(1) for a, b in combinations(units, 2)]).mean(0)

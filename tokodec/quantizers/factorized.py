"""Factorized quantization: a vector is cut into parts, and each has a codebook of its own, kept from telling what the others tell.

Source: Bai et al., "Factorized visual tokenization and generation", CVPR 2026 (FQGAN; showlab/FQGAN).
"""

from collections.abc import Sequence
from itertools import combinations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from tokodec.errors import InputError
from tokodec.quantizers.base import Choice, Quantized, Quantizer, SureQuantizer
from tokodec.quantizers.entropy import Terms
from tokodec.quantizers.split import SplitQuantizer


class FactorizedQuantizer(SplitQuantizer):
    """Quantizers of one codebook each, side by side, without names. Ids have a last axis of parts.

    Terms: those of the parts, summed; and ``disentanglement``, the mean over pairs of parts and over places of the squared cosine
    between their codes, if they have the same dimension. It moves codes where the gradient of codes does, else vectors.
    """

    def __init__(self, parts: Sequence[Quantizer]) -> None:
        if not parts or any(len(q.vocab) != 1 for q in parts):
            raise InputError("parts are one or more quantizers, each with one codebook")
        super().__init__({str(i): part for i, part in enumerate(parts)})

    def terms(self, found: Sequence[Quantized]) -> Terms:
        terms: Terms = {name: torch.stack([one.terms[name] for one in found]).sum(0) for name in found[0].terms}
        if len(found) > 1 and len({one.z.shape[-1] for one in found}) == 1:
            terms["disentanglement"] = disentanglement([one.z for one in found])
        return terms


class SureFactorizedQuantizer(FactorizedQuantizer, SureQuantizer):
    """One whose parts can all say how sure they are: it is as sure as the least sure of them."""

    def __init__(self, parts: Sequence[SureQuantizer]) -> None:
        super().__init__(parts)

    def choose(self, z: Float[Tensor, "b n d"]) -> Choice:
        each = zip(self.parts.values(), self.coordinates(z), strict=True)
        found = [part.choose(some) for part, some in each if isinstance(part, SureQuantizer)]
        return Choice(
            ids=torch.stack([one.ids for one in found], -1),
            margin=torch.stack([one.margin for one in found]).amin(0),
        )


def disentanglement(codes: Sequence[Float[Tensor, "b n d"]]) -> Float[Tensor, " b"]:
    """The mean squared cosine between two of them, over places and pairs: 0 where all are orthogonal, at most 1."""
    units = [F.normalize(c, dim=-1) for c in codes]
    return torch.stack([(a * b).sum(-1).square().mean(1) for a, b in combinations(units, 2)]).mean(0)

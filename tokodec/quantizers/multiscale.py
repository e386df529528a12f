"""Multi-scale residual quantization: a map of vectors as a sum of maps, from one vector for all of it to one for every place.

Each scale quantizes what the scales before it left, reduced to its size by means of areas; its codes are enlarged bicubically.
Source: Tian et al., "Visual autoregressive modeling", NeurIPS 2024 (VAR), in the form of TokenFlow, CVPR 2025: without convolutions
between scales.
"""

from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from tokodec.errors import InputError
from tokodec.quantizers.base import Quantized, Quantizer, distance, straight_through

Map = Float[Tensor, "b d h w"]


class MultiScaleQuantizer(nn.Module):
    """Square maps of ``scales[-1]`` a side to ``sum(s * s)`` ids, coarse to fine, and back; one ``quantizer`` for all scales.

    Not a :class:`Quantizer`: an id here is no function of one vector.
    """

    def __init__(self, scales: Sequence[int], quantizer: Quantizer) -> None:
        super().__init__()
        if not scales or sorted(set(scales)) != list(scales) or scales[0] < 1:
            raise InputError(f"scales = {tuple(scales)}: they are sides of maps, each larger than the one before")
        self.scales, self.quantizer = tuple(scales), quantizer
        self.dim, self.side = quantizer.dim, self.scales[-1]
        self.count = sum(s * s for s in self.scales)

    def forward(self, z: Map) -> Quantized:
        """Terms of the quantizer, averaged over scales. ``z`` of the result is the map as a sequence."""
        steps = list(self._steps(z.float()))
        total = torch.stack([self._enlarged(quantized.z) for quantized in steps]).sum(0)
        sequence, target = total.flatten(2).transpose(1, 2), z.float().flatten(2).transpose(1, 2)
        terms = {name: torch.stack([q.terms[name] for q in steps]).mean(0) for name in steps[0].terms}
        terms["residual"] = distance(sequence.detach(), target.detach())
        ids = torch.cat([q.ids for q in steps], 1)
        return Quantized(z=straight_through(target, sequence), ids=ids, vocab=self.quantizer.vocab, terms=terms)

    def ids(self, z: Map) -> Int[Tensor, "b count"]:
        """Scales one after the other, each row by row."""
        self._check(z)
        found: list[Tensor] = []
        for scale in self.scales:
            found.append(self.quantizer.ids(_sequence(F.interpolate(z, size=(scale, scale), mode="area"))))
            z = z - self._enlarged(self.quantizer.lookup(found[-1]))
        return torch.cat(found, 1)

    def lookup(self, ids: Int[Tensor, "b n"]) -> Map:
        """The map of all ids, or of those of the first few scales. Raises InputError for a part of a scale."""
        sizes = [s * s for s in self.scales]
        whole = [n for n in range(1, len(sizes) + 1) if sum(sizes[:n]) == ids.shape[1]]
        if not whole:
            raise InputError(f"{ids.shape[1]} ids are not those of whole scales {self.scales}")
        parts = ids.split(sizes[: whole[0]], 1)
        return torch.stack([self._enlarged(self.quantizer.lookup(part)) for part in parts]).sum(0)

    def taking_part(self) -> Sequence[int]:
        """The scales of one step of training."""
        return self.scales

    def _steps(self, z: Map) -> Iterator[Quantized]:
        self._check(z)
        for scale in self.taking_part():
            quantized = self.quantizer(_sequence(F.interpolate(z, size=(scale, scale), mode="area")))
            yield quantized
            z = z - self._enlarged(quantized.z).detach()

    def _enlarged(self, z: Float[Tensor, "b n d"]) -> Map:
        side = round(z.shape[1] ** 0.5)
        small = z.transpose(1, 2).unflatten(2, (side, side))
        return small if side == self.side else F.interpolate(small, size=(self.side, self.side), mode="bicubic")

    def _check(self, z: Map) -> None:
        if tuple(z.shape[2:]) != (self.side, self.side):
            raise InputError(f"maps are {self.side} x {self.side}, not {z.shape[2]} x {z.shape[3]}")


class ScaleDropout(MultiScaleQuantizer):
    """In a share of the steps of training, ``rate``, one scale is left out: any but the first. Scales then do not lean on one another."""

    def __init__(self, scales: Sequence[int], quantizer: Quantizer, rate: float) -> None:
        super().__init__(scales, quantizer)
        self.rate = rate

    def taking_part(self) -> Sequence[int]:
        if len(self.scales) == 1 or float(torch.rand(())) >= self.rate:
            return self.scales
        out = int(torch.randint(1, len(self.scales), ()))
        return self.scales[:out] + self.scales[out + 1 :]


def _sequence(z: Map) -> Float[Tensor, "b n d"]:
    return z.flatten(2).transpose(1, 2)

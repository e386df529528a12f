"""Two codebooks under one index: a code for what is seen and a code for how it looks, chosen together.

    z ── (semantic, pixel), each of unit length ── least d_semantic + weight * d_pixel ──> id ──> (semantic code, pixel code)

Source: Qu et al., "TokenFlow: unified image tokenizer for multimodal understanding and generation", CVPR 2025 (ByteFlow-AI/TokenFlow).
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from tokodec.quantizers.base import Quantized, Quantizer, distance, straight_through
from tokodec.quantizers.nearest import nearest

Vectors = Float[Tensor, "b n d"]


class SharedIndexQuantizer(Quantizer):
    """``size`` pairs of a code of ``semantic`` and one of ``pixel`` coordinates, which follow each other in a vector.

    Both parts of vectors and codes are compared at unit length; the sum of their squared distances, the second times ``weight``,
    decides. :meth:`lookup` gives both codes, each of unit length.

    Terms: ``codebook``, the mean squared distances of both codes from their parts, added, moves codes; ``commitment``, the same number,
    moves vectors.
    """

    def __init__(self, size: int, semantic: int, pixel: int, weight: float = 1.0) -> None:
        super().__init__()
        self.size, self.dim, self.weight = size, semantic + pixel, weight
        self.semantic, self.pixel = (nn.Parameter(F.normalize(torch.randn(size, n), dim=1)) for n in (semantic, pixel))

    def parts(self, z: Float[Tensor, "*lattice d"]) -> tuple[Float[Tensor, "*lattice s"], Float[Tensor, "*lattice p"]]:
        """The semantic and the pixel coordinates of vectors."""
        return z[..., : self.semantic.shape[1]], z[..., self.semantic.shape[1] :]

    def forward(self, z: Vectors) -> Quantized:
        with torch.autocast(z.device.type, enabled=False):
            z = self._unit(z.float())
            ids = self._search(z.detach())
            codes = self.lookup(ids)
            terms = {"codebook": self._distance(codes, z.detach()), "commitment": self._distance(codes.detach(), z)}
        return Quantized(z=straight_through(z, codes), ids=ids, vocab=self.vocab, terms=terms)

    def ids(self, z: Vectors) -> Int[Tensor, "b n"]:
        return self._search(self._unit(z))

    def lookup(self, ids: Int[Tensor, "b n"]) -> Vectors:
        return self._unit(torch.cat([F.embedding(ids, table) for table in (self.semantic, self.pixel)], -1))

    def codes(self) -> Float[Tensor, "k d"]:
        """All pairs, as :meth:`lookup` gives them."""
        return self._unit(torch.cat([self.semantic, self.pixel], 1))

    def _search(self, unit: Vectors) -> Int[Tensor, "b n"]:
        """A weighted sum of squared distances is one squared distance, so nobody holds a matrix of distances."""
        codes = self._weighed(self.codes().detach())
        return nearest(self._weighed(unit).flatten(0, 1), codes).view(unit.shape[:2])

    def _unit(self, z: Float[Tensor, "*lattice d"]) -> Float[Tensor, "*lattice d"]:
        return torch.cat([F.normalize(part, dim=-1) for part in self.parts(z)], -1)

    def _weighed(self, unit: Float[Tensor, "*lattice d"]) -> Float[Tensor, "*lattice d"]:
        semantic, pixel = self.parts(unit)
        return torch.cat([semantic, self.weight**0.5 * pixel], -1)

    def _distance(self, a: Vectors, b: Vectors) -> Float[Tensor, " b"]:
        return torch.stack([distance(one, other) for one, other in zip(self.parts(a), self.parts(b), strict=True)]).sum(0)

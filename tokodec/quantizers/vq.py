"""Vector quantization with an L2-normalised codebook of few dimensions: the id of a vector is its nearest code's.

Low dimension and unit length are what keeps a codebook of 16,384 in use. Training moves the codes by exponential moving
averages of the vectors that chose them, starts them by k-means and gives dead ones a vector of the batch: the machinery of
lucidrains' vector-quantize-pytorch. What is stored and used is the codebook alone.

Sources: van den Oord et al., "Neural discrete representation learning", NeurIPS 2017; Yu et al., "Vector-quantized image
modeling with improved VQGAN", ICLR 2022 (normalised, low-dimensional codes).
"""

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from tokodec.quantizers.base import Choice, Quantized, Quantizer
from tokodec.quantizers.nearest import nearest, nearest_two
from tokodec.quantizers.order import cluster_order

if TYPE_CHECKING:
    from vector_quantize_pytorch import VectorQuantize

_SEEN = 8192
"""So many vectors of a batch, drawn at random, move the codes: vector-quantize-pytorch makes a matrix of vectors by codes."""
_DEAD = 0.25
"""A code that is chosen less often than this share of the mean is given a vector of the batch."""


class VectorQuantizer(Quantizer):
    """``size`` codes of ``dim`` coordinates; vectors and codes are compared at unit length."""

    def __init__(self, size: int, dim: int) -> None:
        super().__init__()
        self.size, self.dim = size, dim
        # A parameter, stored in 16 bits like all of them, but never reached by a gradient.
        self.codebook = nn.Parameter(F.normalize(torch.randn(size, dim), dim=1), requires_grad=False)
        self.machine: VectorQuantize | None = None

    def arm(self) -> None:
        """Add what training needs: averages, usage counts, the start by k-means. A model in use has none of it."""
        if self.machine is None:
            from vector_quantize_pytorch import VectorQuantize  # noqa: PLC0415 - as long as torch takes, and only training needs it

            self.machine = VectorQuantize(
                self.dim,
                self.size,
                use_cosine_sim=True,
                decay=0.99,
                kmeans_init=True,
                kmeans_iters=8,
                threshold_ema_dead_code=_DEAD * _SEEN / self.size,  # type: ignore[arg-type]  # a number of vectors, whole or not
            ).to(self.codebook.device)

    def sort(self, groups: int) -> None:
        codes = self._codes(torch.float32)
        self.codebook.copy_(codes[cluster_order(codes, groups)])

    def forward(self, z: Float[Tensor, "b n d"]) -> Quantized:
        """Terms: ``commitment``, the mean squared distance of unit vectors from their codes, per coordinate."""
        unit = F.normalize(z.float(), dim=-1)
        with torch.no_grad(), torch.autocast(z.device.type, enabled=False):
            ids = self._learnt(unit.detach())
            codes = self.lookup(ids)
        commitment = (unit - codes).square().flatten(1).mean(1)
        return Quantized(z=unit + (codes - unit).detach(), ids=ids, terms={"commitment": commitment})

    def _learnt(self, unit: Float[Tensor, "b n d"]) -> Int[Tensor, "b n"]:
        """The ids of a batch, from which the codes then learn."""
        self.arm()
        assert self.machine is not None
        vectors = unit.flatten(0, 1)
        some = torch.randint(len(vectors), (_SEEN,), device=unit.device)
        if not bool(self.machine._codebook.initted):  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  no public name
            self.machine(vectors[some][None])
            self.codebook.copy_(self.machine.codebook)
        ids = nearest(vectors, self._codes(unit.dtype))
        self.machine.update_indices(vectors[some][None], ids[some][None])
        self.codebook.copy_(self.machine.codebook)
        return ids.view(unit.shape[:2])

    def ids(self, z: Float[Tensor, "b n d"]) -> Int[Tensor, "b n"]:
        return nearest(F.normalize(z, dim=-1).flatten(0, 1), self._codes(z.dtype)).view(z.shape[:2])

    def choose(self, z: Float[Tensor, "b n d"]) -> Choice:
        ids, distances = nearest_two(F.normalize(z, dim=-1).flatten(0, 1), self._codes(z.dtype))
        # A step of every coordinate by m moves the unit vector by m sqrt(d), and each distance by no more.
        margin = (distances[:, 1] - distances[:, 0]) / 2 / self.dim**0.5
        return Choice(ids=ids.view(z.shape[:2]), margin=margin.view(z.shape[:2]))

    def lookup(self, ids: Int[Tensor, "b n"]) -> Float[Tensor, "b n d"]:
        return self._codes(torch.float32)[ids]

    def _codes(self, dtype: torch.dtype) -> Float[Tensor, "k d"]:
        """At unit length; the stored ones are rounded to 16 bits."""
        return F.normalize(self.codebook.to(dtype), dim=1)

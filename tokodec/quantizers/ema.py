"""Codebooks that follow the vectors that chose them: exponential moving averages, started by k-means, dead codes revived.

Low dimension and unit length are what keeps a codebook of 16,384 in use. Averages, k-means and revival are the machinery of
lucidrains' vector-quantize-pytorch. What is stored and used is the codebook alone.

Sources: van den Oord et al., "Neural discrete representation learning", NeurIPS 2017; Yu et al., "Vector-quantized image
modeling with improved VQGAN", ICLR 2022 (normalised, low-dimensional codes).
"""

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from tokodec.quantizers.base import Choice, Quantized, SureQuantizer, distance, straight_through
from tokodec.quantizers.nearest import nearest, nearest_two
from tokodec.quantizers.order import cluster_order

if TYPE_CHECKING:
    from vector_quantize_pytorch import VectorQuantize
    from vector_quantize_pytorch.vector_quantize_pytorch import Codebook

_SEEN = 8192
"""So many vectors of a batch, drawn at random, move the codes, whatever the batch."""
_DEAD = 0.25
"""A code that is chosen less often than this share of the mean is given a vector of the batch."""


class EmaVectorQuantizer(SureQuantizer):
    """The nearest of ``size`` codes of ``dim`` coordinates, which no gradient moves."""

    unit: bool = False
    """Whether vectors and codes have unit length."""

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
                use_cosine_sim=self.unit,
                decay=0.99,
                kmeans_init=True,
                kmeans_iters=8,
                threshold_ema_dead_code=_DEAD * _SEEN / self.size,  # type: ignore[arg-type]  # a number of vectors, whole or not
            ).to(self.codebook.device)

    def start_from_codes(self) -> None:
        embed, size, total, initted = self._averages()
        embed.copy_(self.codes(torch.float32)[None])
        size.fill_(_SEEN / self.size)
        total.copy_(embed * size[..., None])
        initted.fill_(True)

    def _averages(self) -> list[Tensor]:
        """The machine's codes, how often each is chosen, sums of the vectors that chose it, and whether it has begun."""
        return [self._book().get_buffer(name) for name in ("embed", "cluster_size", "embed_avg", "initted")]

    def _book(self) -> "Codebook":
        """Codes, averages and counts, where vector-quantize-pytorch keeps them; it has no public name for that."""
        self.arm()
        assert self.machine is not None
        return self.machine._codebook  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]

    def compared(self, z: Float[Tensor, "b n d"]) -> Float[Tensor, "b n d"]:
        """Vectors as they are compared with codes."""
        return z

    def codes(self, dtype: torch.dtype) -> Float[Tensor, "k d"]:
        """The table as it is compared and as the decoder sees it."""
        return self.codebook.to(dtype)

    def sort(self, groups: int) -> None:
        codes = self.codes(torch.float32)
        self.codebook.copy_(codes[cluster_order(codes, groups)])

    def forward(self, z: Float[Tensor, "b n d"]) -> Quantized:
        """Terms: ``commitment``, the mean squared distance of vectors, as compared, from their codes, per coordinate."""
        z = self.compared(z.float())
        with torch.no_grad(), torch.autocast(z.device.type, enabled=False):
            ids = self._learnt(z.detach())
            codes = self.lookup(ids)
        return Quantized(z=straight_through(z, codes), ids=ids, vocab=self.vocab, terms={"commitment": distance(z, codes)})

    def _learnt(self, z: Float[Tensor, "b n d"]) -> Int[Tensor, "b n"]:
        """The ids of a batch, from which the codes then learn."""
        embed, *_, initted = self._averages()
        vectors = z.flatten(0, 1)
        some = torch.randint(len(vectors), (_SEEN,), device=z.device)
        if not bool(initted):
            assert self.machine is not None
            self.machine(vectors[some][None])
            self.codebook.copy_(embed[0])
        ids = nearest(vectors, self.codes(z.dtype))
        self._follow(vectors[some], ids[some])
        self.codebook.copy_(embed[0])
        return ids.view(z.shape[:2])

    def _follow(self, vectors: Float[Tensor, "n d"], ids: Int[Tensor, " n"]) -> None:
        """What the machine's own update does, but for its matrix of vectors by codes, which is half of a training step."""
        book, (_, size, total, _) = self._book(), self._averages()
        counts = torch.bincount(ids, minlength=self.size).to(vectors.dtype)
        sums = torch.zeros_like(total[0]).index_add_(0, ids, vectors)
        for average, new in ((size, counts), (total, sums)):
            book.all_reduce_fn(new)
            average.lerp_(new[None], 1 - book.decay)
        book.update_ema()
        book.expire_codes_(vectors[None])

    def ids(self, z: Float[Tensor, "b n d"]) -> Int[Tensor, "b n"]:
        return nearest(self.compared(z).flatten(0, 1), self.codes(z.dtype)).view(z.shape[:2])

    def choose(self, z: Float[Tensor, "b n d"]) -> Choice:
        ids, distances = nearest_two(self.compared(z).flatten(0, 1), self.codes(z.dtype))
        # A step of every coordinate by m moves the vector by m sqrt(d), and each distance by no more.
        margin = (distances[:, 1] - distances[:, 0]) / 2 / self.dim**0.5
        return Choice(ids=ids.view(z.shape[:2]), margin=margin.view(z.shape[:2]))

    def lookup(self, ids: Int[Tensor, "b n"]) -> Float[Tensor, "b n d"]:
        return self.codes(torch.float32)[ids]


class NormalisedEmaVectorQuantizer(EmaVectorQuantizer):
    """Vectors and codes are compared at unit length; the decoder sees codes of unit length."""

    unit = True

    def compared(self, z: Float[Tensor, "b n d"]) -> Float[Tensor, "b n d"]:
        return F.normalize(z, dim=-1)

    def codes(self, dtype: torch.dtype) -> Float[Tensor, "k d"]:
        """At unit length; the stored ones are rounded to 16 bits."""
        return F.normalize(self.codebook.to(dtype), dim=1)

"""Quantizers with a table of codes that gradients move: plain, of unit length, behind a linear map, and by index backpropagation.

Sources: van den Oord et al., "Neural discrete representation learning", NeurIPS 2017; Esser et al., "Taming transformers", CVPR 2021;
Yu et al., "Vector-quantized image modeling with improved VQGAN", ICLR 2022 (unit length); Zhu et al., "Addressing representation
collapse in vector quantized models with one linear layer", 2024 (SimVQ); Shi et al., "Scalable image tokenization with index
backpropagation quantization", 2024 (IBQ).
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from tokodec.nn.mix import ThinLinear
from tokodec.quantizers.base import Quantized, Quantizer, distance, straight_through
from tokodec.quantizers.entropy import Terms
from tokodec.quantizers.nearest import nearest, strongest

Entropy = Callable[[Float[Tensor, "b n k"]], Terms]


class VectorQuantizer(Quantizer):
    """The nearest of ``size`` codes of ``dim`` coordinates.

    Terms: ``codebook``, the mean squared distance of codes from vectors, moves codes; ``commitment``, the same number, moves
    vectors. With ``entropy``, also what that adds. (The "legacy" loss of taming-transformers weighs codebook 0.25 and commitment 1.)
    """

    def __init__(self, size: int, dim: int, entropy: Entropy | None = None) -> None:
        super().__init__()
        self.size, self.dim, self.entropy = size, dim, entropy
        self.codebook = nn.Parameter(torch.empty(size, dim).uniform_(-1 / size, 1 / size))

    def compared(self, z: Float[Tensor, "b n d"]) -> Float[Tensor, "b n d"]:
        """Vectors as they are compared with codes."""
        return z

    def codes(self) -> Float[Tensor, "k d"]:
        """The table as it is compared and as the decoder sees it."""
        return self.codebook

    def logits(self, z: Float[Tensor, "b n d"]) -> Float[Tensor, "b n k"]:
        """Minus the squared distances from all codes, but for what is equal for all."""
        codes = self.codes()
        return 2 * z @ codes.T - codes.square().sum(1)

    def forward(self, z: Float[Tensor, "b n d"]) -> Quantized:
        with torch.autocast(z.device.type, enabled=False):
            z = self.compared(z.float())
            ids = self._search(z.detach())
            codes = self.lookup(ids)
            terms = {"codebook": distance(codes, z.detach()), "commitment": distance(codes.detach(), z)}
            if self.entropy is not None:
                terms |= self.entropy(self.logits(z))
        return Quantized(z=straight_through(z, codes), ids=ids, vocab=self.vocab, terms=terms)

    def ids(self, z: Float[Tensor, "b n d"]) -> Int[Tensor, "b n"]:
        return self._search(self.compared(z))

    def lookup(self, ids: Int[Tensor, "b n"]) -> Float[Tensor, "b n d"]:
        return F.embedding(ids, self.codes())

    def _search(self, compared: Float[Tensor, "b n d"]) -> Int[Tensor, "b n"]:
        return nearest(compared.flatten(0, 1), self.codes().detach()).view(compared.shape[:2])


class NormalisedVectorQuantizer(VectorQuantizer):
    """Vectors and codes are compared at unit length, and the decoder sees codes of unit length."""

    def __init__(self, size: int, dim: int, entropy: Entropy | None = None) -> None:
        super().__init__(size, dim, entropy)
        self.codebook.data.copy_(F.normalize(self.codebook.data, dim=1))

    def compared(self, z: Float[Tensor, "b n d"]) -> Float[Tensor, "b n d"]:
        return F.normalize(z, dim=-1)

    def codes(self) -> Float[Tensor, "k d"]:
        return F.normalize(self.codebook, dim=1)


class SimVectorQuantizer(VectorQuantizer):
    """Codes are a table that never changes, times one learned matrix: whatever moves one code moves all, so none dies."""

    def __init__(self, size: int, dim: int, entropy: Entropy | None = None) -> None:
        super().__init__(size, dim, entropy)
        # A parameter, kept and filled like all of them, but never reached by a gradient.
        self.codebook = nn.Parameter(torch.randn(size, dim) * dim**-0.5, requires_grad=False)
        self.transform = ThinLinear(dim, dim, bias=False)

    def codes(self) -> Float[Tensor, "k d"]:
        return self.transform(self.codebook)

    def lookup(self, ids: Int[Tensor, "b n"]) -> Float[Tensor, "b n d"]:
        return self.transform(F.embedding(ids, self.codebook))


class IndexBackpropagationQuantizer(VectorQuantizer):
    """The code with the largest dot product, with gradients through the softmax over all of them, so that every code learns.

    Terms: ``soft``, the mean squared distance of that softened code from its vector, moves all codes and the vector;
    ``commitment`` and ``codebook`` as elsewhere.
    """

    def logits(self, z: Float[Tensor, "b n d"]) -> Float[Tensor, "b n k"]:
        return z @ self.codebook.T

    def forward(self, z: Float[Tensor, "b n d"]) -> Quantized:
        with torch.autocast(z.device.type, enabled=False):
            z = z.float()
            logits = self.logits(z)
            p = logits.softmax(-1)
            ids = logits.argmax(-1)
            hard = F.one_hot(ids, self.size).to(p.dtype)
            soft = straight_through(p, hard) @ self.codebook
            codes = self.lookup(ids)
            terms = {"soft": distance(soft, z), "commitment": distance(codes.detach(), z), "codebook": distance(codes, z.detach())}
            if self.entropy is not None:
                terms |= self.entropy(logits)
        return Quantized(z=soft, ids=ids, vocab=self.vocab, terms=terms)

    def _search(self, compared: Float[Tensor, "b n d"]) -> Int[Tensor, "b n"]:
        return strongest(compared.flatten(0, 1), self.codebook.detach()).view(compared.shape[:2])

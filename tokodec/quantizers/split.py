"""Several quantizers side by side, each of its own coordinates of a vector."""

import math
from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from tokodec.quantizers.base import Quantized, Quantizer
from tokodec.quantizers.entropy import Terms


class SplitQuantizer(Quantizer):
    """Named ``parts``: the coordinates of the first come first, and so do its ids, on a last axis of all codebooks of all parts.

    Terms are those of the parts, named ``part_term``.
    """

    def __init__(self, parts: Mapping[str, Quantizer]) -> None:
        super().__init__()
        self.parts = nn.ModuleDict(parts)
        self.dim = sum(part.dim for part in parts.values())
        self.size = math.prod(part.size for part in parts.values())

    @property
    def vocab(self) -> tuple[int, ...]:
        return sum((part.vocab for part in self.named().values()), ())

    def named(self) -> dict[str, Quantizer]:
        """The parts in their order."""
        return {name: part for name, part in self.parts.items() if isinstance(part, Quantizer)}

    def divided(self, ids: Int[Tensor, "... k"]) -> dict[str, Int[Tensor, "... k2"]]:
        """The ids of each part, still with a last axis of its codebooks."""
        counts = [len(part.vocab) for part in self.named().values()]
        return dict(zip(self.parts, ids.split(counts, -1), strict=True))

    def forward(self, z: Float[Tensor, "b n d"]) -> Quantized:
        found = [part(some) for part, some in zip(self.parts.values(), self.coordinates(z), strict=True)]
        ids = torch.cat([_with_axis(q.ids) for q in found], -1)
        return Quantized(z=torch.cat([q.z for q in found], -1), ids=ids, vocab=self.vocab, terms=self.terms(found))

    def terms(self, found: Sequence[Quantized]) -> Terms:
        """Of all parts, out of what each of them found."""
        return {f"{name}_{term}": t for name, q in zip(self.parts, found, strict=True) for term, t in q.terms.items()}

    def ids(self, z: Float[Tensor, "b n d"]) -> Int[Tensor, "b n k"]:
        return torch.cat([_with_axis(part.ids(some)) for part, some in zip(self.named().values(), self.coordinates(z), strict=True)], -1)

    def lookup(self, ids: Int[Tensor, "b n k"]) -> Float[Tensor, "b n d"]:
        each = zip(self.named().values(), self.divided(ids).values(), strict=True)
        return torch.cat([part.lookup(some if len(part.vocab) > 1 else some[..., 0]) for part, some in each], -1)

    def coordinates(self, z: Float[Tensor, "b n d"]) -> tuple[Float[Tensor, "b n d2"], ...]:
        """Of each part."""
        return z.split([part.dim for part in self.named().values()], -1)


def _with_axis(ids: Int[Tensor, "b n *k"]) -> Int[Tensor, "b n k2"]:
    return ids if ids.ndim == 3 else ids[..., None]

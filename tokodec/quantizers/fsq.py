"""Finite scalar quantization: every coordinate is bounded and rounded to one of a few levels; the id is their mixed-radix number.

Nothing is searched and nothing can collapse: the codebook is the grid itself.
Source: Mentzer et al., "Finite scalar quantization: VQ-VAE made simple", ICLR 2024; the training form is lucidrains'
vector-quantize-pytorch.
"""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from tokodec.errors import InputError
from tokodec.quantizers.base import Choice, Quantized, SureQuantizer

_EPSILON = 1e-3


class FiniteScalarQuantizer(SureQuantizer):
    """``levels`` of each coordinate, at least 3. An id is ``sum(digit * prod(levels before))``, the first digit lowest."""

    _half: Tensor
    _offset: Tensor
    _shift: Tensor
    _count: Tensor
    _radix: Tensor

    def __init__(self, levels: Sequence[int]) -> None:
        super().__init__()
        if not levels or min(levels) < 3:
            raise InputError(f"levels = {tuple(levels)}: every coordinate needs at least 3")
        self.levels = tuple(levels)
        self.dim, self.size = len(self.levels), math.prod(self.levels)
        self._train: nn.Module | None = None
        counts = torch.tensor(self.levels, dtype=torch.float64)
        half = (counts - 1) * (1 + _EPSILON) / 2
        offset = torch.where(counts % 2 == 0, 0.5, 0.0).double()
        constants = {
            "_half": half,
            "_offset": offset,
            "_shift": torch.atanh(offset / half),
            "_count": torch.tensor(self.levels),
            "_radix": torch.tensor([math.prod(self.levels[:i]) for i in range(self.dim)]),
        }
        for name, value in constants.items():
            self.register_buffer(name, value, persistent=False)

    def arm(self) -> None:
        """Add the form for training. A model in use has none."""
        if self._train is None:
            from vector_quantize_pytorch import FSQ  # noqa: PLC0415 - as long as torch takes, and only training needs it

            self._train = FSQ(list(self.levels), return_indices=False).to(self._count.device)

    def forward(self, z: Float[Tensor, "b n d"]) -> Quantized:
        """Terms: ``unevenness``, the same for every item: how far a batch's bounded coordinates are from filling [-1, 1] evenly.

        Sorted, they are compared with as many evenly spaced numbers; it is the mean squared difference. At 0 all levels are chosen
        equally often, but for the outermost, which have half as much room: about as squared error wants it of a bell-shaped source.
        """
        with torch.autocast(z.device.type, enabled=False):
            self.arm()
            assert self._train is not None
            codes, _ = self._train(z.float())
            unevenness = self._unevenness(z.float()).expand(len(z))
            width = self._count // 2
            digits = (codes * width + width).round().long()
        return Quantized(z=codes, ids=(digits * self._radix).sum(-1), vocab=self.vocab, terms={"unevenness": unevenness})

    def _unevenness(self, z: Float[Tensor, "b n d"]) -> Float[Tensor, ""]:
        found = torch.tanh(z + self._shift.to(z.dtype)).flatten(0, 1).sort(0).values
        even = (2 * torch.arange(len(found), device=z.device) + 1) / len(found) - 1
        return (found - even[:, None]).square().mean()

    def ids(self, z: Float[Tensor, "b n d"]) -> Int[Tensor, "b n"]:
        return self._numbers(self._bounded(z).round())

    def choose(self, z: Float[Tensor, "b n d"]) -> Choice:
        half, offset, shift = self._bounds(z.dtype)
        level = self._bounded(z).round()
        # Where a coordinate would have to be for the level below and above; beyond the outermost levels there is no border.
        borders = [((level + side + offset) / half).clamp(-1, 1).atanh() - shift for side in (-0.5, 0.5)]
        margin = torch.stack([(border - z).abs() for border in borders]).amin(0)
        return Choice(ids=self._numbers(level), margin=margin.amin(-1))

    def lookup(self, ids: Int[Tensor, "b n"]) -> Float[Tensor, "b n d"]:
        width = self._count // 2
        return ((ids[..., None] // self._radix % self._count - width) / width).float()

    def _bounded(self, z: Float[Tensor, "b n d"]) -> Float[Tensor, "b n d"]:
        half, offset, shift = self._bounds(z.dtype)
        return torch.tanh(z + shift) * half - offset

    def _numbers(self, level: Float[Tensor, "b n d"]) -> Int[Tensor, "b n"]:
        return ((level + self._count // 2).long() * self._radix).sum(-1)

    def _bounds(self, dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
        """A coordinate is bounded to ``tanh(z + shift) * half - offset``."""
        return self._half.to(dtype), self._offset.to(dtype), self._shift.to(dtype)

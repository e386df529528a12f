"""What every quantizer of latent vectors does: vectors to ids, ids to vectors, and how sure an id is."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field

from jaxtyping import Float, Int
from torch import Tensor, nn


@dataclass(frozen=True, kw_only=True)
class Quantized:
    """Vectors as the decoder will see them (gradients reach what went in), their ids, and unweighted terms for a loss."""

    z: Float[Tensor, "b n d"]
    ids: Int[Tensor, "b n"]
    terms: Mapping[str, Float[Tensor, " b"]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Choice:
    """Ids, and by how much every coordinate of a vector may at least change before its id does.

    Coordinates are those that the quantizer compares: of unit vectors where only the direction counts.
    """

    ids: Int[Tensor, "b n"]
    margin: Float[Tensor, "b n"]


class Quantizer(nn.Module, ABC):
    """Sequences of vectors ``(b, n, dim)`` to ids in ``range(size)`` and back; the tokenizer owns the lattice.

    ``forward`` is for training. ``ids``, ``choose`` and ``lookup`` are for use: functions of one vector each, without
    randomness, whatever stands beside it in the batch.
    """

    dim: int
    size: int

    def arm(self) -> None:
        """Before training: add what only training needs."""

    def sort(self, groups: int) -> None:
        """After training: put codes into an order in which neighbours are alike, in ``groups`` cells."""

    @abstractmethod
    def forward(self, z: Float[Tensor, "b n d"]) -> Quantized:
        """Differentiable, with whatever training needs."""

    @abstractmethod
    def ids(self, z: Float[Tensor, "b n d"]) -> Int[Tensor, "b n"]:
        """The id of each vector, computed at the precision of ``z`` (float32 or float64); of equally good ones the lowest."""

    @abstractmethod
    def choose(self, z: Float[Tensor, "b n d"]) -> Choice:
        """The ids, and how sure each is."""

    @abstractmethod
    def lookup(self, ids: Int[Tensor, "b n"]) -> Float[Tensor, "b n d"]:
        """The float32 vectors that ids stand for."""

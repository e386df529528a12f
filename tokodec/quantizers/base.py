"""What every quantizer of latent vectors does: vectors to ids, ids to vectors; and what some can say beside."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn


@dataclass(frozen=True, kw_only=True)
class Quantized:
    """Vectors as the decoder will see them (gradients reach what went in), their ids, and unweighted terms for a loss.

    ``ids`` have a last axis where a vector has several, one of each of ``vocab``. There are as many as vectors, but for scales.
    """

    z: Float[Tensor, "b n e"]
    ids: Int[Tensor, "b m *k"]
    vocab: tuple[int, ...]
    terms: Mapping[str, Float[Tensor, " b"]] = field(default_factory=dict)

    @property
    def usage(self) -> float:
        """The share of codes that occur in this batch, 0 to 1; the mean where there are several codebooks."""
        return self._mean([len(_counts(ids)) / size for ids, size in zip(self._each(), self.vocab, strict=True)])

    @property
    def perplexity(self) -> float:
        """2 to the entropy of the ids' frequencies in this batch; the mean where there are several codebooks."""
        shares = [counts / counts.sum() for counts in map(_counts, self._each())]
        return self._mean([float(torch.exp2(-(share * share.log2()).sum())) for share in shares])

    def _each(self) -> list[Int[Tensor, "..."]]:
        return list(self.ids.unbind(-1)) if self.ids.ndim == 3 else [self.ids]

    @staticmethod
    def _mean(values: list[float]) -> float:
        return sum(values) / len(values)


@dataclass(frozen=True, kw_only=True)
class Choice:
    """Ids, and by how much every coordinate of a vector may at least change before its id does.

    Coordinates are those that the quantizer compares: of unit vectors where only the direction counts.
    """

    ids: Int[Tensor, "b n *k"]
    margin: Float[Tensor, "b n"]


class Quantizer(nn.Module, ABC):
    """Sequences of vectors ``(b, n, dim)`` to ids in ``range(size)`` and back; the tokenizer owns the lattice.

    ``forward`` is for training. ``ids`` and ``lookup`` are for use: functions of one vector each, without randomness,
    whatever stands beside it in the batch.
    """

    dim: int
    size: int
    """Of the codebook, or of each of several together: the number of different vectors."""

    @property
    def vocab(self) -> tuple[int, ...]:
        """The sizes of the codebooks that a vector has an id of; ids have an axis for them if there are several."""
        return (self.size,)

    def arm(self) -> None:
        """Before training: add what only training needs."""

    def start_from_codes(self) -> None:
        """After ``arm``: learn on from the codes there are. Without it codes may get a start of their own, from the first vectors."""

    def sort(self, groups: int) -> None:
        """After training: put codes into an order in which neighbours are alike, in ``groups`` cells."""

    @abstractmethod
    def forward(self, z: Float[Tensor, "b n d"]) -> Quantized:
        """Differentiable, with whatever training needs."""

    @abstractmethod
    def ids(self, z: Float[Tensor, "b n d"]) -> Int[Tensor, "b n *k"]:
        """The id of each vector, computed at the precision of ``z`` (float32 or float64); of equally good ones the lowest."""

    @abstractmethod
    def lookup(self, ids: Int[Tensor, "b n *k"]) -> Float[Tensor, "b n e"]:
        """The float32 vectors that ids stand for."""


class SureQuantizer(Quantizer):
    """One that can say how sure its ids are."""

    @abstractmethod
    def choose(self, z: Float[Tensor, "b n d"]) -> Choice:
        """The ids, and how sure each is."""


def straight_through(z: Float[Tensor, "b n d"], quantized: Float[Tensor, "b n d"]) -> Float[Tensor, "b n d"]:
    """The values of ``quantized`` with the gradient of ``z``."""
    return z + (quantized - z).detach()


def distance(a: Float[Tensor, "b n d"], b: Float[Tensor, "b n d"]) -> Float[Tensor, " b"]:
    """The mean squared difference of each item."""
    return (a - b).square().flatten(1).mean(1)


def _counts(ids: Int[Tensor, "..."]) -> Float[Tensor, " codes"]:
    return ids.unique(return_counts=True)[1].double()

"""What reducers share: vectors of which fewer are a code, too, and one number that says how many.

x (b,n,c) ── pooled ──> z (b,k,d), k one of ``counts`` ── truncate ──> z of a smaller k
"""

import math
from abc import abstractmethod
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from tokodec.api import Features, Latents, Reducer
from tokodec.errors import InputError
from tokodec.quality import qualities_of

Vectors = Float[Tensor, "b k d"]


class NestedReducer(Reducer):
    """In ``stable`` numerics a vector depends neither on the batch nor on how many are asked for: items are computed singly, and whole."""

    channels: int
    """Of the features that go in."""

    # --- what a family says

    @abstractmethod
    def pooled(self, x: Features, k: int) -> Vectors:
        """``k`` vectors, computed alone and with gradients."""

    @abstractmethod
    def fewer(self, z: Float[Tensor, "b m d"], k: int) -> Vectors:
        """``k`` vectors out of more."""

    # --- the reducer

    def encode(self, x: Features, *, quality: float | Float[Tensor, " b"] | None = None) -> Latents:
        self._check(x)
        k = self.counts[-1] if quality is None else self.count(quality, x)
        with self.numerics.transforms(x.device):
            z = self.numerics.choice(lambda: self.pooled(x, k), lambda: self.fewer(self._settled(x), k))
        return Latents(z=z.float(), size=(x.shape[1],))

    def _settled(self, x: Features) -> Vectors:
        return torch.cat([self.pooled(one.contiguous(), self.counts[-1]) for one in x.split(1)])

    def truncate(self, code: Latents, k: int) -> Latents:
        there = code.z.shape[1]
        self.check_count(there)
        if k not in self.counts or k > there:
            raise InputError(f"of {there} vectors there can be {self._told(there)}, not {k}")
        return replace(code, z=self.fewer(code.z, k))

    def count(self, quality: float | Float[Tensor, " b"], x: Features) -> int:
        """How many vectors a quality stands for. Raises InputError where items of a batch would have different ones."""
        found = (qualities_of(quality, x) * (len(self.counts) - 1)).round().long().unique()
        if len(found) != 1:
            raise InputError("the items of a batch have equally many vectors: give one quality")
        return self.counts[int(found)]

    def check_count(self, k: int) -> None:
        """Raise InputError for a number of vectors that there is none of."""
        if k not in self.counts:
            raise InputError(f"{self.name or 'this model'} makes {self._told(self.counts[-1])} vectors, not {k}")

    def _told(self, most: int) -> str:
        counts = [k for k in self.counts if k <= most]
        return ", ".join(map(str, counts)) if len(counts) <= _FEW else f"{counts[0]} to {counts[-1]}"

    def _check(self, x: Features) -> None:
        if x.ndim != 3 or x.shape[2] != self.channels or not x.shape[1] or math.isqrt(x.shape[1]) ** 2 != x.shape[1]:
            wanted = f"features (b, n, {self.channels}) of a square of places"
            raise InputError(f"{self.name or 'this model'} takes {wanted}, not {tuple(x.shape)}")


_FEW = 8

"""Tokenizers whose row of ids goes from coarse to fine: the first ones alone are a picture, too.

    ids (b, n * k) ── the first ``lengths`` of them ── as any row ──> x_hat

``quality`` in [0, 1] is the share of a window's ids that is kept, from 1 to all of them. An id says the same however many follow it.
"""

from abc import abstractmethod
from dataclasses import replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from tokodec.api import Tokens
from tokodec.errors import InputError
from tokodec.quality import qualities_of
from tokodec.tokenizers.lattice import Picture, refuse_unknown
from tokodec.tokenizers.rows import RowTokenizer, Seen, mask


class PrefixTokenizer(RowTokenizer):
    """``encode`` without a quality keeps all ids. Every length decodes that has an id of each window."""

    # --- what a family says

    @abstractmethod
    def drawn_lengths(self, items: int) -> Int[Tensor, " b"]:
        """How many ids of each window training decodes, where nobody says it."""

    # --- lengths

    def kept(self, quality: Float[Tensor, " b"]) -> Int[Tensor, " b"]:
        """How many ids of each window a quality keeps, 1 to ``row``."""
        return 1 + (quality * (self.row - 1)).round().long()

    def truncate(self, tokens: Tokens, k: int) -> Tokens:
        """At most the first ``k`` ids of each window, 1 to ``row``. Raises InputError."""
        if not 1 <= k <= self.row:
            raise InputError(f"a window has 1 to {self.row} ids, not {k}")
        return self.shortened(tokens, torch.full((len(tokens),), k))

    def shortened(self, tokens: Tokens, k: Int[Tensor, " b"]) -> Tokens:
        """The same with a ``k`` for each item."""
        ids, lengths = self._checked(tokens)
        (stream,) = tokens.streams.values()
        fewer = torch.minimum(lengths, k.cpu() * self.windows_of(tokens.size))
        kept = ids.where(mask(fewer, ids.shape[1]).to(ids.device), 0)
        return replace(tokens, streams={"ids": replace(stream, ids=kept, lengths=fewer.to(ids.device))})

    # --- the tokenizer

    def encode(self, x: Picture, *, quality: float | Float[Tensor, " b"] | None = None) -> Tokens:
        """One stream, ``ids`` over (n), ``row`` of each window; ``lengths`` of them count, zeros follow. Raises InputError."""
        found = self._tokens(self._ids(x), (x.shape[2], x.shape[3]), self._all(x))
        return found if quality is None else self.shortened(found, self.kept(qualities_of(quality, x)))

    def blank(self, size: tuple[int, ...]) -> Tokens:
        """Tokens of one picture of ``size`` (h, w) without values, on the ``meta`` device; as many as there may be."""
        (stream,) = super().blank(size).streams.values()
        return self._tokens(stream.ids, (size[0], size[1]), torch.tensor([stream.ids.shape[1]]))

    def _all(self, x: Picture) -> Int[Tensor, " b"]:
        return torch.full((len(x),), self.row * self.windows_of(x.shape[2:]), device=x.device)

    def _seen(self, x: Picture, quality: Float[Tensor, " b"] | None) -> Seen | None:
        if not self.training:
            return None
        each = self.drawn_lengths(len(x)) if quality is None else self.kept(qualities_of(quality, x))
        return mask(each.to(x.device).repeat_interleave(self.windows_of(x.shape[2:])), self.row)

    def _checked(self, code: Tokens) -> tuple[Int[Tensor, "b n"], Int[Tensor, " b"]]:
        """All ids, filled up with zeros to as many as there may be, and how many of each item there are."""
        ids, least = code.ids, self.windows_of(code.size)
        most = least * self.row
        stream = next(iter(code.streams.values()))
        lengths = torch.full((len(ids),), ids.shape[1]) if stream.lengths is None else stream.lengths.cpu()
        if ids.ndim != 2 or not bool(((lengths >= least) & (lengths <= min(most, ids.shape[1]))).all()):
            raise InputError(f"pictures of {code.size[0]} x {code.size[1]} have {least} to {most} ids in a row, not {lengths.tolist()}")
        there = ids[:, :most].where(mask(lengths, min(most, ids.shape[1])).to(ids.device), 0)
        refuse_unknown(there, self.quantizer.size)
        return torch.nn.functional.pad(there, (0, most - there.shape[1])), lengths

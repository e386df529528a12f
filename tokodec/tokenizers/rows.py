"""What tokenizers of pictures share whose ids are a row: so many for a window of one size, with no place of their own in it.

    x ── windows ── to_native ── latents ──> z (bk,n,d) ── quantizer ──> ids ── ranked ──> (b, n * k)
    ids ── by_window ── lookup ──> z_hat (bk,n,d) ── drawn ── from_native ── stitched ──> x_hat

The network knows one size only: other pictures are filled up by replication and become ``k`` windows, each on its own. The row of a picture
has the first ids of all its windows, then the second ones, and so on: what is coarse in a window is coarse in the picture.

In ``stable`` numerics neither ids nor pictures depend on what else is in the batch: windows are encoded and decoded one by one.
"""

import math
from abc import abstractmethod
from collections.abc import Callable, Mapping

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor

from tokodec.api import DiscreteTokenizer, Output, Sampler, Stream, Tokens
from tokodec.errors import InputError
from tokodec.nn.pad import padded
from tokodec.nn.windows import stitched, windows
from tokodec.quantizers.base import Quantizer
from tokodec.tokenizers.lattice import Picture, bits_per_pixel, output, refuse_unknown

Parts = Float[Tensor, "bk c s t"]
Row = Float[Tensor, "bk n d"]
Seen = Bool[Tensor, "bk n"]
Draw = Callable[[Row, Seen | None], tuple[Parts, Mapping[str, Tensor]]]
_TOGETHER = 8
"""So many windows are decoded at a time where they are not decoded one by one."""


class RowTokenizer(DiscreteTokenizer):
    """``row`` ids of each window of ``stride`` x ``stride`` pixels."""

    quantizer: Quantizer
    layout = torch.contiguous_format
    at_once = 1
    """So many windows are encoded at a time in ``stable`` numerics: more than one only where ids do not depend on it."""
    row: int

    # --- what a family says

    @abstractmethod
    def latents(self, x: Parts) -> Row:
        """The vectors before the quantizer, of windows in the native range."""

    @abstractmethod
    def drawn(self, z: Row, seen: Seen | None = None) -> tuple[Parts, Mapping[str, Tensor]]:
        """Windows in the native range, of the vectors that ids stand for, and what objectives may compare with what others say.

        ``seen``: which vectors there are, where rows of several lengths stand together.
        """

    def to_native(self, x: Picture) -> Picture:
        """From [0, 1] to the range that the network knows: the same."""
        return x

    def from_native(self, x: Picture) -> Picture:
        """The inverse."""
        return x

    def bounded(self, x: Picture) -> Picture:
        """What is decoded, inside the range of what is encoded."""
        return x.clamp(0, 1)

    def cut(self, x: Picture) -> Parts:
        """Pictures in the native range as windows, filled up."""
        return windows(padded(x, self.stride), self.stride)

    def whole(self, parts: Parts, size: tuple[int, ...]) -> Picture:
        """The inverse, of pictures of ``size`` (h, w)."""
        height, width = (math.ceil(n / self.stride) * self.stride for n in size)
        return stitched(parts, (height, width))[..., : size[0], : size[1]]

    def drawer(self, size: tuple[int, ...]) -> Draw:
        """What draws the windows of pictures of ``size`` (h, w)."""
        return self.drawn

    # --- training

    def forward(self, x: Picture, *, quality: Float[Tensor, " b"] | None = None) -> Output:
        """Terms of each item: ``mse`` (RGB in [0, 1]) and what the quantizer adds; in eval mode ``bpp``, and what the tokenizer does."""
        seen = self._seen(x, quality)
        if not self.training:
            tokens = self.encode(x, quality=quality)
            return output(x, self.decode(tokens), {"bpp": bits_per_pixel(tokens, x)}, tokens.ids)
        quantized = self.quantizer(self.latents(self.cut(self.to_native(x))))
        parts, more = self.drawer(tuple(x.shape[2:]))(quantized.z, seen)
        pixels = self.whole(self.from_native(parts.float()), tuple(x.shape[2:]))
        terms = {name: t.unflatten(0, (len(x), -1)).mean(1) for name, t in quantized.terms.items()}
        found = output(x, pixels, terms, ranked(quantized.ids, len(x)))
        found.aux.update(more)
        return found

    def _seen(self, x: Picture, quality: Float[Tensor, " b"] | None) -> Seen | None:
        """Which vectors of each window training decodes; None for all."""
        self.refuse(quality)
        return None

    # --- the tokenizer

    def encode(self, x: Picture, *, quality: float | Float[Tensor, " b"] | None = None) -> Tokens:
        """One stream, ``ids`` over (n): ``row`` of each window."""
        self.refuse(quality)
        return self._tokens(self._ids(x), (x.shape[2], x.shape[3]))

    def _ids(self, x: Picture) -> Int[Tensor, "b n"]:
        """All ids, ranked."""
        parts = self.cut(self.to_native(x)).contiguous()
        with self.numerics.transforms(x.device):
            ids = self.numerics.choice(
                lambda: self.quantizer.ids(self.latents(parts).float()),
                lambda: torch.cat([self.settled(some) for some in parts.split(self.at_once)]),
            )
        return ranked(ids, len(x))

    def settled(self, some: Float[Tensor, "k c h w"]) -> Int[Tensor, "k n"]:
        """The ids of at most ``at_once`` windows in their native range, whatever the circumstances."""
        return self.quantizer.ids(self.latents(some).float())

    def blank(self, size: tuple[int, ...]) -> Tokens:
        """Tokens of one picture of ``size`` (h, w) without values, on the ``meta`` device."""
        count = self.row * self.windows_of(size)
        return self._tokens(torch.empty(1, count, dtype=torch.int64, device="meta"), (size[0], size[1]))

    def decode(self, code: Tokens, *, sampler: Sampler | None = None) -> Picture:
        """Pictures in [0, 1] of the size that was encoded.

        Raises InputError for ids that the codebook does not have, and FingerprintMismatch for those of another model.
        """
        self.refuse_sampler(sampler)
        return self.decoded(code, self.drawer(code.size))

    def decoded(self, code: Tokens, draw: Draw) -> Picture:
        """With another way to draw windows."""
        self.check_maker(code)
        ids, lengths = self._checked(code)
        count = self.windows_of(code.size)
        parts, each = by_window(ids, count), lengths_by_window(lengths, count)
        with self.numerics.transforms(ids.device):
            native = self.numerics.choice(lambda: self._drawn_together(parts, each, draw), lambda: self._drawn_alone(parts, each, draw))
        return self.bounded(self.from_native(self.whole(native, code.size)))

    def _drawn_alone(self, parts: Int[Tensor, "bk n"], lengths: Int[Tensor, " bk"], draw: Draw) -> Parts:
        """Window by window, each of just the ids it has."""
        rows = (ids[None, :n] for ids, n in zip(parts, lengths.tolist(), strict=True))
        return torch.cat([draw(self.quantizer.lookup(row), None)[0].float() for row in rows])

    def _drawn_together(self, parts: Int[Tensor, "bk n"], lengths: Int[Tensor, " bk"], draw: Draw) -> Parts:
        """Several windows at a time; ids that a window does not have are not seen."""
        found: list[Tensor] = []
        for ids, some in zip(parts.split(_TOGETHER), lengths.split(_TOGETHER), strict=True):
            longest = int(some.max())
            seen = None if int(some.min()) == longest else mask(some, longest)
            found.append(draw(self.quantizer.lookup(ids[:, :longest]), seen)[0].float())
        return torch.cat(found)

    # ---

    def windows_of(self, size: tuple[int, ...] | torch.Size) -> int:
        """How many windows a picture of ``size`` (h, w) has."""
        return math.ceil(size[0] / self.stride) * math.ceil(size[1] / self.stride)

    def _tokens(self, ids: Int[Tensor, "b n"], size: tuple[int, int], lengths: Int[Tensor, " b"] | None = None) -> Tokens:
        return self.signed({"ids": Stream(ids=ids, axes=("n",), vocab=self.quantizer.vocab, lengths=lengths)}, size)

    def _checked(self, code: Tokens) -> tuple[Int[Tensor, "b n"], Int[Tensor, " b"]]:
        """All ids, and how many of each item there are. Raises InputError."""
        ids, wanted = code.ids, self.row * self.windows_of(code.size)
        if ids.ndim != 2 or ids.shape[1] != wanted:
            raise InputError(f"pictures of {code.size[0]} x {code.size[1]} have {wanted} ids in a row, not {tuple(ids.shape[1:])}")
        refuse_unknown(ids, self.quantizer.size)
        return ids, torch.full((len(ids),), wanted)


def ranked(parts: Shaped[Tensor, "bk n *d"], items: int) -> Shaped[Tensor, "b nk *d"]:
    """Rows of windows as one row an item: what comes first in all windows, then what comes second, ..."""
    return parts.unflatten(0, (items, -1)).transpose(1, 2).flatten(1, 2)


def by_window(row: Shaped[Tensor, "b nk *d"], count: int) -> Shaped[Tensor, "bk n *d"]:
    """The inverse, for ``count`` windows an item."""
    return row.unflatten(1, (-1, count)).transpose(1, 2).flatten(0, 1)


def lengths_by_window(lengths: Int[Tensor, " b"], count: int) -> Int[Tensor, " bk"]:
    """How many ids each window has, where the row of an item is cut after so many."""
    return ((lengths[:, None] - torch.arange(count) + count - 1) // count).flatten()


def mask(lengths: Int[Tensor, " b"], longest: int) -> Bool[Tensor, "b n"]:
    """Which places of rows of ``lengths`` there are."""
    return torch.arange(longest, device=lengths.device) < lengths[:, None]

"""What tokenizers of pictures share whose ids lie on one lattice.

    x ── to_native ── latents ──> z (b,d,gh,gw) ── quantizer ──> ids (b,gh,gw[,k])
    ids ── lookup ──> z_hat (b,d,gh,gw) ── reconstruct ── from_native ──> x_hat

In ``stable`` numerics an id does not depend on the batch, the number of threads or the memory layout: pictures are encoded one by one,
in one layout, with layers that keep their order of summation (:mod:`tokodec.nn.mix`). Whoever can afford more overrides
:meth:`LatticeTokenizer.settled`.
"""

import math
from abc import abstractmethod
from collections.abc import Callable

import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor

from tokodec.api import DiscreteTokenizer, Output, Sampler, Stream, Tokens
from tokodec.errors import InputError
from tokodec.nn.pad import padded
from tokodec.quantizers.base import Quantized, Quantizer

Map = Float[Tensor, "b d gh gw"]
Picture = Float[Tensor, "b c h w"]
"""RGB in [0, 1], or what else :attr:`tokodec.entry.Entry.input` says."""


class LatticeTokenizer(DiscreteTokenizer):
    """Any size: pictures are filled up by replication to a multiple of ``window`` pixels, and cropped when decoded."""

    quantizer: Quantizer
    layout = torch.contiguous_format
    window: int = 0
    """Sides of what is encoded are multiples of it: of the stride, unless a model knows one size only."""

    # --- what a family says

    @abstractmethod
    def latents(self, x: Float[Tensor, "b c h w"]) -> Map:
        """The vectors before the quantizer, of pictures in the native range."""

    @abstractmethod
    def reconstruct(self, z: Map) -> Float[Tensor, "b c h w"]:
        """Pictures in the native range, of the vectors that ids stand for."""

    def to_native(self, x: Picture) -> Picture:
        """From [0, 1] to the range that the network knows: [-1, 1]."""
        return x * 2 - 1

    def from_native(self, x: Picture) -> Picture:
        """The inverse."""
        return (x + 1) / 2

    def predictions(self, z: Map) -> dict[str, Tensor]:
        """Of vectors that ids stand for: what objectives may compare with features of another network. Nothing, unless a family says."""
        return {}

    def bounded(self, x: Picture) -> Picture:
        """What is decoded, inside the range of what is encoded."""
        return x.clamp(0, 1)

    # --- training

    def forward(self, x: Picture, *, quality: Float[Tensor, " b"] | None = None) -> Output:
        """Terms of each item: ``mse`` (RGB in [0, 1]) and what the quantizer adds; in eval mode ``bpp``, and what the tokenizer does."""
        self.refuse(quality)
        if not self.training:
            return self._measured(x)
        quantized, grid = self.embed(x), self._grid(x.shape[2:])
        z_hat = lattice(quantized.z, grid)
        pixels = self.from_native(self.reconstruct(z_hat).float())
        found = output(x, self._cropped(pixels, x.shape[2:]), dict(quantized.terms), self._on_lattice(quantized.ids, grid))
        found.aux.update(self.predictions(z_hat))
        return found

    def embed(self, x: Picture) -> Quantized:
        """Ids of pictures together with the vectors that they stand for, (b, gh * gw, dim), with gradients: for whoever trains a
        tokenizer and what reads its tokens together.

        Gradients of vectors reach the encoder; and the codebook where the quantizer passes them on, all codes of it with index
        backpropagation. Source: Wang et al., "End-to-end vision tokenizer tuning", 2025 (ETT).
        """
        return self.quantizer(sequence(self.latents(self.to_native(self._filled(x)))))

    def _measured(self, x: Picture) -> Output:
        tokens = self.encode(x)
        return output(x, self.decode(tokens), {"bpp": bits_per_pixel(tokens, x)}, self._joined(tokens))

    # --- the tokenizer

    def encode(self, x: Picture, *, quality: float | Float[Tensor, " b"] | None = None) -> Tokens:
        """One stream, ``ids`` over (h, w), or (h, w, k) with several codebooks."""
        self.refuse(quality)
        filled = self.to_native(self._filled(x))
        ids = self.numerics.choice(lambda: self.quick(filled), lambda: self.settled(filled))
        return self._tokens(self._on_lattice(ids, self._grid(x.shape[2:])), (x.shape[2], x.shape[3]))

    def quick(self, x: Float[Tensor, "b c h w"]) -> Int[Tensor, "b n *k"]:
        """The ids of filled pictures in their native range."""
        with self.numerics.transforms(x.device):
            z = self.latents(x.contiguous(memory_format=torch.channels_last))
        return self.quantizer.ids(sequence(z.float()))

    def settled(self, x: Float[Tensor, "b c h w"]) -> Int[Tensor, "b n *k"]:
        """The same, whatever the circumstances."""
        with self.numerics.transforms(x.device):
            return torch.cat([self.quantizer.ids(sequence(self.latents(one.contiguous()))) for one in x.split(1)])

    def blank(self, size: tuple[int, ...]) -> Tokens:
        """Tokens of one picture of ``size`` (h, w) without values, on the ``meta`` device."""
        shape = (1, *self._grid(size), *self._codebooks)
        return self._tokens(torch.empty(shape, dtype=torch.int64, device="meta"), (size[0], size[1]))

    def decode(self, code: Tokens, *, sampler: Sampler | None = None) -> Picture:
        """Pictures in [0, 1] of the size that was encoded.

        Raises InputError for ids that the codebook does not have, and FingerprintMismatch for those of another model.
        """
        self.refuse_sampler(sampler)
        return self.decoded(code, self.reconstruct)

    def decoded(self, code: Tokens, reconstruct: Callable[[Map], Float[Tensor, "b c h w"]]) -> Picture:
        """With another way to :meth:`reconstruct`."""
        ids = self._checked(code)
        grid = ids.shape[1:3]
        z = lattice(self.quantizer.lookup(ids.flatten(1, 2)), grid)
        with self.numerics.transforms(ids.device):
            pixels = self.from_native(reconstruct(z.contiguous(memory_format=self.layout)).float())
        return self.bounded(self._cropped(pixels, code.size))

    # ---

    def _filled(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h2 w2"]:
        return padded(x, self.window or self.stride)

    @staticmethod
    def _cropped(x: Float[Tensor, "b c h w"], size: tuple[int, ...] | torch.Size) -> Float[Tensor, "b c h2 w2"]:
        return x[..., : size[0], : size[1]]

    def _grid(self, size: tuple[int, ...] | torch.Size) -> tuple[int, int]:
        window = self.window or self.stride
        high, wide = (math.ceil(n / window) * window // self.stride for n in size[:2])
        return high, wide

    @property
    def _codebooks(self) -> tuple[int, ...]:
        """The last axes of ids: none with one codebook."""
        return () if len(self.quantizer.vocab) == 1 else (len(self.quantizer.vocab),)

    def _on_lattice(self, ids: Int[Tensor, "b n *k"], grid: tuple[int, ...] | torch.Size) -> Int[Tensor, "b gh gw *k"]:
        return ids.unflatten(1, tuple(grid))

    def _tokens(self, ids: Int[Tensor, "b gh gw *k"], size: tuple[int, int]) -> Tokens:
        axes = ("h", "w", "k") if self._codebooks else ("h", "w")
        return self.signed({"ids": Stream(ids=ids, axes=axes, vocab=self.quantizer.vocab)}, size)

    def _joined(self, code: Tokens) -> Int[Tensor, "b gh gw *k"]:
        """The inverse: the ids of all streams on one lattice."""
        return code.ids

    def _checked(self, code: Tokens) -> Int[Tensor, "b gh gw *k"]:
        self.check_maker(code)
        ids, grid = self._joined(code), self._grid(code.size)
        if tuple(ids.shape[1:]) != (*grid, *self._codebooks):
            several = f" of {self._codebooks[0]} codebooks" if self._codebooks else ""
            found = tuple(ids.shape[1:])
            raise InputError(f"pictures of {code.size[0]} x {code.size[1]} have {grid[0]} x {grid[1]} ids{several}, not {found}")
        for one, size in zip(ids.unbind(-1) if self._codebooks else (ids,), self.quantizer.vocab, strict=True):
            refuse_unknown(one, size)
        return ids


def sequence(z: Shaped[Tensor, "b d gh gw"]) -> Shaped[Tensor, "b n d"]:
    """Places row by row."""
    return z.flatten(2).transpose(1, 2)


def lattice(z: Shaped[Tensor, "b n d"], grid: tuple[int, ...] | torch.Size) -> Shaped[Tensor, "b d gh gw"]:
    """The inverse."""
    return z.transpose(1, 2).unflatten(2, tuple(grid))


def output(x: Picture, pixels: Picture, terms: dict[str, Float[Tensor, " b"]], ids: Int[Tensor, "b ..."]) -> Output:
    """With the squared error, which every tokenizer reports."""
    return Output(pixels=pixels, terms={"mse": (pixels - x).square().flatten(1).mean(1), **terms}, aux={"ids": ids})


def bits_per_pixel(tokens: Tokens, x: Picture) -> Float[Tensor, " b"]:
    """The raw bits of the tokens of ``x``, where pictures are."""
    return (tokens.bits / (x.shape[2] * x.shape[3])).float().to(x.device)


def refuse_unknown(ids: Int[Tensor, "..."], size: int) -> None:
    """Raise InputError for ids that a codebook of ``size`` codes does not have."""
    if ids.numel() and not 0 <= int(ids.min()) <= int(ids.max()) < size:
        raise InputError(f"ids are 0 to {size - 1}; these reach from {int(ids.min())} to {int(ids.max())}")

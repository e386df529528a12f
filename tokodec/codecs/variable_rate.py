"""Codecs of ours: one set of weights for every quality, transforms at 1/8 of the size, entropy parameters in exact integers.

    x ── g_a ──> y ── x gain ── round(. - mean) ──> s ══ bits ══> s + mean ── / gain ──> y_hat ── g_s ──> x_hat
                 │                 ↑ mean, scale                     ↑
                h_a ──> z ── x gain ── round ══ bits ══> z_hat ── / gain ── h_s ...

Every place where the rate enters is a gain that follows ``quality``: on y and z (the quantisation step), on the features
of g_a and g_s, and on the scales of y and z. Whatever decides code tables is carried over into exact integer arithmetic
after training (``freeze``), and with it all gains: encoder and decoder agree to the bit on any machine. g_a and g_s may run
in any precision.

How y is expected from z, and from itself, is what such codecs differ in: ``expect`` for training, ``walk`` for bits.

Sources: the mean-scale hyperprior of Minnen et al., "Joint autoregressive and hierarchical priors for learned image
compression", NeurIPS 2018; interpolated gains of Cui et al., CVPR 2021. Transforms: :mod:`tokodec.nn.lowres`.
"""

import struct
from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from tokodec.api import Codec, Output, Pixels, Symbols
from tokodec.quality import qualities_of
from tokodec.entropy import thrift
from tokodec.entropy.coder import Hand, Holder, Meter, Reader, Tally, Writer
from tokodec.entropy.fixed import LEVELS
from tokodec.entropy.hyper import ExactHyper
from tokodec.entropy.laplace import laplace_bits
from tokodec.entropy.rounder import Rounder
from tokodec.entropy.rounding import Rounded
from tokodec.entropy.scaletables import BANDS
from tokodec.errors import CorruptFile
from tokodec.nn.chain import ConvChain, Link
from tokodec.nn.gain import Gain
from tokodec.nn.lowres import STRIDE, LowResAnalysis, LowResSynthesis
from tokodec.nn.pad import padded

HYPER_STRIDE = 4
SIDE = "z"
"""The name of the hyper latents' symbols, which come first."""
_BATCH = 8
_LEVEL = struct.Struct("<H")
_FREEZE_QUALITIES = (0.0, 0.25, 0.5, 0.75, 1.0)
_FIT_LEVELS = tuple((2 * i + 1) * LEVELS // (4 * BANDS) for i in range(2 * BANDS))  # two in each band

Grid = tuple[int, int]
Batches = Sequence[Float[Tensor, "_ 3 _ _"]]
"""Pictures in [0, 1], of several sizes and numbers."""


@dataclass(frozen=True, kw_only=True)
class Widths:
    """``N``: features at 1/8. ``W``: features at 1/16. ``M``: latents y. ``H``: hyper features. ``Z``: latents z. ``rows`` of gains."""

    N: int = 128
    W: int = 192
    M: int = 320
    H: int = 128
    Z: int = 64
    rows: int = 16


class HyperAnalysis(nn.Module):
    """y to z at 1/64 of the picture."""

    def __init__(self, M: int, H: int, Z: int) -> None:
        super().__init__()
        self.head = nn.Conv2d(M, H, 1)
        self.down1 = nn.Conv2d(H, H, 3, stride=2, padding=1)
        self.down2 = nn.Conv2d(H, H, 3, stride=2, padding=1)
        self.tail = nn.Conv2d(H, Z, 1)

    def forward(self, y: Float[Tensor, "b m h w"]) -> Float[Tensor, "b z h4 w4"]:
        h = F.leaky_relu(self.head(padded(y, HYPER_STRIDE)), 0.1)
        h = F.leaky_relu(self.down2(F.leaky_relu(self.down1(h), 0.1)), 0.1)
        return self.tail(h).float()


@dataclass(frozen=True, kw_only=True)
class Expected:
    """What training knows of y. ``scale``: log2, of the unquantised latents; ``y_hat``: as the decoder has it."""

    mean: Float[Tensor, "b m h w"]
    scale: Float[Tensor, "b m h w"]
    y_hat: Float[Tensor, "b m h w"]


@dataclass(frozen=True, kw_only=True)
class Typical:
    """Latents of pictures, and hyper latents as the decoder has them, gain taken off."""

    quality: Float[Tensor, " b"]
    y: Float[Tensor, "b m h w"]
    z_hat: Float[Tensor, "b z h4 w4"]


class VariableRateCodec(Rounded, Codec):
    """See the module's docstring. Freshly made or trained it can train; ``freeze`` makes it a codec."""

    def __init__(self, g_a: LowResAnalysis, g_s: LowResSynthesis, c: Widths) -> None:
        super().__init__()
        self.g_a, self.g_s = g_a, g_s
        self.h_a = HyperAnalysis(c.M, c.H, c.Z)
        grow = (Link(width=c.H, shuffle=2), Link(width=c.H, kernel=3))
        self.h_s = ConvChain(c.Z, (Link(width=c.H, kernel=3), *grow, *grow, Link(width=2 * c.M)))
        # Start: quantiser steps of 2**-1.5 to 2**-6.5 of full range from quality 0 to 1.
        self.gain_y = Gain(c.rows, c.M, low=1.5, high=6.5)
        self.gain_z = Gain(c.rows, c.Z, low=0.5, high=2.0)
        self.scale_y = Gain(c.rows, c.M)
        self.scale_z = Gain(c.rows, c.Z, low=1.0, high=2.0)
        self.gain_a = Gain(c.rows, c.N)
        self.gain_s = Gain(c.rows, c.N)
        last = self.h_s.layers[-1]
        assert last.bias is not None
        last.bias.data[c.M :] = -2
        self.exact = ExactHyper(self.h_s, rows=c.rows, M=c.M, Z=c.Z)

    @property
    def reach(self) -> tuple[int, int]:
        """How far analysis and synthesis see, in pixels."""
        return self.g_a.reach, self.g_s.reach

    # --- what differs

    @abstractmethod
    def expect(
        self, features: Float[Tensor, "b f h w"], y: Float[Tensor, "b m h w"], q: Float[Tensor, " b"], gain: Float[Tensor, "b m 1 1"]
    ) -> Expected:
        """Means and scales of y, for training. ``features``: what the last layer of h_s sees."""

    @abstractmethod
    def walk(self, hand: Hand, level: Int[Tensor, " b"], size: tuple[int, ...], context: Mapping[str, Tensor]) -> Symbols:
        """Ask ``hand`` for z, then for y given z, group by group: the only place that knows the order of the symbols.

        ``context``: what an earlier walk over the same symbols left in theirs, or nothing.
        """

    @abstractmethod
    def groups(self, y: Float[Tensor, "b m h w"]) -> dict[str, Float[Tensor, "..."]]:
        """A lattice of the size of y as the groups, by name, in which :meth:`walk` asks for it."""

    @abstractmethod
    def y_hat(self, symbols: Symbols) -> Float[Tensor, "b m h w"]:
        """The latents that ``symbols`` with their context stand for."""

    def freeze_nets(self, pictures: Batches, qualities: Sequence[float]) -> None:
        """Make the integer nets from the trained ones; ranges of activations are those of ``pictures`` at ``qualities``."""
        samples = [self.typical(x, quality).z_hat for x in pictures for quality in qualities]
        self.exact.freeze(self.h_s, samples, self.gain_y, self.gain_z, self.scale_y, self.scale_z)

    # --- training

    def forward(self, x: Pixels, *, quality: Float[Tensor, " b"] | None = None) -> Output:
        """Terms of each item: ``mse`` (RGB in [0, 1]), ``bpp`` and, within it, ``bpp_side`` of the hyper latents.

        Training mode: differentiable, with the rounding of the current phase. Eval mode: what the codec writes.
        """
        if not self.training:
            return self._measured(x, quality)
        q = qualities_of(quality, x)
        y = self._latents(x, q)
        gain_z = torch.exp2(self.gain_z(q))[..., None, None]
        z = self.h_a(y) * gain_z
        scale_z = torch.exp2(self.scale_z(q))[..., None, None].expand_as(z)
        bits_z = laplace_bits(self.rounding.for_rate(z), scale_z)
        log2_gain = self.gain_y(q)[..., None, None]
        gain = torch.exp2(log2_gain)
        features = self.h_s.features(self.rounding.for_decoder(z) / gain_z)[..., : y.shape[2], : y.shape[3]]
        known = self.expect(features, y, q, gain)
        scale = torch.exp2((known.scale + log2_gain + self.scale_y(q)[..., None, None]).clamp(-8, 12))
        bits_y = laplace_bits(self.rounding.for_rate((y - known.mean) * gain), scale)
        pixels = self.g_s(known.y_hat, self.gain_s(q))[..., : x.shape[2], : x.shape[3]] + 0.5
        return _output(x, pixels, bits_y + bits_z, bits_z)

    def _latents(self, x: Pixels, q: Float[Tensor, " b"]) -> Float[Tensor, "b m h w"]:
        return self.g_a(padded(x, self.stride) - 0.5, self.gain_a(q))

    def freeze(self, pictures: Iterable[Pixels]) -> None:
        """Make the exact tables and integer nets from the trained ones.

        ``pictures`` are typical ones, batches of any size: ranges of activations are read from them at several rates, then
        the code tables are fitted to their symbols.
        """
        pictures = _batches(pictures)
        with torch.inference_mode():
            self.freeze_nets(pictures, _FREEZE_QUALITIES)
        self._fit(pictures)

    def polish(self, pictures: Iterable[Pixels]) -> None:
        """Tune the encoder's rounding of a frozen model, then fit the code tables to what it chooses now."""
        pictures = _batches(pictures)
        thrift.tune(self, self.exact.tables, pictures)
        self._fit(pictures)

    def _fit(self, pictures: Batches) -> None:
        with torch.inference_mode():
            self.exact.tables.fit({level: np.sum([self._seen(x, level) for x in pictures], 0) for level in _FIT_LEVELS})

    def _seen(self, x: Pixels, level: int) -> Int[np.ndarray, " n"]:
        symbols = self.symbols(x, level / (LEVELS - 1))
        tally = Tally(self.exact.tables.coding(level), symbols.values)
        self.walk(tally, symbols.level, symbols.size, symbols.context)
        return tally.seen

    def typical(self, x: Pixels, quality: float) -> Typical:
        """What the nets that are made exact see of pictures."""
        q = torch.full((x.shape[0],), quality, device=x.device)
        gain = torch.exp2(self.gain_z(q))[..., None, None]
        y = self._latents(x, q)
        return Typical(quality=q, y=y, z_hat=(self.h_a(y) * gain).round() / gain)

    # --- the codec

    def symbols(self, x: Pixels, quality: float | Float[Tensor, " b"] | None = None) -> Symbols:
        """What will be written, for pictures in [0, 1] and a quality in [0, 1] (one for all, or one each)."""
        level = level_of(qualities_of(quality, x))
        return self.settle(self.analyse(x, level), level, (x.shape[2], x.shape[3]))

    def analyse(self, x: Pixels, level: Int[Tensor, " b"]) -> Float[Tensor, "b m h w"]:
        """The latents y."""
        with self.numerics.transforms(x.device):
            return self._latents(x, level.float() / (LEVELS - 1))

    def settle(self, y: Float[Tensor, "b m h w"], level: Int[Tensor, " b"], size: tuple[int, int]) -> Symbols:
        """The symbols of latents of pictures of ``size``."""
        with self.numerics.transforms(y.device):
            z = self.h_a(y)
        latents = {SIDE: z * self.exact.gain_of_z(level), **self.groups(y * self.exact.gain(level))}
        return self.walk(Rounder(self.exact.tables, level, latents, plain=SIDE), level, size, {})

    def write(self, symbols: Symbols) -> list[bytes]:
        """One payload an item: the level as u16, then the entropy coder's words."""
        return [self._write(symbols[i : i + 1]) for i in range(len(symbols))]

    def _write(self, one: Symbols) -> bytes:
        writer = Writer(self.exact.tables.coding(int(one.level)), one.values)
        self.walk(writer, one.level, one.size, one.context)
        return _LEVEL.pack(int(one.level)) + writer.bytes()

    def read(self, data: Sequence[bytes], size: tuple[int, ...]) -> Symbols:
        """The symbols of payloads of pictures of ``size`` (h, w). Raises CorruptFile."""
        return Symbols.join([self._read(payload, size) for payload in data])

    def check(self, payload: bytes, size: tuple[int, ...]) -> None:
        """Raise CorruptFile if ``payload`` is too short for a picture of ``size``: it must at least hold z."""
        reader, level = self._opened(payload)
        reader.take(SIDE, self.exact.index_z(level, self.grids(size)[1]), 0.0)

    def _read(self, payload: bytes, size: tuple[int, ...]) -> Symbols:
        reader, level = self._opened(payload)
        symbols = self.walk(reader, level, size, {})
        reader.finish()
        return symbols

    def _opened(self, payload: bytes) -> tuple[Reader, Int[Tensor, " 1"]]:
        """A reader of the entropy coder's words, and the level before them."""
        if len(payload) < _LEVEL.size:
            raise CorruptFile(f"a payload of {len(payload)} bytes is too short to hold its quality level")
        (level,) = _LEVEL.unpack_from(payload)
        if level >= LEVELS:
            raise CorruptFile(f"quality level {level} does not exist; the last is {LEVELS - 1}")
        return Reader(self.exact.tables.coding(level), payload[_LEVEL.size :]), torch.tensor([level], device=self.exact.index_unit.device)

    def restore(self, symbols: Symbols) -> Float[Tensor, "b m h w"]:
        """The latents as the decoder has them, whether or not the symbols come with their context."""
        if not symbols.context:
            symbols = self.walk(Holder(symbols.values), symbols.level, symbols.size, {})
        return self.y_hat(symbols)

    def render(self, y_hat: Float[Tensor, "b m h w"], level: Int[Tensor, " b"]) -> Float[Tensor, "b 3 h16 w16"]:
        """Pixels of latents, not clamped."""
        with self.numerics.transforms(y_hat.device):
            return self.g_s(y_hat, self.gain_s(level.float() / (LEVELS - 1))).add_(0.5)

    def synthesise(self, symbols: Symbols) -> Pixels:
        """Pictures in [0, 1] of the size that was encoded."""
        x = self.render(self.restore(symbols), symbols.level)
        return x[..., : symbols.size[0], : symbols.size[1]].clamp(0, 1)

    def estimate(self, symbols: Symbols) -> Float[Tensor, " b"]:
        """Ideal bits of each payload: code lengths of its symbols under the tables, and its level."""
        return torch.tensor([self._estimate(symbols[i : i + 1])["all"] for i in range(len(symbols))], dtype=torch.float64)

    def _estimate(self, one: Symbols) -> dict[str, float]:
        meter = Meter(self.exact.tables.coding(int(one.level)), one.values)
        self.walk(meter, one.level, one.size, one.context)
        return {**meter.bits, "all": sum(meter.bits.values()) + 8 * _LEVEL.size}

    def _measured(self, x: Pixels, quality: Float[Tensor, " b"] | None) -> Output:
        symbols = self.symbols(x, quality)
        bits = [self._estimate(symbols[i : i + 1]) for i in range(len(symbols))]
        total, side = (torch.tensor([b[name] for b in bits], dtype=torch.float32, device=x.device) for name in ("all", SIDE))
        return _output(x, self.synthesise(symbols), total, side)

    def grids(self, size: tuple[int, ...]) -> tuple[Grid, Grid]:
        """Heights and widths of y and z for pictures of ``size``."""
        per = self.stride // STRIDE
        y = (per * -(-size[0] // self.stride), per * -(-size[1] // self.stride))
        return y, (-(-y[0] // HYPER_STRIDE), -(-y[1] // HYPER_STRIDE))


def _batches(pictures: Iterable[Float[Tensor, "_ 3 _ _"]]) -> Batches:
    """Pictures of one size together, a few at a time."""
    sizes: dict[torch.Size, list[Tensor]] = {}
    for x in pictures:
        sizes.setdefault(x.shape[2:], []).append(x)
    return [torch.cat(same[i : i + _BATCH]) for same in sizes.values() for i in range(0, len(same), _BATCH)]


def level_of(q: Float[Tensor, " b"]) -> Int[Tensor, " b"]:
    """Integer levels of qualities."""
    return (q.double() * (LEVELS - 1)).round().long()


def _output(x: Pixels, pixels: Pixels, bits: Float[Tensor, " b"], side: Float[Tensor, " b"]) -> Output:
    area = x.shape[2] * x.shape[3]
    mse = (pixels - x).square().flatten(1).mean(1)
    return Output(pixels=pixels, terms={"mse": mse, "bpp": bits / area, "bpp_side": side / area})

"""A variable-rate mean-scale hyperprior: one set of weights for every quality.

    x ── g_a ──> y ──────────── x gain ── round(. - mean) ──> s ══ bits ══> s + mean ── / gain ──> y_hat ── g_s ──> x_hat
                 │                              ↑ mean, scale                ↑
                h_a ──> z ── x gain ── round ══ bits ══> z_hat ── / gain ── h_s (exact integers)

Every place where the rate enters is a gain that follows ``quality``: on y and z (the quantisation step), on the features
of g_a and g_s, and on the scales of y and z. ``h_s`` sees values without gain, so its predictions hold for all rates: the
mean is multiplied by the gain of y, the scale likewise and by a learned factor.

h_s decides the code tables, so after training it is carried over into exact integer arithmetic (``freeze``), and with it
all gains: encoder and decoder agree to the bit on any machine. g_a and g_s may run in any precision.

Sources: the mean-scale hyperprior of Minnen et al., "Joint autoregressive and hierarchical priors for learned image
compression", NeurIPS 2018; interpolated gains of Cui et al., CVPR 2021. Transforms: :mod:`tokodec.nn.lowres`.
"""

import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from tokodec.api import Codec, Output, Pixels, Symbols
from tokodec.entropy import thrift
from tokodec.entropy.coder import Hand, Holder, Meter, Reader, Tally, Writer
from tokodec.entropy.fixed import LEVELS
from tokodec.entropy.hyper import ExactHyper, Parameters
from tokodec.entropy.laplace import laplace_bits
from tokodec.entropy.rounder import Rounder
from tokodec.entropy.rounding import Rounded
from tokodec.entropy.scaletables import BANDS
from tokodec.entry import Entry, Weights
from tokodec.errors import CorruptFile, InputError
from tokodec.nn.chain import ConvChain, Link
from tokodec.nn.gain import Gain
from tokodec.nn.lowres import STRIDE, LowResAnalysis, LowResSynthesis
from tokodec.nn.pad import padded

_HYPER_STRIDE = 4
_LEVEL = struct.Struct("<H")
_FREEZE_QUALITIES = (0.0, 0.25, 0.5, 0.75, 1.0)
_FIT_LEVELS = tuple((2 * i + 1) * LEVELS // (4 * BANDS) for i in range(2 * BANDS))  # two in each band


@dataclass(frozen=True, kw_only=True)
class HyperpriorVRConfig:
    """Widths and depths. ``N``: features at 1/8. ``W``: features at 1/16. ``M``: latents y. ``H``: hyper features. ``Z``: latents z."""

    N: int = 128
    W: int = 192
    M: int = 320
    H: int = 128
    Z: int = 64
    blocks8: int = 2
    blocks16: int = 2
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
        h = F.leaky_relu(self.head(padded(y, _HYPER_STRIDE)), 0.1)
        h = F.leaky_relu(self.down2(F.leaky_relu(self.down1(h), 0.1)), 0.1)
        return self.tail(h).float()


class HyperpriorVR(Rounded, Codec):
    """See the module's docstring. Freshly made or trained it can train; ``freeze`` makes it a codec."""

    stride = STRIDE

    def __init__(self, config: HyperpriorVRConfig) -> None:
        super().__init__()
        self.config = c = config
        self.g_a = LowResAnalysis(c.N, c.W, c.M, c.blocks8, c.blocks16)
        self.g_s = LowResSynthesis(c.N, c.W, c.M, c.blocks8, c.blocks16)
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
        last = self.h_s.convs[-1]
        assert isinstance(last.bias, Tensor)
        last.bias.data[c.M :] = -2
        self.exact = ExactHyper(self.h_s, rows=c.rows, M=c.M, Z=c.Z)

    # --- training

    def forward(self, x: Pixels, *, quality: Float[Tensor, " b"] | None = None) -> Output:
        """Terms of each item: ``mse`` (RGB in [0, 1]), ``bpp`` and, within it, ``bpp_side`` of the hyper latents.

        Training mode: differentiable, with the rounding of the current phase. Eval mode: what the codec writes.
        """
        if not self.training:
            return self._measured(x, quality)
        q = _qualities(quality, x)
        y = self.g_a(padded(x, STRIDE) - 0.5, self.gain_a(q))
        gain_z = torch.exp2(self.gain_z(q))[..., None, None]
        z = self.h_a(y) * gain_z
        scale_z = torch.exp2(self.scale_z(q))[..., None, None].expand_as(z)
        bits_z = laplace_bits(self.rounding.for_rate(z), scale_z)
        prior = self.h_s(self.rounding.for_decoder(z) / gain_z).float()[..., : y.shape[2], : y.shape[3]]
        mean, log2_scale = prior.chunk(2, 1)
        log2_gain = self.gain_y(q)[..., None, None]
        gain = torch.exp2(log2_gain)
        scale = torch.exp2((log2_scale + log2_gain + self.scale_y(q)[..., None, None]).clamp(-8, 12))
        v = (y - mean) * gain
        bits_y = laplace_bits(self.rounding.for_rate(v), scale)
        y_hat = self.rounding.for_decoder(v) / gain + mean
        pixels = self.g_s(y_hat, self.gain_s(q))[..., : x.shape[2], : x.shape[3]] + 0.5
        return _output(x, pixels, bits_y + bits_z, bits_z)

    def freeze(self, pictures: Iterable[Pixels]) -> None:
        """Make the exact tables and integer nets from the trained ones.

        ``pictures`` are typical ones, batches of any size: ranges of activations are read from them at several rates, then
        the code tables are fitted to their symbols.
        """
        pictures = list(pictures)
        with torch.inference_mode():
            samples = [self._rounded_z(x, quality) for x in pictures for quality in _FREEZE_QUALITIES]
            self.exact.freeze(self.h_s, samples, self.gain_y, self.gain_z, self.scale_y, self.scale_z)
        self._fit(pictures)

    def polish(self, pictures: Iterable[Pixels]) -> None:
        """Tune the encoder's rounding of a frozen model, then fit the code tables to what it chooses now."""
        pictures = list(pictures)
        thrift.tune(self, self.exact.tables, pictures)
        self._fit(pictures)

    def _fit(self, pictures: Sequence[Pixels]) -> None:
        with torch.inference_mode():
            self.exact.tables.fit({level: np.sum([self._seen(x, level) for x in pictures], 0) for level in _FIT_LEVELS})

    def _seen(self, x: Pixels, level: int) -> Int[np.ndarray, " n"]:
        symbols = self.symbols(x, level / (LEVELS - 1))
        tally = Tally(self.exact.tables.coding(level), symbols.values)
        self._walk(tally, symbols.level, symbols.size, symbols.context)
        return tally.seen

    def _rounded_z(self, x: Pixels, quality: float) -> Float[Tensor, "b z h w"]:
        q = torch.full((x.shape[0],), quality, device=x.device)
        gain = torch.exp2(self.gain_z(q))[..., None, None]
        return (self.h_a(self.g_a(padded(x, STRIDE) - 0.5, self.gain_a(q))) * gain).round() / gain

    # --- the codec

    def symbols(self, x: Pixels, quality: float | Float[Tensor, " b"] | None = None) -> Symbols:
        """What will be written, for pictures in [0, 1] and a quality in [0, 1] (one for all, or one each)."""
        level = (_qualities(quality, x).double() * (LEVELS - 1)).round().long()
        with self.numerics.transforms(x.device):
            y = self.g_a(padded(x, STRIDE) - 0.5, self.gain_a(level.float() / (LEVELS - 1)))
            z = self.h_a(y)
        latents = {"z": z * self.exact.gain_of_z(level), "y": y * self.exact.gain(level)}
        return self._walk(Rounder(self.exact.tables, level, latents, thrifty="y"), level, (x.shape[2], x.shape[3]))

    def write(self, symbols: Symbols) -> list[bytes]:
        """One payload an item: the level as u16, then the entropy coder's words."""
        return [self._write(symbols[i : i + 1]) for i in range(len(symbols))]

    def _write(self, one: Symbols) -> bytes:
        writer = Writer(self.exact.tables.coding(int(one.level)), one.values)
        self._walk(writer, one.level, one.size, one.context)
        return _LEVEL.pack(int(one.level)) + writer.bytes()

    def read(self, data: Sequence[bytes], size: tuple[int, ...]) -> Symbols:
        """The symbols of payloads of pictures of ``size`` (h, w). Raises CorruptFile."""
        return Symbols.join([self._read(payload, size) for payload in data])

    def check(self, payload: bytes, size: tuple[int, ...]) -> None:
        """Raise CorruptFile if ``payload`` is too short for a picture of ``size``: it must at least hold z."""
        reader, level = self._opened(payload)
        reader.take("z", self.exact.index_z(level, _grids(size)[1]), 0.0)

    def _read(self, payload: bytes, size: tuple[int, ...]) -> Symbols:
        reader, level = self._opened(payload)
        symbols = self._walk(reader, level, size)
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

    def synthesise(self, symbols: Symbols) -> Pixels:
        """Pictures in [0, 1] of the size that was encoded."""
        if not symbols.context:
            symbols = self._walk(Holder(symbols.values), symbols.level, symbols.size)
        y_hat = (symbols.values["y"] + symbols.context["mean"]) / self.exact.gain(symbols.level)
        with self.numerics.transforms(y_hat.device):
            x = self.g_s(y_hat, self.gain_s(symbols.level.float() / (LEVELS - 1)))
        return (x[..., : symbols.size[0], : symbols.size[1]] + 0.5).clamp(0, 1)

    def estimate(self, symbols: Symbols) -> Float[Tensor, " b"]:
        """Ideal bits of each payload: code lengths of its symbols under the tables, and its level."""
        return torch.tensor([self._estimate(symbols[i : i + 1])["all"] for i in range(len(symbols))], dtype=torch.float64)

    def _estimate(self, one: Symbols) -> dict[str, float]:
        meter = Meter(self.exact.tables.coding(int(one.level)), one.values)
        self._walk(meter, one.level, one.size, one.context)
        return {**meter.bits, "all": sum(meter.bits.values()) + 8 * _LEVEL.size}

    def _walk(self, hand: Hand, level: Int[Tensor, " b"], size: tuple[int, ...], context: Mapping[str, Tensor] | None = None) -> Symbols:
        """Ask ``hand`` for z, then for y given z: the only place that knows the order of the symbols."""
        grid, grid_z = _grids(size)
        z = hand.take("z", self.exact.index_z(level, grid_z), 0.0)
        p = Parameters(**context) if context else self.exact.predict(z, level, grid, hand.expect)
        y = hand.take("y", p.index, p.mean)
        return Symbols(values={"z": z, "y": y}, level=level, size=size, context={"mean": p.mean, "index": p.index})

    def _measured(self, x: Pixels, quality: Float[Tensor, " b"] | None) -> Output:
        symbols = self.symbols(x, quality)
        bits = [self._estimate(symbols[i : i + 1]) for i in range(len(symbols))]
        total, side = (torch.tensor([b[name] for b in bits], dtype=torch.float32, device=x.device) for name in ("all", "z"))
        return _output(x, self.synthesise(symbols), total, side)


def _grids(size: tuple[int, ...]) -> tuple[tuple[int, int], tuple[int, int]]:
    """Heights and widths of y and z for pictures of ``size``."""
    y = (-(-size[0] // STRIDE), -(-size[1] // STRIDE))
    return y, (-(-y[0] // _HYPER_STRIDE), -(-y[1] // _HYPER_STRIDE))


def _output(x: Pixels, pixels: Pixels, bits: Float[Tensor, " b"], side: Float[Tensor, " b"]) -> Output:
    area = x.shape[2] * x.shape[3]
    mse = (pixels - x).square().flatten(1).mean(1)
    return Output(pixels=pixels, terms={"mse": mse, "bpp": bits / area, "bpp_side": side / area})


def _qualities(quality: float | Float[Tensor, " b"] | None, x: Pixels) -> Float[Tensor, " b"]:
    if quality is None:
        raise InputError("this model has a variable rate: give a quality in [0, 1]")
    q = torch.as_tensor(quality, dtype=torch.float32, device=x.device).expand(x.shape[0])
    if not bool(((q >= 0) & (q <= 1)).all()):
        raise InputError(f"quality {quality} is not in [0, 1]")
    return q


MODELS = {
    "hyperprior_vr.v1": Entry(
        build=HyperpriorVR,
        config=HyperpriorVRConfig(),
        family="hyperprior_vr",
        weights=Weights(file="hyperprior_vr.v1.safetensors"),
        variable_rate=True,
    ),
    "hyperprior_vr.v2": Entry(
        build=HyperpriorVR,
        config=HyperpriorVRConfig(),
        family="hyperprior_vr",
        weights=Weights(file="hyperprior_vr.v2.safetensors"),
        variable_rate=True,
    ),
    "hyperprior_vr_test": Entry(
        build=HyperpriorVR,
        config=HyperpriorVRConfig(N=8, W=12, M=24, H=8, Z=8, blocks8=1, blocks16=1, rows=4),
        family="hyperprior_vr",
        weights=Weights(file="hyperprior_vr_test.safetensors"),
        variable_rate=True,
    ),
}

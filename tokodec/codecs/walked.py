"""What the published learned codecs have in common: transforms around latents whose probabilities are computed in float64.

    x ── g_a ──> y ── round ══ bits ══> y_hat ── g_s ──> x_hat
                 │      ↑ Gaussians          ↑
                h_a ──> z ── round ══ bits ══> z_hat ── h_s (float64) ── conditional (float64)

What decides code tables is computed in float64 under every numerics profile, so files decode on any machine, thread count,
batch or layout: see :mod:`tokodec.entropy.roles`. g_a, h_a and g_s may run in any precision.
"""

import copy
from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import torch
from jaxtyping import Float, Int, Integer
from torch import Tensor, nn

from tokodec.api import Codec, Output, Pixels, Symbols
from tokodec.entropy.coder import Reader, Writer
from tokodec.entropy.codetables import CodeTables
from tokodec.entropy.codingtables import CodingTables
from tokodec.entropy.part import Grid, Part, lattice_of, rows_of
from tokodec.entropy.path import Path
from tokodec.entropy.roles import Decoder, Encoder, Exact, Learner, Rebuilder, density_index
from tokodec.entropy.rounding import Noise, Rounded
from tokodec.errors import CorruptFile, InputError
from tokodec.nn.pad import padded
from tokodec.nn.version import version

STRIDE = 16
_NUDGES = 256

Rows = Mapping[str, Integer[Tensor, "1 hw c"]]


class WalkedCodec(Rounded, Codec):
    """See the module's docstring. The same walk (``path``) trains, writes and reads.

    ``Symbols.level`` of an item is what its payload begins with, ``level_bytes`` bytes, lowest first: how often its scales were
    nudged, until none was too close to a border between tables, and above these eight bits what else was chosen for it.
    """

    stored = torch.float32
    stride = STRIDE
    bytes_per_pixel = 700
    level_bytes = 1

    def __init__(self, g_a: nn.Module, g_s: nn.Module, path: Path) -> None:
        super().__init__()
        self.g_a, self.g_s, self.path = g_a, g_s, path
        self.rounding = Noise()  # as published; latents of fresh models are too small for anything else
        self.tables = CodeTables(path.gaussians.count + path.density.rows)
        self._twin: tuple[object, Path] | None = None  # in a tuple, so that it is no part of the module

    # --- what differs from codec to codec

    @abstractmethod
    def chosen(self, x: Pixels, quality: float | Float[Tensor, " b"] | None) -> Int[Tensor, " b"]:
        """The level of each item before any nudge. Raises InputError for a quality that cannot be had."""

    @abstractmethod
    def analysed(self, x: Float[Tensor, "b 3 h w"], level: Int[Tensor, " b"]) -> dict[str, Float[Tensor, "b c h2 w2"]]:
        """The latents by name; sides of ``x`` are multiples of 16."""

    @abstractmethod
    def synthesised(self, y_hat: Float[Tensor, "b c h w"], level: Int[Tensor, " b"]) -> Float[Tensor, "b 3 h16 w16"]:
        """The pictures, not clamped."""

    @abstractmethod
    def coding(self, level: int) -> CodingTables:
        """The tables of a level: those of Gaussians, then one for each channel of the first lattice. Raises CorruptFile for no level."""

    def learner(self, latents: Mapping[str, Float[Tensor, "b c h w"]], level: Int[Tensor, " b"]) -> Learner:
        """Who walks in training."""
        return Learner(latents, self.rounding)

    def encoder(self, latents: Mapping[str, Float[Tensor, "b c h w"]], level: Int[Tensor, " b"]) -> Encoder:
        """Who rounds."""
        return Encoder(self.path.gaussians, _nudges(level), latents)

    # --- training

    def forward(self, x: Pixels, *, quality: Float[Tensor, " b"] | None = None) -> Output:
        """Terms of each item: ``mse`` (RGB in [0, 1]), ``bpp``, and within it ``bpp_side`` of the hyper latents, if there are any.

        Training mode: differentiable, with the rounding of the current phase. Eval mode: what the codec writes.
        """
        if not self.training:
            return self._measured(x, quality)
        level = self.chosen(x, quality)
        latents = {name: v.float() for name, v in self.analysed(padded(x, STRIDE), level).items()}
        role = self.learner(latents, level)
        y_hat = self.path(role, _grid(x.shape[2:]))
        pixels = self.synthesised(y_hat, level).float()[..., : x.shape[2], : x.shape[3]]
        return _output(x, pixels, role.bits)

    def freeze(self, pictures: Iterable[Pixels]) -> None:
        """Make the code tables. They follow from the weights alone."""
        self.tables.fill(self.path.tables())

    # --- the path in float64

    @property
    def exact(self) -> Path:
        """The path in float64, made on first use, and again when its weights have changed."""
        now = tuple(version(p) for p in self.path.parameters())
        if self._twin is None or self._twin[0] != now:
            with torch.inference_mode(mode=False), torch.no_grad():
                self._twin = (now, copy.deepcopy(self.path).double().requires_grad_(requires_grad=False))
        return self._twin[1]

    # --- the codec

    def symbols(self, x: Pixels, quality: float | Float[Tensor, " b"] | None = None) -> Symbols:
        """What will be written, for pictures in [0, 1]. Raises InputError for a quality that cannot be had."""
        level = self.chosen(x, quality)
        with self.numerics.transforms(x.device):
            latents = self.analysed(padded(x, STRIDE), level)
        exactly = {name: v.double() for name, v in latents.items()}
        for _ in range(_NUDGES):
            role = self.encoder(exactly, level)
            symbols = self._walked(role, level, (x.shape[2], x.shape[3]))
            if not bool(role.close.any()):
                return symbols
            level = level + role.close
        raise InputError(f"{self.name} finds no code tables for this picture: the weights or the pixels cannot be right")

    @torch.no_grad()
    def _walked(self, role: Exact, level: Int[Tensor, " b"], size: tuple[int, int]) -> Symbols:
        grid = _grid(size)
        y_hat = self.exact(role, grid)
        grids = {**dict.fromkeys(role.symbols, grid), next(iter(role.symbols)): self.path.first(grid)}
        values = {name: lattice_of(rows, grids[name]) for name, rows in role.symbols.items()}
        context = {name: lattice_of(rows, grids[name]) for name, rows in role.index.items() if rows.dtype == torch.uint8}
        return Symbols(values=values, level=level, size=size, context={**context, "y_hat": y_hat.float()})

    def _whole(self, symbols: Symbols) -> Symbols:
        """With what follows from them."""
        if symbols.context:
            return symbols
        size = (symbols.size[0], symbols.size[1])
        return self._walked(Rebuilder(self.path.gaussians, _nudges(symbols.level), symbols.values), symbols.level, size)

    def write(self, symbols: Symbols) -> list[bytes]:
        """One payload an item: its level, then the entropy coder's words."""
        symbols = self._whole(symbols)
        return [self._write(symbols[i : i + 1]) for i in range(len(symbols))]

    def _write(self, one: Symbols) -> bytes:
        writer = Writer(self.coding(int(one.level)), {})
        for index, values in self._groups(one):
            writer.write(index, values)
        return int(one.level).to_bytes(self.level_bytes, "little") + writer.bytes()

    def _groups(self, one: Symbols) -> Iterable[tuple[np.ndarray, np.ndarray]]:
        """Tables and values of every group in coding order."""
        values = {name: rows_of(v).cpu() for name, v in one.values.items()}
        index: Rows = {name: rows_of(one.context[name]).cpu() if name in one.context else self._first_index(one.size) for name in values}
        for name, part in self.path.parts(_grid(one.size), torch.device("cpu")):
            yield _flat(part, index[name]), _flat(part, values[name])

    def _first_index(self, size: Sequence[int]) -> Integer[Tensor, "1 hw c"]:
        return density_index(self.path.gaussians.count, self.path.density.channels, self.path.first(_grid(size)), 1)

    def read(self, data: Sequence[bytes], size: tuple[int, ...]) -> Symbols:
        """The symbols of payloads of pictures of ``size`` (h, w). Raises CorruptFile."""
        return Symbols.join([self._read(payload, (size[0], size[1])) for payload in data])

    def check(self, payload: bytes, size: tuple[int, ...]) -> None:
        """Raise CorruptFile if ``payload`` is too short for a picture of ``size``: it must at least hold the first lattice."""
        reader, _ = self._opened(payload)
        first, channels = self.path.gaussians.count, self.path.density.channels
        height, width = self.path.first(_grid(size))
        counts = np.zeros(first + channels, np.int64)
        counts[first : first + channels] = height * width
        reader.expect_occurrences(counts)

    def _read(self, payload: bytes, size: tuple[int, int]) -> Symbols:
        reader, level = self._opened(payload)
        symbols = self._walked(Decoder(self.path.gaussians, _nudges(level), reader), level, size)
        reader.finish()
        return symbols

    def _opened(self, payload: bytes) -> tuple[Reader, Int[Tensor, " 1"]]:
        if len(payload) < self.level_bytes:
            raise CorruptFile(f"a payload of {len(payload)} bytes does not say how often its scales were nudged, and what else was chosen")
        level = int.from_bytes(payload[: self.level_bytes], "little")
        device = next(self.parameters()).device
        return Reader(self.coding(level), payload[self.level_bytes :]), torch.tensor([level], device=device)

    def synthesise(self, symbols: Symbols) -> Pixels:
        """Pictures in [0, 1] of the size that was encoded."""
        y_hat = self._whole(symbols).context["y_hat"]
        with self.numerics.transforms(y_hat.device):
            x = self.synthesised(y_hat, symbols.level).float()
        return x[..., : symbols.size[0], : symbols.size[1]].clamp(0, 1)

    def estimate(self, symbols: Symbols) -> Float[Tensor, " b"]:
        """Ideal bits of each payload: code lengths of its symbols under the tables, and its level."""
        bits = [8 * self.level_bytes + sum(self._bits(symbols[i : i + 1])) for i in range(len(symbols))]
        return torch.tensor(bits, dtype=torch.float64)

    def _bits(self, one: Symbols) -> list[float]:
        """Of every group."""
        coding = self.coding(int(one.level))
        return [float(coding.bits(index, values).sum()) for index, values in self._groups(self._whole(one))]

    def _measured(self, x: Pixels, quality: Float[Tensor, " b"] | None) -> Output:
        symbols = self.symbols(x, quality)
        bits = [self._bits(symbols[i : i + 1]) for i in range(len(symbols))]
        total = torch.tensor([8 * self.level_bytes + sum(b) for b in bits], device=x.device)
        side = {"z": torch.tensor([b[0] for b in bits], device=x.device)} if len(symbols.values) > 1 else {}
        return _output(x, self.synthesise(symbols), {"y": total - sum(side.values()), **side})


def _nudges(level: Int[Tensor, " b"]) -> Int[Tensor, " b"]:
    return level % _NUDGES


def _flat(part: Part, rows: Integer[Tensor, "1 hw c"]) -> np.ndarray:
    return part.cut(rows).flatten().numpy()


def _grid(size: Sequence[int]) -> Grid:
    return -(-size[0] // STRIDE), -(-size[1] // STRIDE)


def _output(x: Pixels, pixels: Pixels, bits: Mapping[str, Float[Tensor, " b"]]) -> Output:
    area = x.shape[2] * x.shape[3]
    terms = {"mse": (pixels - x).square().flatten(1).mean(1), "bpp": torch.stack([*bits.values()]).sum(0) / area}
    return Output(pixels=pixels, terms=terms | ({"bpp_side": bits["z"] / area} if "z" in bits else {}))

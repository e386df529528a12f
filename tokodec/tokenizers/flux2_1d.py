"""The 1D tokenizer of FLUX.2's latents: a row of 1,024 ids whatever the size, of which any first ones are a latent.

    x ── patches ──┐
    queries ───────┴─ blocks ── norm ── linear ──> z (b,1024,128) ── quantizer ──> ids
    ids ── the first k ── lookup ── linear + positions ──┐
    mask vectors ────────────────────────────────────────┴─ blocks ── norm ── linear ── patches ── convolution ──> x_hat

Only places of the lattice are turned, by angles that span the same range at every size.

Source: the package flux2-tokenizer (fmorgens/flux2-1d-tokenizer-preview).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from tokodec.entry import Entry, Origin, Weights
from tokodec.errors import InputError
from tokodec.nn.conv import Conv
from tokodec.nn.mix import ThinLinear
from tokodec.nn.pad import padded
from tokodec.nn.patch import PatchEmbed, picture_by_place
from tokodec.nn.rotary import Angles, TurnedBlock, spanning
from tokodec.nn.transformer import Trunk, positions
from tokodec.quantizers.codebook import NormalisedVectorQuantizer
from tokodec.tokenizers.lattice import Picture
from tokodec.tokenizers.prefix import PrefixTokenizer
from tokodec.tokenizers.rows import Draw, Parts, Row, Seen

_SPAN = 32.0
"""Rows and columns are told from 0 to it."""
Grid = tuple[int, int]


@dataclass(frozen=True, kw_only=True)
class Flux2OneDConfig:
    """Maps of ``channels`` whose sides are multiples of ``patch`` and at most ``most``; ``side``: of those that are drawn where no size is
    said. ``width``, ``depth`` and ``heads`` of both towers; ``row`` ids of ``size`` codes of ``dim`` coordinates.
    """

    channels: int = 32
    patch: int = 2
    side: int = 32
    most: int = 96
    width: int = 512
    depth: int = 12
    heads: int = 8
    row: int = 1024
    size: int = 65536
    dim: int = 128

    @property
    def trunk(self) -> Trunk:
        """Of a tower."""
        return Trunk(width=self.width, depth=self.depth, heads=self.heads, hidden=4 * self.width)


class Tower(nn.Module):
    """The blocks of both, with the normalisation behind them."""

    def __init__(self, trunk: Trunk) -> None:
        super().__init__()
        self.head = trunk.width // trunk.heads
        self.blocks = nn.ModuleList(TurnedBlock(trunk) for _ in range(trunk.depth))
        self.norm_out = nn.LayerNorm(trunk.width, eps=trunk.eps)

    def angles(self, grid: Grid, device: torch.device) -> Angles:
        """Of the places of a lattice."""
        return spanning(grid, self.head, _SPAN).to(device)

    def run(self, h: Float[Tensor, "b n c"], angles: Angles, seen: Bool[Tensor, "b n"] | None = None) -> Float[Tensor, "b n c"]:
        """Through all blocks."""
        for block in self.blocks:
            h = block(h, angles, seen)
        return self.norm_out(h)


class RowEncoder(Tower):
    """Maps to a row."""

    def __init__(self, config: Flux2OneDConfig) -> None:
        super().__init__(config.trunk)
        self.embed = PatchEmbed(config.channels, config.width, config.patch)
        self.queries = positions(config.row, config.width)
        self.leave = ThinLinear(config.width, config.dim)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Row:
        return self.leave(self.features(x))

    def features(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b n c2"]:
        """Of the queries."""
        side = self.embed.kernel_size[0]
        angles = F.pad(self.angles((x.shape[2] // side, x.shape[3] // side), x.device), (0, 0, 0, len(self.queries)))
        h = torch.cat([self.embed(x), self.queries.expand(len(x), -1, -1)], 1)
        return self.run(h, angles)[:, -len(self.queries) :]


class MapDecoder(Tower):
    """A row of at most as many vectors as there are positions to a map."""

    def __init__(self, config: Flux2OneDConfig) -> None:
        super().__init__(config.trunk)
        self.patch = config.patch
        self.enter = ThinLinear(config.dim, config.width)
        self.positions = positions(config.row, config.width)
        self.mask = positions(1, config.width)
        self.leave = ThinLinear(config.width, config.channels * config.patch**2)
        self.smooth = Conv(config.channels, config.channels, 3, padding=1)

    def forward(self, z: Row, grid: Grid, seen: Seen | None = None) -> Parts:
        """``grid``: rows and columns of patches. ``seen``: which vectors there are, where rows of several lengths stand together."""
        row, places = z.shape[1], grid[0] * grid[1]
        h = torch.cat([self.enter(z) + self.positions[:row], self.mask.expand(len(z), places, -1)], 1)
        keys = None if seen is None else F.pad(seen, (0, places), value=True)
        h = self.run(h, F.pad(self.angles(grid, z.device), (0, 0, row, 0)), keys)
        return self.smooth(picture_by_place(self.leave(h[:, row:]), self.patch, grid))


class Flux2OneD(PrefixTokenizer):
    """Of pictures themselves. Any size up to the largest: maps are filled up by replication to a multiple of the patch."""

    bytes_per_pixel = 200
    stored = torch.float32

    def __init__(self, config: Flux2OneDConfig) -> None:
        super().__init__()
        self.config, self.stride, self.row = config, config.patch, config.row
        self.encoder = RowEncoder(config)
        self.quantizer = NormalisedVectorQuantizer(config.size, config.dim)
        self.decoder = MapDecoder(config)

    def to_native(self, x: Picture) -> Picture:
        return x * 2 - 1

    def from_native(self, x: Picture) -> Picture:
        return (x + 1) / 2

    def cut(self, x: Picture) -> Parts:
        """Whole maps, filled up. Raises InputError for larger ones than the model knows."""
        if max(x.shape[2:]) > self.config.most:
            raise InputError(f"{self.name or 'this model'} takes sides up to {self.config.most}, not {x.shape[2]} x {x.shape[3]}")
        return padded(x, self.stride)

    def whole(self, parts: Parts, size: tuple[int, ...]) -> Picture:
        return parts[..., : size[0], : size[1]]

    def windows_of(self, size: tuple[int, ...] | torch.Size) -> int:
        """A map is one."""
        return 1

    def latents(self, x: Parts) -> Row:
        return self.encoder(x)

    def drawer(self, size: tuple[int, ...]) -> Draw:
        return partial(self.drawn, size=(size[0], size[1]))

    def drawn(self, z: Row, seen: Seen | None = None, size: tuple[int, int] | None = None) -> tuple[Parts, Mapping[str, Tensor]]:
        """Maps of ``size``, filled up."""
        high, wide = size or (self.config.side, self.config.side)
        return self.decoder(z, (-(-high // self.stride), -(-wide // self.stride)), seen), {}

    def drawn_lengths(self, items: int) -> Int[Tensor, " b"]:
        """Every length alike, for each item."""
        return torch.randint(1, self.row + 1, (items,))

    def last_layer(self) -> Tensor:
        """The weights that every gradient of a picture passes last."""
        return self.decoder.smooth.weight


class Flux2OneDLatents(Flux2OneD):
    """Of the latents of FLUX.2's autoencoder (b, 32, h / 8, w / 8), its means as they are. What comes out is not held in any range."""

    bytes_per_pixel = 22_000

    def to_native(self, x: Picture) -> Picture:
        return x

    def from_native(self, x: Picture) -> Picture:
        return x

    def bounded(self, x: Picture) -> Picture:
        return x


def _entry(decoder: str) -> Entry:
    return Entry(
        build=Flux2OneDLatents,
        config=Flux2OneDConfig(),
        family="flux2_1d",
        origin=Origin(repo="fmorgens/flux2-1d-tokenizer-preview", file=f"{decoder}.safetensors", licence="LicenseRef-unknown"),
        input="latents:32",
        variable_rate=True,
        variable_length=True,
    )


_TINY = Flux2OneDConfig(channels=3, patch=8, most=1024, width=32, depth=2, heads=2, row=6, size=64, dim=8)

MODELS = {
    "flux2_1d_base": _entry("base"),
    "flux2_1d_sharp": _entry("sharp"),
    "flux2_1d_test": Entry(
        build=Flux2OneD,
        config=_TINY,
        family="flux2_1d",
        weights=Weights(file="flux2_1d_test.safetensors"),
        variable_rate=True,
        variable_length=True,
    ),
}

"""DualToken: one vision tower, two vocabularies. Shallow layers become ids of pixels, deep ones ids of meaning.

    x ── SigLIP: layers 1 .. 4 ── .. 6 ────────────── .. 26
                  shortcut │ x 0.6  │ to_pixel         │ to_semantic
                           └──(+)───┘                  │
                               └──> z_pixel            └──> z_semantic
    z_semantic ── residual codes ──> "semantic" (h, w, k)       z_pixel ── residual codes ──> "pixel" (h, w, k)

    pixel ids ── lookup ── post_quant_pixel ── to the decoder's lattice ── post_quant_conv ── decoder ──> x_hat
    semantic ids ── lookup ── post_quant_semantic ──> features ── post_quant_tail: layer 27, norm, pool ──> pooler

Positions are learned for one size, so larger pictures are windows of that size, each on its own.

Source: Song et al., "DualToken: towards unifying visual understanding and generation with dual visual vocabularies", ICLR 2026
(Songweii/DualToken).
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from tokodec.api import Output, Pixels, Stream, Tokens
from tokodec.entry import Entry, Weights
from tokodec.errors import InputError
from tokodec.nn.mix import Mix
from tokodec.nn.projection import expansion, reduction
from tokodec.nn.siglip import Tail, Tower
from tokodec.nn.transformer import Trunk
from tokodec.nn.vqgan import Decoder, ResidualBlock, Shape
from tokodec.nn.windows import stitched, windows
from tokodec.quantizers.base import distance
from tokodec.quantizers.ema_residual import EmaResidualQuantizer
from tokodec.quantizers.split import SplitQuantizer
from tokodec.tokenizers.lattice import LatticeTokenizer, lattice, output, sequence

Places = Float[Tensor, "b n c"]
Map = Float[Tensor, "b d gh gw"]
_TOGETHER = 2
"""So many windows are decoded at a time: each takes up to half a gigabyte."""


@dataclass(frozen=True, kw_only=True)
class DualTokenConfig:
    """``side`` of a window and of a patch in pixels. Layers are counted from 1; ``depth`` of them in the tower.

    ``levels`` ids of ``size`` codes of ``dim`` coordinates, of each kind. ``decoder_grid``: side of the lattice that the decoder sees.
    """

    side: int = 256
    patch: int = 16
    width: int = 1152
    depth: int = 27
    heads: int = 16
    hidden: int = 4304
    shortcut_layer: int = 4
    shortcut_weight: float = 0.6
    pixel_layer: int = 6
    semantic_layer: int = 26
    levels: int = 4
    size: int = 16384
    dim: int = 32
    decoder_grid: int = 16
    decoder_width: int = 128
    decoder_multipliers: tuple[int, ...] = (1, 1, 4, 4, 8)
    decoder_blocks: int = 2
    decoder_groups: int = 32

    @property
    def places(self) -> int:
        """On a side of a window."""
        return self.side // self.patch

    def trunk(self, depth: int) -> Trunk:
        """``depth`` layers of the tower."""
        return Trunk(width=self.width, depth=depth, heads=self.heads, hidden=self.hidden, eps=1e-6)

    @property
    def shape(self) -> Shape:
        """Of the decoder."""
        return Shape.of(self.decoder_width, self.decoder_multipliers, self.decoder_blocks, self.decoder_groups)


class Entrance(ResidualBlock):
    """A residual block whose first convolution is 1x1."""

    def __init__(self, channels: int, width: int, groups: int) -> None:
        super().__init__(channels, width, groups)
        self.conv1 = Mix(channels, width)  # type: ignore[assignment]


class DualToken(LatticeTokenizer):
    """Two streams, ``semantic`` and ``pixel``, of ``levels`` ids a place each, coarse to fine. Only pixel ids are needed for a picture."""

    bytes_per_pixel = 500
    stored = torch.float32

    def __init__(self, config: DualTokenConfig) -> None:
        super().__init__()
        self.config, self.stride = config, config.side
        width, dim = config.width, config.dim
        self.tower = Tower(config.trunk(config.semantic_layer), config.patch, config.places)
        self.shortcut, self.to_pixel, self.to_semantic = (reduction(width, dim) for _ in range(3))
        kinds = ("semantic", "pixel")
        residual = {kind: EmaResidualQuantizer(config.size, dim, config.levels) for kind in kinds}
        self.quantizer: SplitQuantizer = SplitQuantizer(residual)  # pyright: ignore[reportIncompatibleVariableOverride]
        self.post_quant_semantic, self.post_quant_pixel = (expansion(dim, width) for _ in range(2))
        self.post_quant_tail = Tail(config.trunk(config.depth - config.semantic_layer))
        coarsest = config.shape.widths[-1]
        self.post_quant_conv = Entrance(width, coarsest, config.decoder_groups)
        self.decoder = Decoder(config.shape, coarsest)

    # --- pictures to ids

    def latents(self, x: Float[Tensor, "b 3 h w"]) -> Map:
        """Semantic coordinates, then those of pixels."""
        return self._stitched(self._read(windows(x, self.stride))[0], x)

    def _read(self, parts: Float[Tensor, "bk 3 s s"]) -> tuple[Float[Tensor, "bk n d"], Float[Tensor, "bk n c"]]:
        """Coordinates of windows, and the features that the semantic ones are of."""
        config = self.config
        shallow, middle, deep = self.tower.layers(parts, (config.shortcut_layer, config.pixel_layer, config.semantic_layer))
        pixel = self.to_pixel(middle) + config.shortcut_weight * self.shortcut(shallow)
        return torch.cat([self.to_semantic(deep), pixel], -1), deep

    def settled(self, x: Float[Tensor, "b 3 h w"]) -> Int[Tensor, "b n k"]:
        """Window by window."""
        parts = windows(x.contiguous(), self.stride)
        with self.numerics.transforms(x.device):
            ids = torch.cat([self.quantizer.ids(self._read(one.contiguous())[0]) for one in parts.split(1)])
        return sequence(self._stitched(ids, x))

    # --- ids to pictures

    def reconstruct(self, z: Map) -> Float[Tensor, "b 3 h w"]:
        parts = sequence(windows(z[:, self.config.dim :], self.config.places))
        rows, columns = (n // self.config.places * self.stride for n in z.shape[2:])
        return stitched(torch.cat([self._painted(some) for some in parts.split(_TOGETHER)]), (rows, columns))

    def _painted(self, z: Float[Tensor, "bk n d"]) -> Float[Tensor, "bk 3 s s"]:
        """Windows in [-1, 1] out of their pixel codes."""
        side, grid = self.config.places, self.config.decoder_grid
        h = lattice(self.post_quant_pixel(z), (side, side)).contiguous()
        h = h if side == grid else F.interpolate(h, size=(grid, grid), mode="bilinear", align_corners=False)
        return self.decoder(self.post_quant_conv(h))

    def last_layer(self) -> Tensor:
        """The weights that every gradient of a picture passes last: what adaptive weights of objectives are measured at."""
        return self.decoder.conv_out.weight

    # --- features

    def features(self, x: Pixels) -> dict[str, Tensor]:
        """What the ids of pictures in [0, 1] say, of every kind; see :meth:`features_of`."""
        return self.features_of(self.encode(x))

    def features_of(self, code: Tokens) -> dict[str, Tensor]:
        """``semantic`` and ``pixel`` (b, width, gh, gw): codes projected back to the width of the tower. ``pooler`` (b, windows, width):
        the semantic ones after the last layers, pooled as SigLIP does to compare a picture with a text; windows row by row.

        Raises InputError and FingerprintMismatch as :meth:`decode` does.
        """
        ids = self._checked(code)
        z = lattice(self.quantizer.lookup(ids.flatten(1, 2)), ids.shape[1:3])
        semantic, pixel = sequence(windows(z, self.config.places)).split(self.config.dim, -1)
        with self.numerics.transforms(ids.device):
            meaning, detail = self.post_quant_semantic(semantic), self.post_quant_pixel(pixel)
            pooled = self.post_quant_tail(meaning)
        side = self.config.places
        size = (ids.shape[1], ids.shape[2])
        maps = (stitched(lattice(t.float(), (side, side)), size) for t in (meaning, detail))
        return dict(zip(("semantic", "pixel"), maps, strict=True)) | {"pooler": pooled.float().unflatten(0, (len(ids), -1))}

    # --- training

    def forward(self, x: Pixels, *, quality: Float[Tensor, " b"] | None = None) -> Output:
        """Terms: ``mse``, ``semantic_commitment``, ``pixel_commitment``; and by how much codes change what the tower says, as squared
        error and 1 less the cosine: ``semantic``, of the features that the last layers see, and ``pooler``, of the pooled vector.
        ``aux``: ids, and the pooled vectors (b, windows, width). In eval mode ``mse`` and ``bpp``.
        """
        self.refuse(quality)
        if not self.training:
            return self._measured(x)
        filled = self.to_native(self._filled(x))
        z, deep = self._read(windows(filled, self.stride))
        quantized = self.quantizer(z)
        semantic, pixel = quantized.z.split(self.config.dim, -1)
        meaning = self.post_quant_semantic(semantic)
        pooled = self.post_quant_tail(meaning)
        # The same way as the other: under no_grad attention and weights in bfloat16 would take theirs for inference.
        wanted = self.post_quant_tail(deep.detach()).detach()
        each = {**quantized.terms, "semantic": unlike(meaning, deep.detach()), "pooler": unlike(pooled[:, None], wanted[:, None])}
        terms = {name: t.unflatten(0, (len(x), -1)).mean(1) for name, t in each.items()}
        pixels = self.from_native(stitched(self._painted(pixel), (filled.shape[2], filled.shape[3])).float())
        found = output(x, self._cropped(pixels, x.shape[2:]), terms, self._stitched(quantized.ids, filled).movedim(1, -1))
        return Output(pixels=found.pixels, terms=found.terms, aux={**found.aux, "pooler": pooled.unflatten(0, (len(x), -1))})

    # --- windows and streams

    def _grid(self, size: tuple[int, ...] | torch.Size) -> tuple[int, int]:
        """A window has as many places as whole patches, and may have pixels beside."""
        high, wide = (math.ceil(n / self.stride) * self.config.places for n in size[:2])
        return high, wide

    def _stitched(self, found: Tensor, x: Float[Tensor, "b 3 h w"]) -> Tensor:
        """Of windows of ``x`` (bk, n, d) the map of it (b, d, gh, gw)."""
        side = self.config.places
        return stitched(lattice(found, (side, side)), self._grid(x.shape[2:]))

    def _tokens(self, ids: Int[Tensor, "b gh gw k"], size: tuple[int, int]) -> Tokens:
        each, parts = self.quantizer.divided(ids), self.quantizer.named()
        return self.signed({name: Stream(ids=each[name], axes=("h", "w", "k"), vocab=parts[name].vocab) for name in parts}, size)

    def _joined(self, code: Tokens) -> Int[Tensor, "b gh gw k"]:
        wanted = {name: (*s.ids.shape[1:],) for name, s in self.blank(code.size).streams.items()}
        found = {name: (*s.ids.shape[1:],) for name, s in code.streams.items()}
        if wanted != found:
            raise InputError(f"pictures of {code.size[0]} x {code.size[1]} have ids of the shapes {wanted}, not {found}")
        return torch.cat([code.streams[name].ids for name in wanted], -1)


def unlike(a: Places, b: Places) -> Float[Tensor, " b"]:
    """The mean squared difference, and 1 less the mean cosine of vectors."""
    a, b = a.float(), b.float()
    return distance(a, b) + 1 - F.cosine_similarity(a, b, dim=-1).mean(1)


def _dualtoken(config: DualTokenConfig) -> Entry:
    return Entry(build=DualToken, config=config, family="dualtoken")


_TINY = DualTokenConfig(
    side=16,
    patch=3,
    width=16,
    depth=4,
    heads=2,
    hidden=24,
    shortcut_layer=1,
    pixel_layer=2,
    semantic_layer=3,
    levels=2,
    size=64,
    dim=4,
    decoder_grid=4,
    decoder_width=4,
    decoder_multipliers=(1, 1, 2),
    decoder_blocks=1,
    decoder_groups=2,
)

MODELS = {
    "dualtoken_256_rvq4": _dualtoken(DualTokenConfig()),
    "dualtoken_384_rvq8": _dualtoken(DualTokenConfig(side=384, patch=14, levels=8, decoder_grid=24)),
    "dualtoken_test": Entry(build=DualToken, config=_TINY, family="dualtoken", weights=Weights(file="dualtoken_test.safetensors")),
}

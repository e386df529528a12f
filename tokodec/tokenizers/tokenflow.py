"""TokenFlow as published: ids that say both what is seen and how it looks, coarse to fine.

    x ┬─ pixel encoder ─ quant_conv ──> z_pixel ───────┬─ scale by scale ──> ids (561, 817 or 2227 of a window)
      └─ tower of CLIP or SigLIP ─ head ──> z_semantic ─┘   one index for two codes
    ids ── lookup ──> (z_semantic, z_pixel) ┬─ post_quant_conv ── decoder ──> x_hat
                                            └─ semantic decoder ──> features as the teacher has them

Each scale quantizes what those before it left. The networks know one size, so larger pictures are windows of it, each on its own.

Source: Qu et al., "TokenFlow: unified image tokenizer for multimodal understanding and generation", CVPR 2025 (ByteFlow-AI/TokenFlow).
"""

from abc import abstractmethod
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from tokodec.api import Output, Pixels, Sampler, Stream, Tokens
from tokodec.entry import Entry, Origin, Weights
from tokodec.errors import InputError
from tokodec.nn import siglip
from tokodec.nn.mix import Mix
from tokodec.nn.transformer import Trunk
from tokodec.nn.vqgan import Decoder, Encoder, Shape
from tokodec.nn.windows import stitched
from tokodec.quantizers.base import Quantizer
from tokodec.quantizers.multiscale import ScaleDropout
from tokodec.quantizers.shared_index import SharedIndexQuantizer
from tokodec.tokenizers.lattice import bits_per_pixel, lattice, output, refuse_unknown
from tokodec.tokenizers.tokenflow_semantics import CLIPTower, SemanticDecoder, head
from tokodec.tokenizers.windowed import Window, WindowTokenizer, few

Map = Float[Tensor, "b d gh gw"]
_SCALES_14 = (1, 2, 4, 6, 8, 10, 12, 14)
_DROPPED = 0.1


@dataclass(frozen=True, kw_only=True)
class TokenFlowConfig:
    """``side`` of a window in pixels; ``scales``: sides of its maps of ids, the last one the whole lattice.

    ``size`` pairs of codes of ``semantic`` and ``pixel`` coordinates; the distance of pixel codes counts ``pixel_weight``. The networks of
    pixels as in :class:`tokodec.tokenizers.vqgan.VQGANConfig`. The tower: ``patch`` in pixels, ``table`` the side of tables of positions.
    """

    side: int = 224
    scales: tuple[int, ...] = _SCALES_14
    size: int = 32768
    semantic: int = 32
    pixel: int = 8
    pixel_weight: float = 1.0
    width: int = 128
    multipliers: tuple[int, ...] = (1, 1, 2, 2, 4)
    blocks: int = 2
    groups: int = 32
    z: int = 256
    decoder_width: int = 128
    decoder_blocks: int = 2
    patch: int = 16
    tower_width: int = 768
    tower_depth: int = 12
    tower_hidden: int = 3072
    heads: int = 12
    table: int = 14
    decoder_depth: int = 3
    decoder_heads: int = 12
    decoder_features: int = 512

    @property
    def grid(self) -> int:
        """Places of a side of a window."""
        return self.scales[-1]

    @property
    def tower(self) -> Trunk:
        """Of the tower."""
        return Trunk(width=self.tower_width, depth=self.tower_depth, heads=self.heads, hidden=self.tower_hidden)

    @property
    def decoder_trunk(self) -> Trunk:
        """Of the semantic decoder."""
        width = self.tower_width
        return Trunk(width=width, depth=self.decoder_depth, heads=self.decoder_heads, hidden=4 * width, eps=1e-6)

    def shape(self, width: int, blocks: int) -> Shape:
        """Of a network of pixels."""
        return Shape.of(width, self.multipliers, blocks, self.groups)


class TokenFlow(WindowTokenizer):
    """What both kinds share: all but the tower."""

    bytes_per_pixel = 150

    def __init__(self, config: TokenFlowConfig) -> None:
        super().__init__()
        self.config, self.stride = config, config.side
        self.inner = config.grid * 2 ** (len(config.multipliers) - 1)
        self.encoder = Encoder(config.shape(config.width, config.blocks), config.z)
        self.quant_conv = Mix(config.z, config.pixel)
        self.tower = self._tower(config)
        self.head = head(config.tower_width, config.semantic)
        self.pyramid = ScaleDropout(config.scales, self._quantizer(config), _DROPPED)
        self.post_quant_conv = Mix(config.pixel, config.z)
        self.decoder = Decoder(config.shape(config.decoder_width, config.decoder_blocks), config.z)
        self.decoder_semantic = SemanticDecoder(config.decoder_trunk, config.semantic, config.decoder_features, config.table, config.grid)

    @staticmethod
    def _quantizer(config: TokenFlowConfig) -> SharedIndexQuantizer:
        return SharedIndexQuantizer(config.size, config.semantic, config.pixel, config.pixel_weight)

    @property
    def quantizer(self) -> Quantizer:
        """Of one vector; :attr:`pyramid` is the one of maps."""
        return self.pyramid.quantizer

    @abstractmethod
    def _tower(self, config: TokenFlowConfig) -> nn.Module:
        """Windows in [-1, 1] to features of each place."""

    @abstractmethod
    def distilled(self, seen: Float[Tensor, "k n c"], said: Float[Tensor, "k n f"]) -> dict[str, Float[Tensor, " k"]]:
        """What the semantic decoder is to learn: terms of what the tower saw and of what the decoder made of the codes."""

    # --- one window: in [-1, 1]

    def latents(self, x: Window) -> Float[Tensor, "k d g g"]:
        """The vectors before the quantizer, semantic coordinates first."""
        return self._joined(x, self.tower(x))

    def _joined(self, x: Window, seen: Float[Tensor, "k n c"]) -> Float[Tensor, "k d g g"]:
        semantic = lattice(self.head(seen), (self.config.grid, self.config.grid))
        return torch.cat([semantic.float(), self.quant_conv(self.encoder(resized(x, self.inner))).float()], 1)

    def reconstruct(self, z: Float[Tensor, "k d g g"]) -> Window:
        """Windows of the vectors that ids stand for."""
        pixels = self.decoder(self.post_quant_conv(z[:, self.config.semantic :].contiguous(memory_format=self.layout)))
        return resized(pixels.float(), self.config.side)

    def said(self, z: Float[Tensor, "k d g g"]) -> Float[Tensor, "k n f"]:
        """What the semantic decoder makes of them, place by place, row by row."""
        return self.decoder_semantic(z[:, : self.config.semantic])

    # --- training

    def forward(self, x: Pixels, *, quality: Float[Tensor, " b"] | None = None) -> Output:
        """Terms of each item: ``mse`` (RGB in [0, 1]), the quantizer's, and what :meth:`distilled` adds; in eval mode ``bpp``, and what
        the tokenizer does. ``aux`` has the ids, window by window; in a tenth of the steps one scale is left out.
        """
        self.refuse(quality)
        if not self.training:
            return self._measured(x)
        parts = self.cut(x)
        seen = self.tower(parts)
        quantized = self.pyramid(self._joined(parts, seen))
        z = lattice(quantized.z, (self.config.grid, self.config.grid))
        terms = {**quantized.terms, **self.distilled(seen, self.said(z))}
        each = {name: term.unflatten(0, (len(x), -1)).mean(1) for name, term in terms.items()}
        return output(x, self.whole(self.reconstruct(z), x.shape[2:]), each, _of_items(quantized.ids, len(x)))

    def _measured(self, x: Pixels) -> Output:
        tokens = self.encode(x)
        return output(x, self.decode(tokens), {"bpp": bits_per_pixel(tokens, x)}, tokens.ids)

    # --- the tokenizer

    def encode(self, x: Pixels, *, quality: float | Float[Tensor, " b"] | None = None) -> Tokens:
        """One stream, ``ids`` over (n): windows row by row, of each the scales coarse to fine, of each scale the places row by row."""
        self.refuse(quality)
        return self._tokens(_of_items(self.chosen(self.cut(x)), len(x)), (x.shape[2], x.shape[3]))

    def ids_of(self, parts: Window) -> Int[Tensor, "k n"]:
        with self.numerics.transforms(parts.device):
            z = self.latents(parts)
        return self.pyramid.ids(z.contiguous())

    def blank(self, size: tuple[int, ...]) -> Tokens:
        """Tokens of one picture of ``size`` (h, w) without values, on the ``meta`` device."""
        high, wide = self.windows_of(size)
        ids = torch.empty((1, high * wide * self.pyramid.count), dtype=torch.int64, device="meta")
        return self._tokens(ids, (size[0], size[1]))

    def truncate(self, code: Tokens, scales: int) -> Tokens:
        """The first ``scales`` scales of every window, which decode to a coarser picture. Raises InputError for more than there are."""
        ids = self._checked(code)
        count = sum(s * s for s in self.config.scales[:scales])
        if not 1 <= scales <= len(self.config.scales) or count > ids.shape[1]:
            raise InputError(f"{scales} scales: there are {len(self.config.scales)}, and here {ids.shape[1]} ids of each window")
        stream = replace(code.streams["ids"], ids=_of_items(ids[:, :count], len(code)))
        return replace(code, streams={"ids": stream})

    def decode(self, code: Tokens, *, sampler: Sampler | None = None) -> Pixels:
        """Pictures in [0, 1] of the size that was encoded, of all scales or of the first few (:meth:`truncate`).

        Raises InputError for ids that the codebook does not have and for parts of scales, FingerprintMismatch for ids of another model.
        """
        self.refuse_sampler(sampler)
        ids = self._checked(code)
        with self.numerics.transforms(ids.device):
            parts = [self.reconstruct(self.pyramid.lookup(some)) for some in few(ids)]
        return self.whole(torch.cat(parts), code.size).clamp(0, 1)

    # --- features

    def features(self, x: Pixels) -> dict[str, Tensor]:
        """Of pictures in [0, 1], what :meth:`vectors` gives of their ids."""
        return self.vectors(self.encode(x))

    def vectors(self, code: Tokens) -> dict[str, Float[Tensor, "b c gh gw"]]:
        """``semantic`` (32 coordinates) and ``pixel`` (8), the quantized maps that ids stand for, summed over scales.

        Of whole windows: where a picture ends inside one, so do the last rows and columns mean its filling.
        """
        maps = self._stitched(self.pyramid.lookup(self._checked(code)), code.size)
        return {"semantic": maps[:, : self.config.semantic], "pixel": maps[:, self.config.semantic :]}

    def understood(self, code: Tokens) -> Float[Tensor, "b f gh gw"]:
        """What the semantic decoder makes of ids: features in the space of the teacher that it learned from."""
        ids, grid = self._checked(code), (self.config.grid, self.config.grid)
        with self.numerics.transforms(ids.device):
            parts = [lattice(self.said(self.pyramid.lookup(some)).float(), grid) for some in few(ids)]
        return self._stitched(torch.cat(parts), code.size)

    # ---

    def _stitched(self, parts: Float[Tensor, "k c g g"], size: tuple[int, ...]) -> Map:
        high, wide = self.windows_of(size)
        return stitched(parts, (high * self.config.grid, wide * self.config.grid))

    def _tokens(self, ids: Int[Tensor, "b n"], size: tuple[int, int]) -> Tokens:
        return self.signed({"ids": Stream(ids=ids, axes=("n",), vocab=self.quantizer.vocab)}, size)

    def _checked(self, code: Tokens) -> Int[Tensor, "k n"]:
        """Ids by window."""
        self.check_maker(code)
        ids, (high, wide) = code.ids, self.windows_of(code.size)
        if ids.ndim != 2 or ids.shape[1] % (high * wide):
            raise InputError(
                f"pictures of {code.size[0]} x {code.size[1]} are {high * wide} windows of ids, not {tuple(ids.shape[1:])} ids"
            )
        refuse_unknown(ids, self.config.size)
        return ids.unflatten(1, (high * wide, -1)).flatten(0, 1)

    def last_layer(self) -> Tensor:
        """The weights that every gradient of a picture passes last: what adaptive weights of objectives are measured at."""
        return self.decoder.conv_out.weight


class TokenFlowCLIP(TokenFlow):
    """With a tower of CLIP, which is shown pictures in [-1, 1], without the mean and deviation that CLIP itself subtracts and divides by.

    Its teacher is CLIP with a last projection, which is not part of the tokenizer: there is no term that the semantic decoder learns
    from, so it keeps its weights.
    """

    def __init__(self, config: TokenFlowConfig) -> None:
        super().__init__(config)
        self.decoder_semantic.requires_grad_(False)

    def _tower(self, config: TokenFlowConfig) -> nn.Module:
        return CLIPTower(config.tower, config.patch, config.table, config.grid)

    def distilled(self, seen: Float[Tensor, "k n c"], said: Float[Tensor, "k n f"]) -> dict[str, Float[Tensor, " k"]]:
        return {}


class TokenFlowSigLIP(TokenFlow):
    """With a tower of SigLIP, up to the layer before its last. The networks of pixels see and make pictures of another size.

    A term more: ``distillation``, 1 less the cosine between what the semantic decoder says and what the tower saw, which is the teacher:
    keep it from changing (``frozen`` in a recipe).
    """

    def _tower(self, config: TokenFlowConfig) -> nn.Module:
        return siglip.Tower(replace(config.tower, eps=1e-6), config.patch, config.grid)

    def distilled(self, seen: Float[Tensor, "k n c"], said: Float[Tensor, "k n f"]) -> dict[str, Float[Tensor, " k"]]:
        return {"distillation": 1 - F.cosine_similarity(said.float(), seen.detach().float(), dim=-1).mean(1)}


def resized(x: Float[Tensor, "k c h w"], side: int) -> Float[Tensor, "k c s s"]:
    """Squares at another size, by bicubic interpolation."""
    return x if x.shape[-1] == side else F.interpolate(x, size=(side, side), mode="bicubic")


def _of_items(ids: Int[Tensor, "k n"], items: int) -> Int[Tensor, "b m"]:
    """The ids of all windows of a picture, one after another."""
    return ids.unflatten(0, (items, -1)).flatten(1)


def _tokenflow(build: type[TokenFlow], config: TokenFlowConfig, file: str) -> Entry:
    origin = Origin(repo="ByteFlow-AI/TokenFlow", file=file, licence="Apache-2.0") if file else None
    return Entry(build=build, config=config, family="tokenflow", origin=origin)


_CLIP_256 = TokenFlowConfig(side=256, scales=(*_SCALES_14, 16), decoder_width=256, decoder_blocks=4)
_SIGLIP_384 = TokenFlowConfig(
    side=384,
    scales=(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 14, 17, 22, 27),
    patch=14,
    tower_width=1152,
    tower_depth=26,
    tower_hidden=4304,
    heads=16,
    table=27,
    decoder_features=1152,
)
_TINY = TokenFlowConfig(
    side=24,
    scales=(1, 2, 4, 6),
    size=64,
    semantic=6,
    pixel=4,
    width=8,
    multipliers=(1, 2),
    blocks=1,
    groups=4,
    z=8,
    decoder_width=8,
    decoder_blocks=1,
    patch=4,
    tower_width=16,
    tower_depth=1,
    tower_hidden=32,
    heads=2,
    table=5,
    decoder_depth=1,
    decoder_heads=2,
    decoder_features=12,
)

MODELS = {
    "tokenflow_clipb_224": _tokenflow(TokenFlowCLIP, TokenFlowConfig(), ""),
    "tokenflow_clipb_256": _tokenflow(TokenFlowCLIP, _CLIP_256, "tokenflow_clipb_32k_enhanced.pt"),
    "tokenflow_siglip_384": _tokenflow(TokenFlowSigLIP, _SIGLIP_384, "tokenflow_siglip_32k.pt"),
    "tokenflow_test": Entry(build=TokenFlowCLIP, config=_TINY, family="tokenflow", weights=Weights(file="tokenflow_test.safetensors")),
}

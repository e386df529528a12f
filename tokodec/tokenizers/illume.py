"""DualViTok, the tokenizer of ILLUME+: ids of meaning on a coarse lattice, ids of pixels on a fine one, and a decoder that sees both.

    x ┬─ a little smaller ── tower of Qwen2-VL ── normalised ── transformer ──> z_semantic ── nearest code ──> "semantic" (h, w)
      └─ pixel encoder ── quant_conv ────────────────────────────────────────> z_pixel ───── nearest code ──> "pixel" (h2, w2)

    semantic ids ── lookup ─┬─ semantic decoder ──> features as the tower has them
                            └─ enlarged ──(beside)── post_quant_conv ── decoder ──> x_hat
    pixel ids ───── lookup ─────────────────┘

Source: Huang et al., "ILLUME+: illuminating unified MLLM with dual visual tokenization and diffusion refinement", 2025
(illume-unified-mllm/ILLUME_plus).
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int, Shaped
from torch import Tensor, nn

from tokodec.api import Output, Pixels, Sampler, Stream, Tokens
from tokodec.entry import Entry, Origin, Weights
from tokodec.errors import InputError
from tokodec.nn.mix import Mix
from tokodec.nn.transformer import Trunk
from tokodec.nn.vqgan import Shape
from tokodec.nn.windows import stitched, windows
from tokodec.quantizers.codebook import SimVectorQuantizer
from tokodec.quantizers.replacement import CodeReplacement
from tokodec.tokenizers.illume_pixels import PixelDecoder, PixelEncoder
from tokodec.tokenizers.illume_semantics import QwenTower, RotaryTrunk, SemanticDecoder
from tokodec.tokenizers.lattice import bits_per_pixel, lattice, output, refuse_unknown, sequence
from tokodec.tokenizers.windowed import Window, WindowTokenizer, few

Map = Float[Tensor, "k d g g"]
Vectors = Float[Tensor, "k n d"]
_MEAN = (0.48145466, 0.4578275, 0.40821073)
_DEVIATION = (0.26862954, 0.26130258, 0.27577711)
_EPSILON = 1e-6
_KINDS = ("semantic", "pixel")


@dataclass(frozen=True, kw_only=True)
class DualViTokConfig:
    """``side`` of a window in pixels, and ``tower_side``, at which the tower sees it; ``patch`` of the tower in pixels.

    Transformers between the tower's ``features`` and codes are as wide as the tower and ``depth`` deep. ``dim`` coordinates of codes.
    ``replaced``: the share of pixel codes that are others in training.
    """

    side: int = 256
    tower_side: int = 252
    patch: int = 14
    tower_width: int = 1280
    tower_depth: int = 32
    heads: int = 16
    features: int = 3584
    depth: int = 4
    semantic_size: int = 32768
    pixel_size: int = 98304
    dim: int = 32
    width: int = 128
    multipliers: tuple[int, ...] = (1, 1, 2, 2, 4)
    blocks: int = 2
    groups: int = 32
    decoder_width: int = 384
    replaced: float = 0.1

    @property
    def sides(self) -> dict[str, int]:
        """Of the lattices of a window."""
        return {"semantic": self.tower_side // (2 * self.patch), "pixel": self.side // 2 ** (len(self.multipliers) - 1)}

    def trunk(self, depth: int) -> Trunk:
        """``depth`` blocks of the tower's width."""
        width = self.tower_width
        return Trunk(width=width, depth=depth, heads=self.heads, hidden=4 * width, eps=_EPSILON)

    def shape(self, width: int) -> Shape:
        """Of a network of pixels."""
        return Shape.of(width, self.multipliers, self.blocks, self.groups)


class DualViTok(WindowTokenizer):
    """See the module's docstring."""

    bytes_per_pixel = 500

    def __init__(self, config: DualViTokConfig) -> None:
        super().__init__()
        self.config, self.stride = config, config.side
        dim = config.dim
        # The tower is what codes are to tell: it stays as it is.
        tower = QwenTower(config.trunk(config.tower_depth), config.patch, config.features)
        self.tower = tower.requires_grad_(requires_grad=False)
        self.to_semantic = RotaryTrunk(config.features, config.trunk(config.depth), dim)
        self.encoder = PixelEncoder(config.shape(config.width), dim)
        self.quant_conv = Mix(dim, dim)
        sizes = dict(zip(_KINDS, (config.semantic_size, config.pixel_size), strict=True))
        self.quantizers = nn.ModuleDict({kind: SimVectorQuantizer(size, dim) for kind, size in sizes.items()})
        self.replacement = CodeReplacement(config.replaced)
        self.post_quant_conv = Mix(2 * dim, 2 * dim)
        self.decoder = PixelDecoder(config.shape(config.decoder_width), 2 * dim)
        self.decoder_semantic = SemanticDecoder(dim, config.trunk(config.depth), config.features)

    @property
    def books(self) -> dict[str, SimVectorQuantizer]:
        """The quantizers by kind."""
        return {kind: q for kind, q in self.quantizers.items() if isinstance(q, SimVectorQuantizer)}

    # --- one window: in [-1, 1]

    def seen(self, x: Window) -> Float[Tensor, "k n f"]:
        """What the tower says of it, normalised: what semantic codes are to tell."""
        side = self.config.tower_side
        small = F.interpolate(x, size=(side, side), mode="bicubic", antialias=True)
        mean, deviation = (torch.tensor(values, device=x.device)[:, None, None] for values in (_MEAN, _DEVIATION))
        found = self.tower(((small + 1) / 2 - mean) / deviation)
        return F.layer_norm(found, found.shape[-1:], eps=_EPSILON)

    def latents(self, x: Window) -> dict[str, Vectors]:
        """The vectors before the quantizers."""
        return self.vectors(x, self.seen(x))

    def vectors(self, x: Window, seen: Float[Tensor, "k n f"]) -> dict[str, Vectors]:
        """The same, with what the tower says at hand."""
        return {"semantic": self.to_semantic(seen).float(), "pixel": sequence(self.quant_conv(self.encoder(x))).float()}

    def reconstruct(self, semantic: Vectors, pixel: Float[Tensor, "k m d"]) -> Window:
        """Windows of the vectors that ids stand for."""
        small, fine = (lattice(z, (side, side)).contiguous() for z, side in zip((semantic, pixel), self.config.sides.values(), strict=True))
        code = torch.cat([F.interpolate(small, size=fine.shape[2:], mode="bicubic"), fine], 1)
        return self.decoder(self.post_quant_conv(code), code)

    # --- training

    def forward(self, x: Pixels, *, quality: Float[Tensor, " b"] | None = None) -> Output:
        """Terms of each item: ``mse`` (RGB in [0, 1]); ``semantic``, 1 less the cosine of what the tower says and what semantic codes tell
        of it; of both quantizers ``semantic_codebook``, ``semantic_commitment``, ``pixel_codebook``, ``pixel_commitment``. In eval mode
        ``mse`` and ``bpp``. ``aux`` has the ids: window by window, of each the semantic ones first.
        """
        self.refuse(quality)
        if not self.training:
            return self._measured(x)
        parts = self.cut(x)
        seen = self.seen(parts)
        z = self.vectors(parts, seen)
        found = {kind: book(z[kind]) for kind, book in self.books.items()}
        terms = {f"{kind}_{name}": term for kind, q in found.items() for name, term in q.terms.items()}
        terms["semantic"] = 1 - F.cosine_similarity(self.decoder_semantic(found["semantic"].z).float(), seen.float(), dim=-1).mean(1)
        painted = self.reconstruct(found["semantic"].z, self.replacement(found["pixel"].z, self.books["pixel"]))
        each = {name: term.unflatten(0, (len(x), -1)).mean(1) for name, term in terms.items()}
        ids = torch.cat([q.ids for q in found.values()], 1).unflatten(0, (len(x), -1)).flatten(1)
        return output(x, self.whole(painted.float(), x.shape[2:]), each, ids)

    def _measured(self, x: Pixels) -> Output:
        tokens = self.encode(x)
        return output(x, self.decode(tokens), {"bpp": bits_per_pixel(tokens, x)}, torch.cat(self._by_window(tokens), 1).view(len(x), -1))

    def last_layer(self) -> Tensor:
        """The weights that every gradient of a picture passes last: what adaptive weights of objectives are measured at."""
        return self.decoder.conv_out.weight

    # --- the tokenizer

    def encode(self, x: Pixels, *, quality: float | Float[Tensor, " b"] | None = None) -> Tokens:
        """Two streams over (h, w), ``semantic`` and ``pixel``, whose lattices differ: of each window 9 x 9 and 16 x 16 places."""
        self.refuse(quality)
        return self._tokens(self.chosen(self.cut(x)), (x.shape[2], x.shape[3]))

    def ids_of(self, parts: Window) -> Int[Tensor, "k n"]:
        """Semantic ones first."""
        with self.numerics.transforms(parts.device):
            z = self.latents(parts)
        return torch.cat([book.ids(z[kind].contiguous()) for kind, book in self.books.items()], 1)

    def blank(self, size: tuple[int, ...]) -> Tokens:
        """Tokens of one picture of ``size`` (h, w) without values, on the ``meta`` device."""
        high, wide = self.windows_of(size)
        count = sum(side * side for side in self.config.sides.values())
        return self._tokens(torch.empty((high * wide, count), dtype=torch.int64, device="meta"), (size[0], size[1]))

    def decode(self, code: Tokens, *, sampler: Sampler | None = None) -> Pixels:
        """Pictures in [0, 1] of the size that was encoded.

        Raises InputError for ids that the codebooks do not have and for lattices that do not fit, FingerprintMismatch for ids of another
        model.
        """
        self.refuse_sampler(sampler)
        z = [book.lookup(some) for book, some in zip(self.books.values(), self._by_window(code), strict=True)]
        with self.numerics.transforms(z[0].device):
            parts = [self.reconstruct(*some).float() for some in zip(*(few(each) for each in z), strict=True)]
        return self.whole(torch.cat(parts), code.size).clamp(0, 1)

    # --- features

    def features(self, x: Pixels) -> dict[str, Tensor]:
        """What the ids of pictures in [0, 1] say, see :meth:`features_of`."""
        return self.features_of(self.encode(x))

    def features_of(self, code: Tokens) -> dict[str, Tensor]:
        """``semantic`` (b, features, h, w), what semantic ids tell of the tower's normalised features; ``pixel`` (b, dim, h2, w2), codes.

        Raises InputError and FingerprintMismatch as :meth:`decode` does.
        """
        semantic, pixel = (book.lookup(some) for book, some in zip(self.books.values(), self._by_window(code), strict=True))
        with self.numerics.transforms(semantic.device):
            told = torch.cat([self.decoder_semantic(some).float() for some in few(semantic)])
        return {kind: self._stitched(each, kind, code.size) for kind, each in zip(_KINDS, (told, pixel), strict=True)}

    # --- windows and streams

    def _stitched(self, parts: Shaped[Tensor, "k n d"], kind: str, size: tuple[int, ...]) -> Shaped[Tensor, "b d h w"]:
        side, (high, wide) = self.config.sides[kind], self.windows_of(size)
        return stitched(lattice(parts, (side, side)), (high * side, wide * side))

    def _tokens(self, ids: Int[Tensor, "k n"], size: tuple[int, int]) -> Tokens:
        each = ids.split([side * side for side in self.config.sides.values()], 1)
        streams = {
            kind: Stream(ids=self._stitched(some[..., None], kind, size)[:, 0], axes=("h", "w"), vocab=self.books[kind].vocab)
            for kind, some in zip(_KINDS, each, strict=True)
        }
        return self.signed(streams, size)

    def _by_window(self, code: Tokens) -> list[Int[Tensor, "k n"]]:
        """Ids of each kind, checked."""
        self.check_maker(code)
        wanted = {name: (*s.ids.shape[1:],) for name, s in self.blank(code.size).streams.items()}
        found = {name: (*s.ids.shape[1:],) for name, s in code.streams.items()}
        if wanted != found:
            raise InputError(f"pictures of {code.size[0]} x {code.size[1]} have ids of the shapes {wanted}, not {found}")
        for kind, book in self.books.items():
            refuse_unknown(code.streams[kind].ids, book.size)
        return [sequence(windows(code.streams[kind].ids[:, None], self.config.sides[kind]))[..., 0] for kind in _KINDS]


def _illume(config: DualViTokConfig) -> Entry:
    origin = Origin(repo="ILLUME-MLLM/dualvitok", file="pytorch_model.bin", licence="LicenseRef-unknown")
    return Entry(build=DualViTok, config=config, family="illume", origin=origin)


_TINY = DualViTokConfig(
    side=32,
    tower_side=24,
    patch=4,
    tower_width=16,
    tower_depth=2,
    heads=2,
    features=24,
    depth=1,
    semantic_size=64,
    pixel_size=96,
    dim=4,
    width=4,
    multipliers=(1, 2, 2),
    blocks=1,
    groups=2,
    decoder_width=4,
)

MODELS = {
    "illume_256": _illume(DualViTokConfig()),
    "illume_512": _illume(DualViTokConfig(side=512, tower_side=504)),
    "illume_test": Entry(build=DualViTok, config=_TINY, family="illume", weights=Weights(file="illume_test.safetensors")),
}

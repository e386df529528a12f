"""LaVIT's tokenizer: as many ids as a picture needs, in a row that a language model reads.

    x ── tower ──> features ── selector ──> keep ── merger ── the kept ones ── perceptron ──> z ── nearest ──> ids (b, n), lengths
    ids ── row ── decoder ──> features of every patch ──> what a diffusion model is told

What is decoded is features: pictures are drawn by diffusion models that are not here. At inference theirs draws at random what to
keep; here what is likelier is done, so that a picture has one code.

Source: Jin et al., "Unified language-vision pretraining in LLM with dynamic discrete visual tokenization", ICLR 2024 (jy0205/LaVIT).
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from tokodec.api import DiscreteTokenizer, Output, Sampler, Stream, Tokens
from tokodec.entry import Entry, Origin, Weights
from tokodec.errors import InputError
from tokodec.nn.eva import EvaTower
from tokodec.nn.mix import ThinLinear
from tokodec.nn.pad import padded
from tokodec.nn.transformer import Trunk
from tokodec.quantizers.codebook import VectorQuantizer
from tokodec.tokenizers.lattice import bits_per_pixel, refuse_unknown, sequence
from tokodec.tokenizers.lavit_decoders import Decoder, HighCondition, LowCondition
from tokodec.tokenizers.lavit_layers import Merger, Selector

Picture = Float[Tensor, "b 3 h w"]
Sequence = Float[Tensor, "b n c"]
_MEAN = (0.48145466, 0.4578275, 0.40821073)
_DEVIATION = (0.26862954, 0.26130258, 0.27577711)
_WANTED = 1 / 3
"""The share of patches that training keeps."""


@dataclass(frozen=True, kw_only=True)
class LaVITConfig:
    """``depth`` blocks in the tower, ``layers`` in merger and decoder; ``grid``: side of the tables of positions, in patches.

    ``size`` codes of ``dim`` coordinates. ``sizes``: of the vectors of one text model, or of two.
    """

    patch: int = 14
    grid: int = 16
    width: int = 1408
    depth: int = 40
    layers: int = 12
    heads: int = 16
    hidden: int = 6144
    size: int = 16384
    dim: int = 32
    sizes: tuple[int, ...] = (768,)

    def trunk(self, depth: int) -> Trunk:
        """Of so many blocks."""
        return Trunk(width=self.width, depth=depth, heads=self.heads, hidden=self.hidden)


class DirectionQuantizer(VectorQuantizer):
    """The code nearest to a vector of unit length; codes are as they are stored."""

    def compared(self, z: Float[Tensor, "b n d"]) -> Float[Tensor, "b n d"]:
        return F.normalize(z, dim=-1)


class LaVIT(DiscreteTokenizer):
    """With what the U-Net of Stable Diffusion 1.5 is told."""

    bytes_per_pixel = 1000
    stored = torch.float32
    gives = "features"

    def __init__(self, config: LaVITConfig) -> None:
        super().__init__()
        self.config, self.stride = config, config.patch
        self.encoder = EvaTower(config.trunk(config.depth), config.patch, config.grid).requires_grad_(requires_grad=False)
        self.selector = Selector(config.width)
        self.merger = Merger(config.trunk(config.layers))
        self.head = nn.Sequential(ThinLinear(config.width, config.width), nn.Tanh(), ThinLinear(config.width, config.dim))
        self.quantizer = DirectionQuantizer(config.size, config.dim)
        # The tower stays as it is; conditions learn with a diffusion model only.
        condition = self._condition(config).requires_grad_(requires_grad=False)
        self.decoder = Decoder(config.trunk(config.layers), config.dim, config.grid, condition)

    def _condition(self, config: LaVITConfig) -> nn.Module:
        return LowCondition(config.width, config.sizes)

    # --- pictures to ids

    def to_native(self, x: Picture) -> Float[Tensor, "b 3 h2 w2"]:
        """From [0, 1] to CLIP's mean and deviation, filled up to whole patches."""
        return padded(clip_range(x), self.stride)

    def tower(self, x: Picture) -> Sequence:
        """Features of each patch, of pictures in the native range."""
        return self.encoder(x, self._grid(x.shape[2:]))[:, 1:]

    def kept(self, features: Sequence) -> Bool[Tensor, "b n"]:
        """Which patches are likelier kept than dropped; the likeliest one if none is."""
        keep, drop = self.selector(features).unbind(-1)
        gap = keep - drop
        return (gap > 0) | ((gap == gap.amax(1, keepdim=True)) & ~(gap > 0).any(1, keepdim=True))

    def vectors(self, features: Sequence, keep: Float[Tensor, "b n"]) -> Float[Tensor, "b n d"]:
        """Before the quantizer, of all patches: those of dropped ones mean nothing."""
        return self.head(self.merger(features, keep))

    def features(self, x: Picture) -> dict[str, Tensor]:
        """Of pictures in [0, 1]: ``tower`` and ``merged`` (b, c, gh, gw), and ``kept`` (b, gh, gw), which says where merged ones count."""
        grid = self._grid(x.shape[2:])
        with self.numerics.transforms(x.device):
            found = self.tower(self.to_native(x))
            keep = self.kept(found.float())
            merged = self.merger(found, keep.float())
        maps = {name: t.float().transpose(1, 2).unflatten(2, grid) for name, t in (("tower", found), ("merged", merged))}
        return {**maps, "kept": keep.unflatten(1, grid)}

    def encode(self, x: Picture, *, quality: float | Float[Tensor, " b"] | None = None) -> Tokens:
        """One stream, ``ids`` over (n), filled up with zeros to one for each patch; ``lengths`` says how many there are."""
        self.refuse(quality)
        native = self.to_native(x)
        found = self.numerics.choice(
            lambda: self._rows(native), lambda: torch.cat([self._rows(one.contiguous()) for one in native.split(1)])
        )
        return self._tokens(found.clamp(min=0), (found >= 0).sum(1), (x.shape[2], x.shape[3]))

    def _rows(self, x: Picture) -> Int[Tensor, "b n"]:
        """The ids of kept patches, and -1 behind them."""
        with self.numerics.transforms(x.device):
            features = self.tower(x).float()
            keep = self.kept(features)
            ids = self.quantizer.ids(self.vectors(features, keep.float()).float())
        order = (~keep).to(torch.int8).argsort(dim=1, stable=True)
        return ids.where(keep, -1).gather(1, order)

    def blank(self, size: tuple[int, ...]) -> Tokens:
        """Tokens of one picture of ``size`` (h, w) without values, on the ``meta`` device; as many as there may be."""
        count = math.prod(self._grid(size))
        return self._tokens(torch.empty(1, count, dtype=torch.int64, device="meta"), torch.tensor([count]), (size[0], size[1]))

    # --- ids to features

    def decode(self, code: Tokens, *, sampler: Sampler | None = None) -> Float[Tensor, "b c gh gw"]:
        """The tower's features of every patch, as good as the ids know them.

        Raises InputError for ids that the codebook does not have, and FingerprintMismatch for those of another model.
        """
        self.refuse_sampler(sampler)
        grid = self._grid(code.size)
        return self._decoded(code).float().transpose(1, 2).unflatten(2, grid)

    def conditions(self, code: Tokens) -> dict[str, Tensor]:
        """What a diffusion model is told: ``prompt`` (b, n, c), and that of a high resolution ``pooled`` (b, c) too."""
        return {name: t.float() for name, t in self.decoder.condition(self._decoded(code), self._grid(code.size)).items()}

    def _decoded(self, code: Tokens) -> Sequence:
        grid = self._grid(code.size)
        with self.numerics.transforms(next(self.parameters()).device):
            rows = [self.quantizer.lookup(ids[None]) for ids in self._checked(code)]
            return torch.cat([self.decoder(row, torch.ones(row.shape[:2], device=row.device), grid) for row in rows])

    def _checked(self, code: Tokens) -> list[Int[Tensor, " n"]]:
        """The ids of each item that there are."""
        self.check_maker(code)
        most, ids = math.prod(self._grid(code.size)), code.ids
        (stream,) = code.streams.values()
        lengths = [ids.shape[1]] * len(ids) if stream.lengths is None else stream.lengths.tolist()
        if ids.ndim != 2 or not all(1 <= n <= min(most, ids.shape[1]) for n in lengths):
            raise InputError(f"pictures of {code.size[0]} x {code.size[1]} have 1 to {most} ids in a row, not {lengths}")
        items = [one[:n] for one, n in zip(ids, lengths, strict=True)]
        for one in items:
            refuse_unknown(one, self.config.size)
        return items

    # --- training

    def forward(self, x: Picture, *, quality: Float[Tensor, " b"] | None = None) -> Output:
        """Terms of each item: ``cosine``, 1 less the cosine of features and what is decoded; in training ``codebook``, ``commitment`` and
        ``kept``, the squared distance of the share that is kept from a third; in eval mode ``bpp``.
        """
        self.refuse(quality)
        features = self.tower(self.to_native(x))
        if not self.training:
            tokens = self.encode(x)
            terms = {"cosine": _apart(sequence(self.decode(tokens)), features), "bpp": bits_per_pixel(tokens, x)}
            return Output(pixels=None, terms=terms, aux={"ids": tokens.ids})
        keep = F.gumbel_softmax(self.selector(features), hard=True)[..., 0]
        quantized = self.quantizer(self.vectors(features, keep))
        found = self.decoder(quantized.z, keep, self._grid(x.shape[2:]))
        terms = {"cosine": _apart(found, features), "kept": (keep.mean(1) - _WANTED).square(), **quantized.terms}
        return Output(pixels=None, terms=terms, aux={"ids": quantized.ids})

    # ---

    def _grid(self, size: tuple[int, ...] | torch.Size) -> tuple[int, int]:
        return math.ceil(size[0] / self.stride), math.ceil(size[1] / self.stride)

    def _tokens(self, ids: Int[Tensor, "b n"], lengths: Int[Tensor, " b"], size: tuple[int, int]) -> Tokens:
        return self.signed({"ids": Stream(ids=ids, axes=("n",), vocab=self.quantizer.vocab, lengths=lengths)}, size)


class LaVITHigh(LaVIT):
    """With what the U-Net of Stable Diffusion XL is told."""

    def _condition(self, config: LaVITConfig) -> nn.Module:
        return HighCondition(config.width, config.sizes, config.heads, config.grid**2)


def _apart(found: Sequence, wanted: Sequence) -> Float[Tensor, " b"]:
    return (1 - F.cosine_similarity(found.float(), wanted.float(), dim=-1)).mean(1)


def clip_range(x: Picture) -> Picture:
    """Pictures in [0, 1] by CLIP's mean and deviation."""
    mean, deviation = (torch.tensor(values, device=x.device)[:, None, None] for values in (_MEAN, _DEVIATION))
    return (x - mean) / deviation


def _lavit(build: type[LaVIT], config: LaVITConfig, file: str) -> Entry:
    origin = Origin(repo="rain1011/LaVIT-7B-v2", file=file, licence="LicenseRef-LaVIT-Community-License")
    return Entry(build=build, config=config, family="lavit", origin=origin, variable_length=True)


_TINY = LaVITConfig(patch=8, grid=4, width=16, depth=1, layers=1, heads=2, hidden=32, size=64, dim=4, sizes=(12, 20))

MODELS = {
    "lavit_low": _lavit(LaVIT, LaVITConfig(), "visual_tokenizer/tokenizer_decoder.bin"),
    "lavit_high": _lavit(LaVITHigh, LaVITConfig(sizes=(768, 1280)), "visual_tokenizer/highres_tokenizer_decoder.bin"),
    "lavit_test": Entry(
        build=LaVITHigh, config=_TINY, family="lavit", weights=Weights(file="lavit_test.safetensors"), variable_length=True
    ),
}

"""SEED's second tokenizer: a picture as 32 ids in causal order, which say what is seen and not how it looks.

    x ── EVA tower ── norm ── causal Q-Former ──> (b,32,c) ── perceptron ──> z (b,32,d) ── nearest ──> ids (b,32)
    ids ── row ── perceptron ── blocks ── one vector ──> the picture's embedding (b,1024) ── a diffusion model that is not here ──> x_hat
                           └── blocks of text ──> what the Q-Former said

What is decoded is the embedding in CLIP's space that unCLIP draws pictures of; :mod:`tokodec.tokenizers.drawn` takes whatever draws.

Sources: Ge et al., "Making LLaMA SEE and draw with SEED tokenizer", ICLR 2024; "Planting a SEED of vision in large language model", 2023
(AILab-CVC/SEED).
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from tokodec.api import DiscreteTokenizer, Output, Sampler, Stream, Tokens
from tokodec.entry import Entry, Origin, Weights
from tokodec.errors import InputError
from tokodec.nn.eva import EvaTower
from tokodec.nn.mix import ThinLinear
from tokodec.nn.pad import padded
from tokodec.nn.transformer import Trunk
from tokodec.quantizers.codebook import VectorQuantizer
from tokodec.tokenizers.lattice import bits_per_pixel, refuse_unknown
from tokodec.tokenizers.lavit import clip_range
from tokodec.tokenizers.seed_layers import AskingEnd, CausalQFormer, EmbeddingDecoder, FlatEnd

Picture = Float[Tensor, "b 3 h w"]
Rows = Float[Tensor, "b n c"]


@dataclass(frozen=True, kw_only=True)
class SEEDConfig:
    """``depth`` blocks in the tower; ``grid``: side of its table of positions, in patches. ``layers`` of the Q-Former, ``inner`` features.

    ``count`` ids a picture, of ``size`` codes of ``dim`` coordinates. Decoders: blocks, widths on the way to one vector, and its own.
    """

    patch: int = 14
    grid: int = 16
    width: int = 1408
    depth: int = 39
    heads: int = 16
    hidden: int = 6144
    layers: int = 12
    inner: int = 768
    inner_heads: int = 12
    inner_hidden: int = 3072
    count: int = 32
    size: int = 8192
    dim: int = 32
    decoder_depth: int = 4
    decoder_downs: tuple[int, ...] = (256, 128, 32)
    decoder_width: int = 1024

    @property
    def tower(self) -> Trunk:
        return Trunk(width=self.width, depth=self.depth, heads=self.heads, hidden=self.hidden)

    @property
    def former(self) -> Trunk:
        """BERT's."""
        return Trunk(width=self.inner, depth=self.layers, heads=self.inner_heads, hidden=self.inner_hidden, eps=1e-12)

    @property
    def reader(self) -> Trunk:
        return Trunk(width=self.inner, depth=self.decoder_depth, heads=self.inner_heads, hidden=self.inner_hidden, eps=1e-6)


class SEED(DiscreteTokenizer):
    """With the published way to one vector."""

    bytes_per_pixel = 1000
    stored = torch.float32
    gives = "embeddings"

    def __init__(self, config: SEEDConfig) -> None:
        super().__init__()
        self.config, self.stride = config, config.patch
        self.encoder = EvaTower(config.tower, config.patch, config.grid).requires_grad_(requires_grad=False)
        self.norm = nn.LayerNorm(config.width)
        self.former = CausalQFormer(config.former, config.count, config.width)
        self.head = nn.Sequential(ThinLinear(config.inner, config.inner), nn.Tanh(), ThinLinear(config.inner, config.dim))
        self.quantizer = VectorQuantizer(config.size, config.dim)
        self.decoder = EmbeddingDecoder(config.reader, config.count, config.dim, self._end(config))

    def _end(self, config: SEEDConfig) -> nn.Module:
        return FlatEnd(config.reader, config.count, config.decoder_downs, config.decoder_width)

    # --- pictures to ids

    def to_native(self, x: Picture) -> Float[Tensor, "b 3 h2 w2"]:
        """From [0, 1] to CLIP's mean and deviation, filled up to whole patches."""
        return padded(clip_range(x), self.stride)

    def tower(self, x: Picture) -> Rows:
        """Features of the class token and of each patch, normalised, of pictures in the native range."""
        return self.norm(self.encoder(x, self._grid(x.shape[2:])))

    def features(self, x: Picture) -> dict[str, Tensor]:
        """Of pictures in [0, 1]: ``tower`` (b, c, gh, gw), and ``causal`` (b, 32, c), what the Q-Former says, of which ids are made."""
        with self.numerics.transforms(x.device):
            found = self.tower(self.to_native(x))
            causal = self.former(found)
        return {"tower": found[:, 1:].float().transpose(1, 2).unflatten(2, self._grid(x.shape[2:])), "causal": causal.float()}

    def encode(self, x: Picture, *, quality: float | Float[Tensor, " b"] | None = None) -> Tokens:
        """One stream, ``ids`` over (n): as many for a picture of any size."""
        self.refuse(quality)
        native = self.to_native(x)
        ids = self.numerics.choice(lambda: self._ids(native), lambda: torch.cat([self._ids(one.contiguous()) for one in native.split(1)]))
        return self._tokens(ids, (x.shape[2], x.shape[3]))

    def _ids(self, x: Picture) -> Int[Tensor, "b n"]:
        with self.numerics.transforms(x.device):
            z = self.head(self.former(self.tower(x)))
        return self.quantizer.ids(z.float())

    def blank(self, size: tuple[int, ...]) -> Tokens:
        """Tokens of one picture of ``size`` (h, w) without values, on the ``meta`` device."""
        return self._tokens(torch.empty(1, self.config.count, dtype=torch.int64, device="meta"), (size[0], size[1]))

    # --- ids to an embedding

    def decode(self, code: Tokens, *, sampler: Sampler | None = None) -> Float[Tensor, "b d"]:
        """The picture's embedding, which a diffusion model may be told.

        Raises InputError for ids that the codebook does not have, and FingerprintMismatch for those of another model.
        """
        self.refuse_sampler(sampler)
        with self.numerics.transforms(code.ids.device):
            return self.decoder(self._looked_up(code)).float()

    def causal(self, code: Tokens) -> Rows:
        """What the Q-Former said (b, 32, c), as good as ids know it: made of the first ids and of those behind alike."""
        with self.numerics.transforms(code.ids.device):
            return self.decoder.causal(self._looked_up(code)).float()

    def _looked_up(self, code: Tokens) -> Rows:
        self.check_maker(code)
        if tuple(code.ids.shape[1:]) != (self.config.count,):
            raise InputError(f"a picture has {self.config.count} ids in a row, not {tuple(code.ids.shape[1:])}")
        refuse_unknown(code.ids, self.config.size)
        return self.quantizer.lookup(code.ids)

    # --- training

    def forward(self, x: Picture, *, quality: Float[Tensor, " b"] | None = None) -> Output:
        """Terms of each item: ``cosine``, 1 less the cosine of what the Q-Former says and what is decoded of it; in training ``codebook``
        and ``commitment``, in eval mode ``bpp``. ``embedding`` in ``aux`` is what objectives compare with that of CLIP.
        """
        self.refuse(quality)
        said = self.former(self.tower(self.to_native(x)))
        if not self.training:
            tokens = self.encode(x)
            terms = {"cosine": _apart(self.causal(tokens), said), "bpp": bits_per_pixel(tokens, x)}
            return Output(pixels=None, terms=terms, aux={"ids": tokens.ids, "embedding": self.decode(tokens)})
        quantized = self.quantizer(self.head(said))
        # What is compared with does not move, else both could agree to say nothing.
        terms = {"cosine": _apart(self.decoder.causal(quantized.z), said.detach()), **quantized.terms}
        return Output(pixels=None, terms=terms, aux={"ids": quantized.ids, "embedding": self.decoder(quantized.z)})

    # ---

    def _grid(self, size: tuple[int, ...] | torch.Size) -> tuple[int, int]:
        return math.ceil(size[0] / self.stride), math.ceil(size[1] / self.stride)

    def _tokens(self, ids: Int[Tensor, "b n"], size: tuple[int, int]) -> Tokens:
        return self.signed({"ids": Stream(ids=ids, axes=("n",), vocab=self.quantizer.vocab)}, size)


class AskingSEED(SEED):
    """With a Q-Former on the way to one vector."""

    def _end(self, config: SEEDConfig) -> nn.Module:
        return AskingEnd(config.former, config.decoder_width)


def _apart(found: Rows, wanted: Rows) -> Float[Tensor, " b"]:
    return (1 - F.cosine_similarity(found.float(), wanted.float(), dim=-1)).mean(1)


_TINY = SEEDConfig(
    patch=8,
    grid=4,
    width=16,
    depth=1,
    heads=2,
    hidden=32,
    layers=2,
    inner=16,
    inner_heads=2,
    inner_hidden=32,
    count=6,
    size=64,
    dim=4,
    decoder_depth=1,
    decoder_downs=(8, 4),
    decoder_width=12,
)
_LICENCE = "LicenseRef-unknown"

MODELS = {
    "seed_2": Entry(
        build=SEED,
        config=SEEDConfig(),
        family="seed",
        origin=Origin(repo="AILab-CVC/seed-tokenizer-2", file="seed_quantizer.pt", licence=_LICENCE),
    ),
    "seed_2_asking": Entry(build=AskingSEED, config=SEEDConfig(), family="seed"),
    "seed_test": Entry(build=SEED, config=_TINY, family="seed", weights=Weights(file="seed_test.safetensors")),
}

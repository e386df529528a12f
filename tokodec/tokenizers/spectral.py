"""A picture as 1 to 256 ids, from coarse to fine: an id says what one spatial frequency of the features of a window is like.

    x ── encoder ──> features (c,16,16) ── cosine transform ──> 256 frequencies ── head ──> z (256,d) ── quantizer ──> ids
    the first k ids ── lookup ── head ──> k frequencies, the others zero ── inverse transform ──> features ── decoder ──> x_hat

Which id comes first is settled by the transform and need not be learnt: prefixes are what low-pass filters leave, in a space of features
that the networks bend so that little is missed. Networks are those of :mod:`tokodec.tokenizers.conv`; there is no attention. In training
the tail of the row is dropped, so that every prefix is a picture.

For files the ids have a prior (:mod:`tokodec.entropy.rowprior`).

In ``stable`` numerics a window with an id in doubt is encoded again, alone and in float64.

Sources: tail dropping after Miwa et al., "One-D-Piece", 2025, and Bachmann et al., "FlexTok", ICML 2025; scalar quantization of Mentzer et
al., ICLR 2024. The order by frequency is ours.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from tokodec.api import Output, Pixels
from tokodec.entropy.rowprior import RowPrior
from tokodec.entry import Entry, Weights
from tokodec.nn.pyramid import PyramidDecoder, PyramidEncoder
from tokodec.nn.spectrum import near, order, spectrum
from tokodec.quantizers.base import Choice, SureQuantizer
from tokodec.quantizers.fsq import FiniteScalarQuantizer
from tokodec.tokenizers.conv import ConvTokenizerConfig, levels, trains
from tokodec.tokenizers.lattice import lattice, sequence
from tokodec.tokenizers.prefix import PrefixTokenizer
from tokodec.tokenizers.rows import Parts, Row, Seen, by_window, mask

TOLERANCE = 3e-5
"""Of a coordinate that the quantizer compares, times the scale of its frequency: errors of float32 come out of the encoder, and grow with
that. The largest that was seen is less than half of it (see the card)."""

FEW, DAMPED = (2, 3), 0.7
"""In prefixes of so many ids the last one counts for so much: what is best on average makes every thirteenth picture worse than without it,
damped half as many, at 0.05 dB (see the card)."""
_NEAR = 4
"""So many frequencies around one say how large its numbers are."""

Features = Float[Tensor, "bk c g g"]


@dataclass(frozen=True, kw_only=True)
class SpectralConfig(ConvTokenizerConfig):
    """``side`` of a window in pixels, ``features`` of each place, ``hidden`` units of a head, ``levels`` of each coordinate of an id."""

    side: int = 256
    features: int = 64
    hidden: int = 128
    levels: tuple[int, ...] = (8, 8, 8, 6, 5)


class Head(nn.Module):
    """The same two layers for all frequencies, each of which has its own bias."""

    def __init__(self, frequencies: int, inputs: int, hidden: int, outputs: int) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(inputs, hidden), nn.Linear(hidden, outputs)
        self.place = nn.Parameter(torch.randn(frequencies, hidden))

    def forward(self, x: Float[Tensor, "bk n i"]) -> Float[Tensor, "bk n o"]:
        return self.last(F.gelu(self.first(x) + self.place[: x.shape[1]]))


class Analysis(nn.Module):
    """Features of windows to the vectors of their frequencies."""

    basis: Tensor

    def __init__(self, config: SpectralConfig, places: int, dim: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(-_typical(places).log())
        self.head = Head(places**2, config.features, config.hidden, dim)
        self.register_buffer("basis", spectrum(places), persistent=False)

    def forward(self, features: Features) -> Row:
        return self.head((self.basis.to(features.dtype) @ sequence(features)) * self.scale.exp()[:, None])


class Synthesis(nn.Module):
    """The mirror: vectors, maybe of the lowest frequencies alone, to features."""

    basis: Tensor

    def __init__(self, config: SpectralConfig, places: int, dim: int) -> None:
        super().__init__()
        self.places = places
        self.scale = nn.Parameter(_typical(places).log())
        self.head = Head(places**2, dim, config.hidden, config.features)
        self.register_buffer("basis", spectrum(places), persistent=False)

    def forward(self, z: Row, seen: Seen | None = None) -> Features:
        n = z.shape[1]
        known = self.head(z) * self.scale[:n, None].exp()
        if seen is not None:
            known = known * seen[..., None] * damping(seen.sum(1), n)
        elif n in FEW:
            known = known * damping(torch.tensor([n], device=z.device), n)
        return lattice(self.basis[:n].T.to(known.dtype) @ known, (self.places, self.places))


class SpectralTokenizer(PrefixTokenizer):
    """See the module's docstring. Other sizes: windows, filled up by replication."""

    bytes_per_pixel = 400
    layout = torch.channels_last
    at_once = 4

    def __init__(self, config: SpectralConfig) -> None:
        super().__init__()
        quantizer = FiniteScalarQuantizer(config.levels)
        self.config, self.quantizer = config, quantizer
        self.encoder = PyramidEncoder(levels(config, config.encoder_blocks), config.features)
        places = config.side // self.encoder.stride
        self.analysis = Analysis(config, places, quantizer.dim)
        self.synthesis = Synthesis(config, places, quantizer.dim)
        self.decoder = PyramidDecoder(levels(config, config.decoder_blocks), config.features)
        self.prior = RowPrior(near(places, _NEAR), config.levels)
        self.stride, self.row = config.side, places**2

    def optional(self) -> set[str]:
        """The prior came after the rest."""
        return {f"prior.{name}" for name in self.prior.state_dict()}

    @staticmethod
    def decides_ids(key: str) -> bool:
        """What is behind the ids does not."""
        return PrefixTokenizer.decides_ids(key) and not key.startswith("synthesis")

    def kept(self, quality: Float[Tensor, " b"]) -> Int[Tensor, " b"]:
        """``row ** (1 - (1 - quality)^2)`` ids, rounded: short prefixes count as much as long ones, and half of all qualities lie above a
        quarter of the ids."""
        return (self.row ** (1 - (1 - quality.double()) ** 2)).round().long()

    def drawn_lengths(self, items: int) -> Int[Tensor, " b"]:
        return self.kept(torch.rand(items))

    def latents(self, x: Parts) -> Row:
        return self.analysis(self.encoder(x))

    def drawn(self, z: Row, seen: Seen | None = None) -> tuple[Parts, Mapping[str, Tensor]]:
        parts = self.decoder(self.synthesis(z, seen))
        if not self.training or seen is None:
            return parts, {}
        with torch.no_grad():
            return parts, {"shorter": self.decoder(self.synthesis(z, mask(seen.sum(1) // 2, self.row)))}

    def forward(self, x: Pixels, *, quality: Float[Tensor, " b"] | None = None) -> Output:
        """As any of rows; in training ``aux`` also says what half of an item's ids, rounded down, decode to: ``shorter``.

        In training, where the prior has parameters to train, the term ``id_bits`` is what it spends on an id, and nothing else is computed.
        """
        if self.training and trains(self.prior):
            return self._tokenized(x)
        found = super().forward(x, quality=quality)
        if "shorter" in found.aux:
            found.aux["shorter"] = self.whole(self.from_native(found.aux["shorter"].float()), tuple(x.shape[2:]))
        return found

    def _tokenized(self, x: Pixels) -> Output:
        with torch.no_grad():
            ids = self._ids(x)
        bits = self.prior(by_window(ids, self.windows_of(x.shape[2:])))
        return Output(pixels=None, terms={"id_bits": bits.unflatten(0, (len(x), -1)).mean(1)}, aux={"ids": ids})

    def last_layer(self) -> Tensor:
        """The weights that every gradient of a picture passes last."""
        return self.decoder.last

    def finish(self, pictures: Iterable[Pixels]) -> None:
        """Freeze a trained prior."""
        if self.prior.net is not None:
            self.prior.freeze()

    def to_native(self, x: Pixels) -> Pixels:
        """Around zero: [-0.5, 0.5]."""
        return x - 0.5

    def from_native(self, x: Pixels) -> Pixels:
        return x + 0.5

    def settled(self, some: Float[Tensor, "k 3 s s"]) -> Int[Tensor, "k n"]:
        """The ids of windows, in float64 of those with an id in doubt."""
        assert isinstance(self.quantizer, SureQuantizer)
        choice = self.quantizer.choose(self.latents(some.contiguous(memory_format=self.layout)))
        ids = choice.ids
        for doubtful in self.in_doubt(choice).nonzero().flatten().tolist():
            ids[doubtful] = self.quantizer.ids(self.exactly(some[doubtful : doubtful + 1]))[0]
        return ids

    def in_doubt(self, choice: Choice) -> Bool[Tensor, " bk"]:
        """Whether float32 might have decided an id of a window otherwise than float64."""
        return (choice.margin < TOLERANCE * self.analysis.scale.exp()).any(1)

    def exactly(self, one: Float[Tensor, "1 3 s s"]) -> Float[Tensor, "1 n d"]:
        """The vectors of a window in float64."""
        return _in_float64(self.analysis, _in_float64(self.encoder, one.double()))


def damping(lengths: Int[Tensor, " b"], n: int) -> Float[Tensor, "b n 1"]:
    """What each of ``n`` ids counts for in prefixes of these lengths."""
    last = torch.arange(n, device=lengths.device) == lengths[:, None] - 1
    few = torch.isin(lengths, torch.tensor(FEW, device=lengths.device))
    return torch.where(last & few[:, None], DAMPED, 1.0)[..., None]


def _in_float64(module: nn.Module, x: Tensor) -> Tensor:
    return torch.func.functional_call(module, {name: p.double() for name, p in module.named_parameters()}, (x,))


def _typical(places: int) -> Float[Tensor, " n"]:
    """How large a frequency of smooth features is, about: as one over it, from which training starts."""
    return torch.tensor([places / (1 + (u**2 + v**2) ** 0.5) for u, v in order(places)])


MODELS = {
    "spectral_256.v2": Entry(
        build=SpectralTokenizer,
        config=SpectralConfig(),
        family="spectral",
        weights=Weights(file="spectral_256.v2.safetensors"),
        variable_rate=True,
        variable_length=True,
    ),
    "spectral_test": Entry(
        build=SpectralTokenizer,
        config=SpectralConfig(
            widths=(8, 12), encoder_blocks=(1, 1), decoder_blocks=(1, 1), kernels=(3, 3), side=32, features=8, hidden=16, levels=(5, 4, 3)
        ),
        family="spectral",
        weights=Weights(file="spectral_test.safetensors"),
        variable_rate=True,
        variable_length=True,
    ),
}

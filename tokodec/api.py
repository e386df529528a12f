"""The types that every model shares: outputs, and the kinds of autoencoder. Codes are in :mod:`tokodec.codes`."""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from tokodec.codes import Bitstream, Latents, Stream, Symbols, Tokens
from tokodec.errors import FingerprintMismatch, InputError
from tokodec.numerics import Numerics, Stable

__all__ = [
    "Autoencoder",
    "Bitstream",
    "Codec",
    "ContinuousTokenizer",
    "DiscreteTokenizer",
    "Latents",
    "Output",
    "Pixels",
    "Reducer",
    "Sampler",
    "Stream",
    "Symbols",
    "Tokens",
]

Pixels = Float[Tensor, "b 3 *thw"]
"""RGB in [0, 1]: (b, 3, h, w) for pictures, (b, 3, t, h, w) for clips."""
Features = Float[Tensor, "b n c"]
"""Of places of pictures, row by row, as another network gives them."""


@dataclass(frozen=True, kw_only=True)
class Sampler:
    """How a generative decoder draws a picture: in so many ``steps`` of its network, from noise of ``seed``.

    ``guidance`` is by how much the code counts more than it does by itself; 1 is as trained. Raises InputError.
    """

    steps: int = 25
    guidance: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        if self.steps < 1 or not math.isfinite(self.guidance):
            raise InputError(f"a sampler has at least 1 step and a finite guidance, not {self.steps} and {self.guidance}")


@dataclass(frozen=True, kw_only=True)
class Output:
    """What a forward pass gives a trainer.

    ``terms`` are unweighted, one value an item; ``aux`` holds latents and features for objectives that need them.
    """

    pixels: Float[Tensor, "b c *thw"] | None
    """RGB in [0, 1], or what goes into a model of something else."""
    terms: dict[str, Float[Tensor, " b"]]
    aux: dict[str, Tensor] = field(default_factory=dict)


CodeT = TypeVar("CodeT", Tokens, Latents, Bitstream)


class Autoencoder(nn.Module, ABC, Generic[CodeT]):
    """Pixels to a code and back. Deterministic in eval mode."""

    name: str = ""
    """In the zoo, with its version; set when weights are loaded."""
    bytes_per_pixel: int = 100
    """Memory that coding takes for each pixel of a large picture, the picture file included; measured at 12 megapixels, rounded up."""
    stride: int = 16
    """Pictures are computed at sizes filled up to multiples of it."""
    layout: torch.memory_format = torch.channels_last
    """Of maps and kernels in memory."""
    takes: str = "rgb"
    """What goes in: pictures in RGB, or what the model's entry says; set when weights are loaded."""
    gives: str = ""
    """What comes out, where it is not what goes in: features, for a model that draws no pictures."""
    stored: torch.dtype = torch.float16
    """Of parameters in weights files."""
    fingerprint: bytes = b""
    """Hash of the weights as stored, the configuration and the entropy tables; set when weights are loaded."""

    def __init__(self) -> None:
        super().__init__()
        self.numerics: Numerics = Stable()

    def derived(self) -> set[str]:
        """Names of parameters that need not be stored, because exact tables that are stored say the same."""
        return set()

    def optional(self) -> set[str]:
        """Names of tensors that older weights files lack, all of them together: they then stay as they are at the start."""
        return set()

    def recover(self) -> None:
        """Make those parameters out of the tables, up to rounding: for training on."""

    def last_layer(self) -> Tensor:
        """The weights that every gradient of a picture passes last: where adaptive weights are measured. Raises InputError without."""
        raise InputError(f"{type(self).__name__} does not say which of its layers is last: use a fixed weight")

    def refuse(self, quality: object) -> None:
        """Raise InputError for a quality: for models that have none to choose."""
        if quality is not None:
            raise InputError(f"{self.name or 'this model'} has one rate: it takes no quality")

    def refuse_sampler(self, sampler: Sampler | None) -> None:
        """Raise InputError for a sampler: for decoders that draw nothing."""
        if sampler is not None:
            raise InputError(f"{self.name or 'this model'} decodes in one way only: it takes no sampler")

    @abstractmethod
    def encode(self, x: Pixels, *, quality: float | Float[Tensor, " b"] | None = None) -> CodeT:
        """The code of pictures in [0, 1]; ``quality`` in [0, 1] where the rate varies, else it is refused."""

    @abstractmethod
    def decode(self, code: CodeT, *, sampler: Sampler | None = None) -> Pixels:
        """Pictures of exactly the size that was encoded, clamped to [0, 1]. ``sampler``: for generative decoders, else it is refused."""

    @abstractmethod
    def forward(self, x: Pixels, *, quality: Float[Tensor, " b"] | None = None) -> Output:
        """Differentiable reconstruction and its terms, for training."""


class DiscreteTokenizer(Autoencoder[Tokens]):
    """Pictures to ids.

    ``fingerprint`` covers what decides ids, so that one set of ids can have several decoders.
    """

    @staticmethod
    def decides_ids(key: str) -> bool:
        """Whether the tensor or the setting of that name has to do with ids."""
        return not key.startswith(("decoder", "post_quant", "prior."))

    @abstractmethod
    def blank(self, size: tuple[int, ...]) -> Tokens:
        """Tokens of one picture of ``size`` without values: ids on the ``meta`` device, which cost no memory."""

    def signed(self, streams: Mapping[str, Stream], size: tuple[int, ...]) -> Tokens:
        """Tokens that say which model made them."""
        return Tokens(streams=streams, size=size, model=self.name, fingerprint=self.fingerprint)

    def check_maker(self, tokens: Tokens) -> None:
        """Raise FingerprintMismatch for tokens of a model with other ids. Tokens that do not say who made them pass."""
        if tokens.fingerprint and self.fingerprint and tokens.fingerprint != self.fingerprint:
            raise FingerprintMismatch(
                f"the tokens were made by {tokens.model or 'a model'} of fingerprint {tokens.fingerprint.hex()}, but {self.name} here has "
                f"{self.fingerprint.hex()}"
            )

    def finish(self, pictures: Iterable[Pixels]) -> None:
        """Once, after training and before weights are shipped. ``pictures``: batches of typical ones."""


class ContinuousTokenizer(Autoencoder[Latents]):
    """Pictures to real-valued latents."""


class Reducer(Autoencoder[Latents]):
    """Features to fewer vectors, which a language model reads; there is no way back. Fewer of them are a code, too."""

    gives = "vectors"
    counts: Sequence[int]
    """How many vectors there can be, ascending."""

    @abstractmethod
    def encode(self, x: Features, *, quality: float | Float[Tensor, " b"] | None = None) -> Latents:
        """``z`` (b, k, d); ``quality`` in [0, 1] goes through ``counts``, None is the last one. ``size``: the number of features, (n,)."""

    @abstractmethod
    def truncate(self, code: Latents, k: int) -> Latents:
        """The code of ``k`` vectors, one of ``counts``, as ``encode`` gives it. Raises InputError."""

    @abstractmethod
    def forward(self, x: Features, *, quality: Float[Tensor, " b"] | None = None) -> Output:
        """Without pictures and terms: ``aux`` holds vectors for the loss of a language model."""

    def decode(self, code: Latents, *, sampler: Sampler | None = None) -> Pixels:
        """Raises InputError."""
        raise InputError(f"{self.name or 'this model'} reduces features to vectors that a language model reads: nothing decodes them")


class Codec(Autoencoder[Bitstream]):
    """Pictures to real bytes, never an estimate. ``encode`` and ``decode`` compose four public stages."""

    def freeze(self, pictures: Iterable[Pixels]) -> None:
        """After training: make the exact tables and nets. ``pictures``: batches of typical ones, to read ranges from."""

    def polish(self, pictures: Iterable[Pixels]) -> None:
        """Once, after ``freeze`` and before weights are shipped: tune what the encoder alone decides. May take minutes."""

    @abstractmethod
    def symbols(self, x: Pixels, quality: float | Float[Tensor, " b"] | None = None) -> Symbols:
        """What will be written: transform, then round."""

    @abstractmethod
    def write(self, symbols: Symbols) -> list[bytes]:
        """One payload an item."""

    def check(self, payload: bytes, size: tuple[int, ...]) -> None:
        """Raise CorruptFile if ``payload`` is too short for a picture of ``size``. Costs next to nothing, whatever the size."""

    @abstractmethod
    def read(self, data: Sequence[bytes], size: tuple[int, ...]) -> Symbols:
        """The symbols of payloads of pictures of one size. Raises CorruptFile."""

    @abstractmethod
    def synthesise(self, symbols: Symbols) -> Pixels:
        """Pictures in [0, 1] from symbols."""

    @abstractmethod
    def estimate(self, symbols: Symbols) -> Float[Tensor, " b"]:
        """Bits of each payload as the entropy model has them, without what the coder adds."""

    def encode(self, x: Pixels, *, quality: float | Float[Tensor, " b"] | None = None) -> Bitstream:
        symbols = self.symbols(x, quality)
        return Bitstream(data=self.write(symbols), size=symbols.size)

    def decode(self, code: Bitstream, *, sampler: Sampler | None = None) -> Pixels:
        self.refuse_sampler(sampler)
        return self.synthesise(self.read(code.data, code.size))

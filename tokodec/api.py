"""The types that every model shares: codes, outputs, and the kinds of autoencoder."""

import math
import zlib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, Generic, Self, TypeVar

import torch
from jaxtyping import Float, Int, Num
from torch import Tensor, nn

from tokodec.errors import InputError
from tokodec.numerics import Numerics, Stable

Pixels = Float[Tensor, "b 3 *thw"]
"""RGB in [0, 1]: (b, 3, h, w) for pictures, (b, 3, t, h, w) for clips."""


@dataclass(frozen=True, kw_only=True)
class Stream:
    """One lattice of ids, base 0.

    ``ids`` is int64 with the shape that ``axes`` names after the batch: ``("n",)``, ``("h", "w")`` or
    ``("t", "h", "w")``, with a last ``"k"`` when several codebooks share the lattice. ``vocab`` holds one size,
    or one a codebook. ``lengths`` is the valid prefix of each item where length varies.
    """

    ids: Int[Tensor, "b ..."]
    axes: tuple[str, ...]
    vocab: tuple[int, ...]
    lengths: Int[Tensor, " b"] | None = None

    def __post_init__(self) -> None:
        if self.ids.ndim != 1 + len(self.axes):
            raise InputError(f"ids of shape {tuple(self.ids.shape)} do not fit the axes b, {', '.join(self.axes)}")
        if self.axes[-1] == "k" and self.ids.shape[-1] != len(self.vocab):
            raise InputError(f"ids have {self.ids.shape[-1]} codebooks on their last axis, vocab has {len(self.vocab)}")

    @property
    def bits(self) -> Float[Tensor, " b"]:
        """Raw bits of each item: log2 of the vocabulary summed over its valid ids."""
        per_place = sum(math.log2(v) for v in self.vocab)
        places = math.prod(n for n, axis in zip(self.ids.shape[1:], self.axes, strict=True) if axis != "k")
        if self.lengths is None:
            return torch.full((self.ids.shape[0],), places * per_place, dtype=torch.float64)
        return self.lengths.to(torch.float64) * per_place


class _Code:
    """What all codes do: length, slicing along the batch, and moving between devices."""

    def _each(self, change: Any) -> Self:
        values = {f.name: _map(getattr(self, f.name), change) for f in fields(self)}  # type: ignore[arg-type]
        return replace(self, **values)  # type: ignore[type-var]

    def to(self, device: str | torch.device) -> Self:
        """The same code with its tensors on ``device``."""
        return self._each(lambda t: t.to(device))

    def __getitem__(self, items: slice) -> Self:
        if not isinstance(items, slice):
            raise InputError(f"codes are sliced, not indexed: use code[{items}:{items} + 1]")
        return self._each(lambda t: t[items])


def _map(value: Any, change: Any) -> Any:
    if isinstance(value, Tensor):
        return change(value)
    if isinstance(value, Stream):
        return replace(value, ids=change(value.ids), lengths=None if value.lengths is None else change(value.lengths))
    if isinstance(value, Mapping):
        return {k: _map(v, change) for k, v in value.items()}
    return value


@dataclass(frozen=True, kw_only=True)
class Tokens(_Code):
    """Ids of a discrete tokenizer: one stream for most models, several where a model has several lattices."""

    streams: Mapping[str, Stream]
    size: tuple[int, ...]
    """Pixels to crop back to: (h, w) or (t, h, w)."""

    @property
    def ids(self) -> Int[Tensor, "b ..."]:
        """The ids of the only stream. Raises ValueError, naming the streams, when there are several."""
        if len(self.streams) != 1:
            raise InputError(f"these tokens have several streams, choose one: {', '.join(self.streams)}")
        return next(iter(self.streams.values())).ids

    @property
    def bits(self) -> Float[Tensor, " b"]:
        """Raw bits of each item over all streams."""
        return torch.stack([stream.bits for stream in self.streams.values()]).sum(0)

    def __len__(self) -> int:
        return next(iter(self.streams.values())).ids.shape[0]


@dataclass(frozen=True, kw_only=True)
class Latents(_Code):
    """Values of a continuous tokenizer, at the precision they are stored in."""

    z: Float[Tensor, "b ..."]
    size: tuple[int, ...]

    @property
    def bits(self) -> Float[Tensor, " b"]:
        """Bits of each item at its stored precision."""
        return torch.full((len(self),), self.z[0].numel() * self.z.element_size() * 8, dtype=torch.float64)

    def __len__(self) -> int:
        return self.z.shape[0]


@dataclass(frozen=True, kw_only=True)
class Bitstream:
    """Payloads of a codec without a container, one an item; each decodes alone."""

    data: Sequence[bytes]
    size: tuple[int, ...]

    @property
    def bits(self) -> Float[Tensor, " b"]:
        """Real bits of each item."""
        return torch.tensor([8 * len(d) for d in self.data], dtype=torch.float64)

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, items: slice) -> "Bitstream":
        return replace(self, data=self.data[items])


@dataclass(frozen=True, kw_only=True)
class Symbols(_Code):
    """The integers that a codec writes: latents by name, in coding order.

    ``level`` is the integer quality of each item. ``values`` are int32, ``(b, c, h, w)``. ``size`` is the size of
    the pictures, (h, w). ``context`` is what the walk that made them derived from them (means, code tables), kept so
    that nobody computes it again; it may be empty.
    """

    values: Mapping[str, Int[Tensor, "b c h w"]]
    level: Int[Tensor, " b"]
    size: tuple[int, ...]
    context: Mapping[str, Tensor] = field(default_factory=dict)

    def crc32(self) -> list[int]:
        """CRC-32 of each item: its level, height and width, then its symbols in the order row, column, channel, all little-endian int32."""
        frames = torch.tensor([[int(level), *self.size] for level in self.level])
        return [_crc32([frames[i], *(v[i].movedim(0, -1) for v in self.values.values())]) for i in range(len(self))]

    def __len__(self) -> int:
        return self.level.shape[0]


def _crc32(values: Sequence[Num[Tensor, "..."]]) -> int:
    crc = 0
    for value in values:
        crc = zlib.crc32(value.to("cpu", torch.int32).contiguous().numpy().astype("<i4", copy=False).tobytes(), crc)
    return crc


@dataclass(frozen=True, kw_only=True)
class Output:
    """What a forward pass gives a trainer.

    ``terms`` are unweighted, one value an item; ``aux`` holds latents and features for objectives that need them.
    """

    pixels: Pixels | None
    terms: dict[str, Float[Tensor, " b"]]
    aux: dict[str, Tensor] = field(default_factory=dict)


CodeT = TypeVar("CodeT", Tokens, Latents, Bitstream)


class Autoencoder(nn.Module, ABC, Generic[CodeT]):
    """Pixels to a code and back. Deterministic in eval mode."""

    name: str
    """In the zoo, with its version; set when weights are loaded."""
    fingerprint: bytes
    """Hash of the weights as stored, the configuration and the entropy tables; set when weights are loaded."""

    def __init__(self) -> None:
        super().__init__()
        self.numerics: Numerics = Stable()

    @abstractmethod
    def encode(self, x: Pixels, *, quality: float | Float[Tensor, " b"] | None = None) -> CodeT:
        """The code of pictures in [0, 1]; ``quality`` in [0, 1] where the rate varies, else it is refused."""

    @abstractmethod
    def decode(self, code: CodeT) -> Pixels:
        """Pictures of exactly the size that was encoded, clamped to [0, 1]."""

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
        return not key.startswith(("decoder", "prior."))

    @abstractmethod
    def blank(self, size: tuple[int, ...]) -> Tokens:
        """Tokens of one picture of ``size`` without values: ids on the ``meta`` device, which cost no memory."""

    def finish(self, pictures: Iterable[Pixels]) -> None:
        """Once, after training and before weights are shipped. ``pictures``: batches of typical ones."""


class ContinuousTokenizer(Autoencoder[Latents]):
    """Pictures to real-valued latents."""


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

    def encode(self, x: Pixels, *, quality: float | Float[Tensor, " b"] | None = None) -> Bitstream:
        symbols = self.symbols(x, quality)
        return Bitstream(data=self.write(symbols), size=symbols.size)

    def decode(self, code: Bitstream) -> Pixels:
        return self.synthesise(self.read(code.data, code.size))

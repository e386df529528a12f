"""Codes: what autoencoders turn pictures into. All are frozen, are pytrees, have a length, can be sliced and moved."""

import math
import zlib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from itertools import accumulate
from pathlib import Path
from typing import Any, Self, TypeVar

import torch
from jaxtyping import Float, Int, Num
from torch import Tensor
from torch.utils import _pytree as pytree

from tokodec import sequence, storage
from tokodec.atomic import write_whole
from tokodec.errors import CorruptFile, InputError


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
        if self.lengths is not None and self.axes[:1] != ("n",):
            raise InputError(f"only a sequence, over (n) or (n, k), has lengths of its own; this lattice is over ({', '.join(self.axes)})")
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

    def sequence(self, item: int, offset: int, separator: int | None) -> Int[Tensor, " n"]:
        """The valid ids of one item as a sequence (:mod:`tokodec.sequence`)."""
        ids = self.ids[item] if self.lengths is None else self.ids[item, : int(self.lengths[item])]
        return sequence.flatten(ids, self.axes, self.vocab, offset, separator)

    def of_sequence(self, values: Int[Tensor, " n"], offset: int, separator: int | None) -> Int[Tensor, "..."]:
        """The ids of one item out of its sequence; where length varies, as many as there are."""
        shape = tuple(self.ids.shape[1:])
        if self.lengths is not None:
            inner = math.prod(shape[1:])
            shape = ((values.numel() - (separator is not None)) // inner, *shape[1:])
        return sequence.unflatten(values, shape, self.axes, self.vocab, offset, separator)

    def flat_length(self, separator: int | None) -> int:
        """How many ids :meth:`sequence` has where length does not vary."""
        if self.lengths is not None:
            raise InputError("a stream of varying length must be the last one of its tokens to be read out of a sequence")
        shape = self.ids.shape[1:]
        rows = math.prod(shape[: self.axes.index("w")]) if "w" in self.axes else 1
        return math.prod(shape) + (rows if separator is not None else 0)


class _Code(ABC):
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

    def save(self, path: Path | str) -> None:
        """Write one safetensors file, whole or not at all."""
        _save(self, path, *self._parts())

    @classmethod
    def load(cls, path: Path | str) -> Self:
        """The inverse of :meth:`save`. Raises NoInput, and CorruptFile for anything that is no saved code of this kind."""
        return _load(cls, path)

    @abstractmethod
    def _parts(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Tensors by name, and the rest as JSON."""

    @classmethod
    @abstractmethod
    def _of_parts(cls, tensors: dict[str, Tensor], meta: dict[str, Any]) -> Self:
        """The inverse. May raise KeyError, TypeError and ValueError for what is damaged."""


CodeT = TypeVar("CodeT", bound=_Code)


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
    model: str = ""
    """Which model made them; empty when that is not known."""
    fingerprint: bytes = b""
    """8 bytes that stand for the model's encoder and quantizer; empty when they are not known."""
    sources: tuple[str, ...] = ()
    """SHA-256 of the file that each item came from, in hexadecimal digits; empty when there was none."""

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

    def __getitem__(self, items: slice) -> "Tokens":
        return replace(super().__getitem__(items), sources=self.sources[items])

    def _parts(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        tensors = {f"{name}/ids": storage.compact(s.ids, max(s.vocab)) for name, s in self.streams.items()}
        tensors |= {f"{name}/lengths": s.lengths for name, s in self.streams.items() if s.lengths is not None}
        streams = {name: {"axes": s.axes, "vocab": s.vocab} for name, s in self.streams.items()}
        maker = {"model": self.model, "fingerprint": self.fingerprint.hex(), "sources": self.sources}
        return tensors, {"size": self.size, "streams": streams, **maker}

    @classmethod
    def _of_parts(cls, tensors: dict[str, Tensor], meta: dict[str, Any]) -> "Tokens":
        streams = {
            name: Stream(
                ids=tensors[f"{name}/ids"].to(torch.int64),
                axes=tuple(str(axis) for axis in stream["axes"]),
                vocab=tuple(int(v) for v in stream["vocab"]),
                lengths=tensors.get(f"{name}/lengths"),
            )
            for name, stream in meta["streams"].items()
        }
        sources, fingerprint = tuple(str(s) for s in meta["sources"]), bytes.fromhex(meta["fingerprint"])
        return cls(streams=streams, size=_size(meta), model=str(meta["model"]), fingerprint=fingerprint, sources=sources)

    def flatten(self, offset: int = 0, row_separator: int | None = None) -> list[Int[Tensor, " n"]]:
        """One sequence an item for a language model (:mod:`tokodec.sequence`); streams follow each other, each with its own range.

        Ids of the model itself may lie below ``offset`` and from ``offset`` + all vocabularies on; ``row_separator`` is one of them.
        """
        self._check_separator(offset, row_separator)
        items = range(len(self))
        return [torch.cat([s.sequence(i, start, row_separator) for s, start in self._ranges(offset)]) for i in items]

    @staticmethod
    def unflatten(sequences: Sequence[Int[Tensor, " n"]], like: "Tokens", offset: int = 0, row_separator: int | None = None) -> "Tokens":
        """The inverse of :meth:`flatten`. ``like``: tokens of the same layout, such as ``model.blank(size)``; their values do not count.

        Raises InputError, saying what, for ids out of range, wrong lengths and separators in wrong places.
        """
        return like.read_sequences(sequences, offset, row_separator)

    def read_sequences(self, sequences: Sequence[Int[Tensor, " n"]], offset: int, row_separator: int | None) -> "Tokens":
        """Tokens of this layout out of sequences, see :meth:`unflatten`."""
        self._check_separator(offset, row_separator)
        items = [self._of_sequence(_checked_sequence(torch.as_tensor(s)), offset, row_separator) for s in sequences]
        if not items:
            raise InputError("there are no sequences to read tokens out of")
        streams = {name: _joined(self.streams[name], [item[name] for item in items]) for name in self.streams}
        return replace(self, streams=streams, sources=())

    def _of_sequence(self, sequence: Int[Tensor, " n"], offset: int, separator: int | None) -> dict[str, Int[Tensor, "..."]]:
        found: dict[str, Tensor] = {}
        for (name, stream), (_, start) in zip(self.streams.items(), self._ranges(offset), strict=True):
            last = name == list(self.streams)[-1]
            count = sequence.numel() if last else stream.flat_length(separator)
            found[name] = stream.of_sequence(sequence[:count], start, separator)
            sequence = sequence[count:]
        return found

    def _ranges(self, offset: int) -> list[tuple[Stream, int]]:
        """Every stream and where its ids begin."""
        streams = list(self.streams.values())
        return list(zip(streams, accumulate((sum(s.vocab) for s in streams[:-1]), initial=offset), strict=True))

    def _check_separator(self, offset: int, separator: int | None) -> None:
        end = offset + sum(sum(s.vocab) for s in self.streams.values())
        if offset < 0 or (separator is not None and offset <= separator < end):
            raise InputError(
                f"offset {offset} must not be negative, and the separator {separator} not one of the ids {offset} to {end - 1}"
            )


@dataclass(frozen=True, kw_only=True)
class Latents(_Code):
    """Values of a continuous tokenizer, at the precision they are stored in."""

    z: Float[Tensor, "b ..."]
    size: tuple[int, ...]

    @property
    def bits(self) -> Float[Tensor, " b"]:
        """Bits of each item at its stored precision."""
        return torch.full((len(self),), self.z[0].numel() * self.z.element_size() * 8, dtype=torch.float64)

    def _parts(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        return {"z": self.z}, {"size": self.size}

    @classmethod
    def _of_parts(cls, tensors: dict[str, Tensor], meta: dict[str, Any]) -> "Latents":
        return cls(z=tensors["z"], size=_size(meta))

    def __len__(self) -> int:
        return self.z.shape[0]


@dataclass(frozen=True, kw_only=True)
class Bitstream(_Code):
    """Payloads of a codec without a container, one an item; each decodes alone."""

    data: Sequence[bytes]
    size: tuple[int, ...]

    @property
    def bits(self) -> Float[Tensor, " b"]:
        """Real bits of each item."""
        return torch.tensor([8 * len(d) for d in self.data], dtype=torch.float64)

    def _parts(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        return {str(i): torch.frombuffer(bytearray(d) or bytearray(1), dtype=torch.uint8)[: len(d)] for i, d in enumerate(self.data)}, {
            "size": self.size
        }

    @classmethod
    def _of_parts(cls, tensors: dict[str, Tensor], meta: dict[str, Any]) -> "Bitstream":
        return cls(data=[tensors[str(i)].numpy().tobytes() for i in range(len(tensors))], size=_size(meta))

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

    @classmethod
    def join(cls, items: Sequence["Symbols"]) -> "Symbols":
        """One batch out of several, of pictures of one size."""
        first = items[0]
        return cls(
            values={name: torch.cat([item.values[name] for item in items]) for name in first.values},
            level=torch.cat([item.level for item in items]),
            size=first.size,
            context={name: torch.cat([item.context[name] for item in items]) for name in first.context},
        )

    def _parts(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        tensors = {f"values/{name}": t for name, t in self.values.items()} | {f"context/{name}": t for name, t in self.context.items()}
        return {"level": self.level, **tensors}, {"size": self.size, "order": [*self.values]}

    @classmethod
    def _of_parts(cls, tensors: dict[str, Tensor], meta: dict[str, Any]) -> "Symbols":
        values = {str(name): tensors[f"values/{name}"] for name in meta["order"]}
        context = {name.removeprefix("context/"): t for name, t in tensors.items() if name.startswith("context/")}
        return cls(values=values, level=tensors["level"], size=_size(meta), context=context)

    def __len__(self) -> int:
        return self.level.shape[0]


def _crc32(values: Sequence[Num[Tensor, "..."]]) -> int:
    crc = 0
    for value in values:
        crc = zlib.crc32(value.to("cpu", torch.int32).contiguous().numpy().astype("<i4", copy=False).tobytes(), crc)
    return crc


def _size(meta: Mapping[str, Any]) -> tuple[int, ...]:
    return tuple(int(n) for n in meta["size"])


def _save(code: _Code, path: Path | str, tensors: Mapping[str, Tensor], meta: Mapping[str, Any]) -> None:
    write_whole(Path(path), storage.pack(tensors, {"code": type(code).__name__, **meta}))


def _load(kind: type[CodeT], path: Path | str) -> CodeT:
    tensors, meta = storage.unpack(storage.read(Path(path)))
    if meta.get("code") != kind.__name__:
        raise CorruptFile(f"{path}: holds {meta.get('code')!s:.40}, not {kind.__name__}")
    try:
        return kind._of_parts(tensors, meta)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  of this file
    except (KeyError, TypeError, ValueError, RuntimeError, AttributeError) as error:
        raise CorruptFile(f"{path}: damaged: {error!s:.100}") from None


def _checked_sequence(sequence: Tensor) -> Int[Tensor, " n"]:
    if sequence.ndim != 1 or sequence.is_floating_point() or sequence.is_complex() or sequence.dtype == torch.bool:
        raise InputError(f"a sequence is whole numbers along one axis, not {tuple(sequence.shape)} of {sequence.dtype}")
    return sequence


def _joined(like: Stream, items: Sequence[Int[Tensor, "..."]]) -> Stream:
    """A stream of items; where length varies they are filled up with zeros."""
    if like.lengths is None:
        return replace(like, ids=torch.stack(list(items)))
    lengths = torch.tensor([len(item) for item in items])
    return replace(like, ids=torch.nn.utils.rnn.pad_sequence(list(items), batch_first=True), lengths=lengths)


def _children(code: Any) -> tuple[list[Any], tuple[type[Any], tuple[str, ...], dict[str, Any]]]:
    """Tensors and what holds tensors, then everything else."""
    values = {f.name: getattr(code, f.name) for f in fields(code)}
    names = tuple(name for name, value in values.items() if isinstance(value, Tensor | Stream | Mapping))
    return [values[name] for name in names], (type(code), names, {n: v for n, v in values.items() if n not in names})


def _rebuilt(children: Iterable[Any], context: tuple[type[Any], tuple[str, ...], dict[str, Any]]) -> Any:
    """The inverse; leaves may be anything, so nothing is checked."""
    kind, names, rest = context
    code = object.__new__(kind)
    for name, value in {**rest, **dict(zip(names, children, strict=True))}.items():
        object.__setattr__(code, name, value)
    return code


for _kind in (Stream, Tokens, Latents, Bitstream, Symbols):
    pytree.register_pytree_node(_kind, _children, _rebuilt, serialized_type_name=f"tokodec.{_kind.__name__}")

"""The formats of token files: the same parts as JSON lines, as npz, and as safetensors. docs/tokens.md lays them out."""

import io
import json
import math
import warnings
import zipfile
import zlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
import torch
from jaxtyping import UInt

from tokodec import storage
from tokodec.errors import CorruptFile

VERSION = 0
"""Of the layout."""

_TYPES = ("uint16", "uint32")
_META = "tokodec.json"
_ZIP = b"PK\x03\x04"


@dataclass(frozen=True, kw_only=True)
class StreamParts:
    """One lattice of ids of one picture. ``varies``: its length is its own."""

    axes: tuple[str, ...]
    vocab: tuple[int, ...]
    varies: bool
    ids: UInt[np.ndarray, "..."]


@dataclass(frozen=True, kw_only=True)
class RecordParts:
    """One picture. ``source``: SHA-256 of its file, or empty."""

    name: str
    source: str
    size: tuple[int, ...]
    streams: Mapping[str, StreamParts]


@dataclass(frozen=True, kw_only=True)
class Parts:
    """All that a file says. ``writer``: the program that wrote it, and its version."""

    writer: str
    model: str
    fingerprint: str
    records: Sequence[RecordParts]


class Format(ABC):
    """A way to lay parts out as bytes."""

    @abstractmethod
    def recognises(self, data: bytes) -> bool:
        """By the first bytes."""

    @abstractmethod
    def pack(self, parts: Parts) -> bytes:
        """The bytes of a file."""

    @abstractmethod
    def unpack(self, data: bytes) -> Parts:
        """The inverse. Raises CorruptFile. Allocates no more than a small multiple of the bytes present."""


class JsonLines(Format):
    """A line that says what made the tokens, then a line a record, ids as one flat list."""

    def recognises(self, data: bytes) -> bool:
        return data[:1] == b"{"

    def pack(self, parts: Parts) -> bytes:
        lines = chain([_head(parts)], (self._line(number, record) for number, record in enumerate(parts.records)))
        return b"".join(json.dumps(line, separators=(",", ":")).encode() + b"\n" for line in lines)

    @staticmethod
    def _line(number: int, record: RecordParts) -> dict[str, Any]:
        line = _record_json(number, record)
        for name, stream in record.streams.items():
            line["streams"][name]["ids"] = stream.ids.flatten().tolist()
        return line

    def unpack(self, data: bytes) -> Parts:
        with _damage("JSON lines"):
            head, *records = [json.loads(line) for line in data.decode().split("\n") if line]  # not splitlines: JSON may hold U+2028
            return _read(head, records, lambda number, name: _numbers(records[number]["streams"][name]["ids"]))


class Npz(Format):
    """Stored, not deflated: ids hardly shrink. Arrays ``NUMBER/STREAM.npy`` beside ``tokodec.json``."""

    def recognises(self, data: bytes) -> bool:
        return data[:4] == _ZIP

    def pack(self, parts: Parts) -> bytes:
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
            meta = json.dumps({**_head(parts), "records": [_record_json(n, r) for n, r in enumerate(parts.records)]})
            archive.writestr(zipfile.ZipInfo(_META), meta)
            for number, record in enumerate(parts.records):
                for name, stream in record.streams.items():
                    array = io.BytesIO()
                    np.lib.format.write_array(array, np.ascontiguousarray(stream.ids), allow_pickle=False)
                    archive.writestr(zipfile.ZipInfo(f"{number}/{name}.npy"), array.getvalue())
        return buffer.getvalue()

    def unpack(self, data: bytes) -> Parts:
        with _damage("npz"), zipfile.ZipFile(io.BytesIO(data)) as archive:
            if sum(m.file_size for m in archive.infolist()) > len(data):  # parts that overlap, or claim what is not there
                raise CorruptFile("the npz file claims more bytes than it has")
            if any(m.compress_type != zipfile.ZIP_STORED for m in archive.infolist()):
                raise CorruptFile("the npz file is deflated, which files of tokens are not: save it without compression")
            meta = json.loads(archive.read(_META))
            return _read(meta, meta["records"], lambda number, name: _array(archive.read(f"{number}/{name}.npy")))


class SafeTensors(Format):
    """Tensors ``NUMBER/STREAM`` beside JSON in the header."""

    def recognises(self, data: bytes) -> bool:
        return data[8:9] == b"{"

    def pack(self, parts: Parts) -> bytes:
        streams = {(number, name): stream.ids for number, r in enumerate(parts.records) for name, stream in r.streams.items()}
        tensors = {f"{number}/{name}": torch.from_numpy(ids.copy()) for (number, name), ids in streams.items()}
        return storage.pack(tensors, {**_head(parts), "records": [_record_json(n, r) for n, r in enumerate(parts.records)]})

    def unpack(self, data: bytes) -> Parts:
        tensors, meta = storage.unpack(data)
        with _damage("safetensors"):
            return _read(meta, meta["records"], lambda number, name: tensors[f"{number}/{name}"].numpy())


FORMATS: Mapping[str, Format] = {"npz": Npz(), "safetensors": SafeTensors(), "jsonl": JsonLines()}


class _damage:  # noqa: N801  reads as a statement
    """Whatever goes wrong while a file is parsed is damage, told in one line."""

    def __init__(self, what: str) -> None:
        self._what = what

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        wrong = (KeyError, IndexError, TypeError, ValueError, AttributeError, OverflowError, EOFError, NotImplementedError, RuntimeError)
        if isinstance(error, (*wrong, zipfile.BadZipFile, OSError, RecursionError, Warning)) and not isinstance(error, CorruptFile):
            text = str(error).splitlines()[0][:100] if str(error) else type(error).__name__
            raise CorruptFile(f"the {self._what} file of tokens is damaged: {text}") from None


def _head(parts: Parts) -> dict[str, Any]:
    """What stands once. The number of records is part of it: lines that are missing at the end are seen."""
    head = {"tokodec_tokens": VERSION, "writer": parts.writer, "model": parts.model, "fingerprint": parts.fingerprint}
    return {**head, "count": len(parts.records), "crc32": _head_crc(parts)}


def _head_crc(parts: Parts) -> int:
    return _crc([VERSION, parts.writer, parts.model, parts.fingerprint, len(parts.records)])


def _record_crc(number: int, record: RecordParts) -> int:
    """Of all that a record says and of its place in the file; ids as little-endian uint32, whatever the format stores."""
    crc = _crc([number, record.name, record.source, *record.size])
    for name, s in record.streams.items():
        crc = _crc([name, "varies" if s.varies else "", *s.axes, *s.vocab, *s.ids.shape], crc)
        crc = zlib.crc32(np.ascontiguousarray(s.ids, "<u4").tobytes(), crc)
    return crc


def _crc(values: Iterable[str | int], start: int = 0) -> int:
    """CRC-32 of values as UTF-8 text, a NUL after each."""
    return zlib.crc32("".join(f"{value}\0" for value in values).encode("utf-8", "surrogatepass"), start)


def _record_json(number: int, record: RecordParts) -> dict[str, Any]:
    streams = {
        name: {"axes": s.axes, "vocab": s.vocab, "shape": s.ids.shape, **({"varies": True} if s.varies else {})}
        for name, s in record.streams.items()
    }
    crc = _record_crc(number, record)
    return {"name": record.name, "source": record.source, "size": record.size, "streams": streams, "crc32": crc}


def _read(head: Mapping[str, Any], records: Sequence[Mapping[str, Any]], ids: Callable[[int, str], np.ndarray]) -> Parts:
    """Parts out of JSON and arrays, each array held to the shape that was said, and everything to its checksum where one stands."""
    if int(head["tokodec_tokens"]) != VERSION:
        raise CorruptFile(f"tokens of format version {head['tokodec_tokens']!s:.20}, this reads version {VERSION}: update tokodec")
    parts = Parts(
        writer=str(head.get("writer", "")),
        model=str(head["model"]),
        fingerprint=str(head["fingerprint"]),
        records=[_read_record(number, record, ids) for number, record in enumerate(records)],
    )
    if int(head.get("count", len(records))) != len(records):
        raise CorruptFile(f"the file has {len(records)} records of the {int(head['count'])} that it should have")
    if head.get("crc32", _head_crc(parts)) != _head_crc(parts):
        raise CorruptFile("the file is damaged: what it says of itself does not fit its checksum")
    return parts


def _read_record(number: int, record: Mapping[str, Any], ids: Callable[[int, str], np.ndarray]) -> RecordParts:
    parts = RecordParts(
        name=str(record["name"]),
        source=str(record["source"]),
        size=tuple(int(n) for n in record["size"]),
        streams={str(name): _read_stream(stream, ids(number, str(name))) for name, stream in record["streams"].items()},
    )
    if "crc32" in record and record["crc32"] != _record_crc(number, parts):
        raise CorruptFile(f"record {number} is damaged: it does not fit its checksum")
    return parts


def _read_stream(stream: Mapping[str, Any], ids: np.ndarray) -> StreamParts:
    vocab, shape = tuple(int(v) for v in stream["vocab"]), tuple(int(n) for n in stream["shape"])
    if not vocab or not all(0 < v < 1 << 32 for v in vocab) or any(n < 0 for n in shape) or math.prod(shape) != ids.size:
        raise CorruptFile(f"{ids.size} ids of vocabulary {vocab} do not make a lattice of {shape}")
    if ids.dtype.name not in _TYPES:
        raise CorruptFile(f"ids are {' or '.join(_TYPES)}, not {ids.dtype.name}")
    axes, varies = tuple(str(axis) for axis in stream["axes"]), bool(stream.get("varies", False))
    return StreamParts(axes=axes, vocab=vocab, varies=varies, ids=ids.reshape(shape))


def _numbers(values: list[Any]) -> np.ndarray:
    """A flat list of whole numbers below 2^32."""
    array = np.array(values)
    if values and (array.ndim != 1 or array.dtype.kind != "i" or int(array.min()) < 0 or int(array.max()) >= 1 << 32):
        raise CorruptFile("ids are not one flat list of whole numbers below 2^32")
    return array.astype(np.uint32)


def _array(data: bytes) -> np.ndarray:
    """The array of an .npy file, whose header is held to the bytes that follow it."""
    stream = io.BytesIO(data)
    if np.lib.format.read_magic(stream) != (1, 0):
        raise CorruptFile("an array of the npz file is of another version")
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # numpy warns of headers that need repair: damage, here
        shape, fortran, kind = np.lib.format.read_array_header_1_0(stream)
    left = data[stream.tell() :]
    if fortran or kind.name not in _TYPES or math.prod(shape) * kind.itemsize != len(left):
        raise CorruptFile(f"an array of the npz file claims {shape} of {kind.name}, and {len(left)} bytes follow")
    return np.frombuffer(left, kind)

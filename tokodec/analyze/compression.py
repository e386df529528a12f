"""Bits an id when ids are written down: as plain numbers, and under general compressors.

All pictures make one string, so that a compressor sees what they share. Ids are packed in ceil(log2 size) bits each, the lowest first,
or stand in the fewest whole bytes of 1, 2, 4 and 8, which compressors find patterns in more easily.
"""

import lzma
import math
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Int

from tokodec.entropy import flat
from tokodec.entropy.flat import Section

_CHUNK = 1 << 16
"""Ids that are packed together: a multiple of 8, so that chunks end on whole bytes."""


@runtime_checkable
class _Compressor(Protocol):
    def compress(self, data: bytes, /) -> bytes: ...

    def flush(self) -> bytes: ...


@dataclass(frozen=True, kw_only=True)
class Compression:
    """Bits an id. ``plain``: as ids without a prior stand in a .tkd file; zlib at level 9, lzma (xz) at its default."""

    log2_size: float
    plain: float
    zlib_packed: float
    zlib_bytes: float
    lzma_packed: float
    lzma_bytes: float


def compression(ids: Int[np.ndarray, " n"], size: int) -> Compression:
    """Of at least one id in ``range(size)``."""
    return Compression(
        log2_size=math.log2(size),
        plain=8 * flat.length([Section(count=len(ids), size=size)]) / len(ids),
        zlib_packed=_bits(ids, size, packed, _zlib),
        zlib_bytes=_bits(ids, size, whole_bytes, _zlib),
        lzma_packed=_bits(ids, size, packed, _lzma),
        lzma_bytes=_bits(ids, size, whole_bytes, _lzma),
    )


def packed(ids: Int[np.ndarray, " n"], size: int) -> bytes:
    """``ceil(log2 size)`` bits an id, the lowest first; a codebook of one code has one bit."""
    width = max((size - 1).bit_length(), 1)
    octets = np.unpackbits(ids.astype("<u8").view(np.uint8).reshape(-1, 8), axis=1, count=width, bitorder="little")
    return np.packbits(octets, bitorder="little").tobytes()


def whole_bytes(ids: Int[np.ndarray, " n"], size: int) -> bytes:
    """1, 2, 4 or 8 bytes an id, little-endian."""
    width = next(w for w in (1, 2, 4, 8) if size <= 1 << 8 * w)
    return ids.astype(f"<u{width}").tobytes()


def _bits(
    ids: Int[np.ndarray, " n"], size: int, layout: Callable[[Int[np.ndarray, " n"], int], bytes], make: Callable[[], _Compressor]
) -> float:
    compressor = make()
    length = sum(len(compressor.compress(layout(part, size))) for part in _chunks(ids)) + len(compressor.flush())
    return 8 * length / len(ids)


def _chunks(ids: Int[np.ndarray, " n"]) -> Iterator[Int[np.ndarray, " m"]]:
    for start in range(0, len(ids), _CHUNK):
        yield ids[start : start + _CHUNK]


def _zlib() -> _Compressor:
    return zlib.compressobj(9)


def _lzma() -> _Compressor:
    return lzma.LZMACompressor()

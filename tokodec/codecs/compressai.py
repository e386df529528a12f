"""CompressAI's own models as codecs, with its own coder: ``compressai/mbt2018-mean-4``.

An adapter, for whoever has that package and its weights and wants to measure or to decode with exactly those. Their payloads
are CompressAI's strings: nothing makes sure that another machine decodes them, and symbols here are the bytes themselves, so
the CRC-32 of a file says only that they are the bytes that were written. CompressAI's decoder looks at no bounds: read only
payloads of people you trust. For files that decode anywhere, convert the weights
(:mod:`tokodec.pretrained.convert.compressai`).
"""

import struct
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from tokodec.api import Codec, Output, Pixels, Symbols
from tokodec.errors import CorruptFile
from tokodec.nn.pad import padded

_PAD = 64
_HEAD = struct.Struct("<HHB")
_LENGTH = struct.Struct("<I")
_NONE = -1


class CompressAICodec(Codec):
    """A model of ``compressai.zoo`` that is ready to code. One rate."""

    bytes_per_pixel = 900
    stride = _PAD

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Pixels, *, quality: Float[Tensor, " b"] | None = None) -> Output:
        """Terms of each item as the codec does it: ``mse`` (RGB in [0, 1]) and ``bpp``."""
        symbols = self.symbols(x, quality)
        pixels = self.synthesise(symbols)
        bpp = torch.tensor([8 * len(data) / (x.shape[2] * x.shape[3]) for data in self.write(symbols)], device=x.device)
        return Output(pixels=pixels, terms={"mse": (pixels - x).square().flatten(1).mean(1), "bpp": bpp})

    def symbols(self, x: Pixels, quality: float | Float[Tensor, " b"] | None = None) -> Symbols:
        """The payloads as numbers, one picture after the other. Raises InputError for a quality: there is none to choose."""
        self.refuse(quality)
        return self._of([self._compressed(item) for item in padded(x, _PAD).split(1)], (x.shape[2], x.shape[3]))

    @torch.no_grad()
    def _compressed(self, x: Float[Tensor, "1 3 h w"]) -> bytes:
        stream = self.model.compress(x.contiguous())
        strings = [string for (string,) in stream["strings"]]
        head = _HEAD.pack(*stream["shape"], len(strings))
        return head + b"".join(_LENGTH.pack(len(s)) for s in strings) + b"".join(strings)

    def _of(self, data: Sequence[bytes], size: tuple[int, ...]) -> Symbols:
        rows = [torch.from_numpy(np.frombuffer(item, np.uint8).astype(np.int32)) for item in data]
        values = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=_NONE)
        device = next(self.parameters()).device
        level = torch.zeros(len(data), dtype=torch.int64, device=device)
        return Symbols(values={"bytes": values[:, None, None].to(device)}, level=level, size=size)

    def write(self, symbols: Symbols) -> list[bytes]:
        """One payload an item: the latents' height and width, how many strings, their lengths, and they."""
        return [_bytes(row[0, 0]) for row in symbols.values["bytes"]]

    def check(self, payload: bytes, size: tuple[int, ...]) -> None:
        """Raise CorruptFile for what cannot be a payload of a picture of ``size``. CompressAI's coder does not look at all."""
        self._parsed(payload, size)

    def read(self, data: Sequence[bytes], size: tuple[int, ...]) -> Symbols:
        """The symbols of payloads of pictures of ``size`` (h, w). Raises CorruptFile."""
        for payload in data:
            self.check(payload, size)
        return self._of(data, size)

    def synthesise(self, symbols: Symbols) -> Pixels:
        """Pictures in [0, 1] of the size that was encoded."""
        items = [self._decompressed(data, symbols.size) for data in self.write(symbols)]
        return torch.cat(items)[..., : symbols.size[0], : symbols.size[1]].clamp(0, 1)

    @torch.no_grad()
    def _decompressed(self, payload: bytes, size: tuple[int, ...]) -> Float[Tensor, "1 3 h w"]:
        shape, strings = self._parsed(payload, size)
        pixels: Tensor = self.model.decompress([[string] for string in strings], torch.Size(shape))["x_hat"]
        return pixels

    def _parsed(self, payload: bytes, size: tuple[int, ...]) -> tuple[tuple[int, int], list[bytes]]:
        """The shape of the coarsest latents, and the strings: of a hyperprior two, else one."""
        hyper = hasattr(self.model, "h_a")
        blocks = [-(-n // _PAD) * (1 if hyper else 4) for n in size]
        shape, strings = _strings(payload)
        if shape != (blocks[0], blocks[1]) or len(strings) != 1 + hyper:
            raise CorruptFile(
                f"{len(strings)} strings of {shape[0]} x {shape[1]} latents do not belong to a picture of {size[0]} x {size[1]}"
            )
        return shape, strings

    def estimate(self, symbols: Symbols) -> Float[Tensor, " b"]:
        """Bits of the payloads: CompressAI's coder is what there is."""
        return torch.tensor([8.0 * len(data) for data in self.write(symbols)], dtype=torch.float64)


def _bytes(row: Int[Tensor, " n"]) -> bytes:
    return row[row != _NONE].to("cpu", torch.uint8).numpy().tobytes()


def _strings(payload: bytes) -> tuple[tuple[int, int], list[bytes]]:
    """The shape of the coarsest latents, and the strings."""
    if len(payload) < _HEAD.size:
        raise CorruptFile(f"a payload of {len(payload)} bytes is too short for CompressAI's strings")
    height, width, count = _HEAD.unpack_from(payload)
    start = _HEAD.size + count * _LENGTH.size
    if len(payload) < start:
        raise CorruptFile("the lengths of CompressAI's strings are cut off")
    lengths = [_LENGTH.unpack_from(payload, _HEAD.size + i * _LENGTH.size)[0] for i in range(count)]
    # Its decoder reads 8 bytes whatever there is.
    if not count or min(lengths) < 8 or start + sum(lengths) != len(payload):
        raise CorruptFile("the lengths of CompressAI's strings do not add up")
    ends = np.cumsum([start, *lengths]).tolist()
    return (height, width), [payload[a:b] for a, b in pairwise(ends)]

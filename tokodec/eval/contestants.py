"""Models of the zoo as contestants, and contestants by name."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Int

from tokodec import files
from tokodec.api import Symbols
from tokodec.catalogue import model_info, resolve
from tokodec.codecs.prefix import PrefixCodec
from tokodec.codecs.token import TokenCodec
from tokodec.entropy import layerplan, tileplan
from tokodec.entropy.container import MAX_SIDE, TkdFile, unpack
from tokodec.errors import InputError
from tokodec.eval.baselines import BASELINES, Baseline
from tokodec.eval.contestant import Codes, Contents, Contestant, Pixels8, spread
from tokodec.media.picture import Picture
from tokodec.rate import Length, Quality, Rate

__all__ = ["BASELINES", "IDS", "Baseline", "Contestant", "Model", "Named", "Pixels8"]

IDS = "ids of a window"
"""What settings are where they are no qualities."""


class Model(Contestant):
    """A codec or a discrete tokenizer of ours in stable numerics: .tkd files, read back as anyone would.

    ``name``: of the zoo, or of weights elsewhere, ``dir:FOLDER``, which are shown under that name. ``lengths``: where ids go from coarse to
    fine, settings are these numbers of ids of each window, as far as there are so many, not qualities. ``device``: as torch names it.
    """

    def __init__(self, name: str, qualities: Sequence[float], lengths: Sequence[int] = (), device: str = "cpu") -> None:
        self._machine = files.Machine(device=device)
        elsewhere = ":" in name
        self.name = name if elsewhere else resolve(name)
        info = model_info(self._machine.codec(name).name if elsewhere else name)
        if info.kind not in files.FILE_KINDS:
            raise InputError(f"{name} is a {info.kind} model, which makes no files")
        self._codec = codec = self._machine.codec(self.name)
        asked = qualities if info.variable_rate else (None,)
        self._rates: dict[float | None, Rate] = {quality: Quality(quality) for quality in asked}
        self._by_length = bool(lengths) and isinstance(codec, PrefixCodec)
        if lengths and isinstance(codec, PrefixCodec):
            self._rates = {length: Length(length) for length in sorted({min(length, codec.row) for length in lengths})}
        self.settings = tuple(self._rates)

    def encode(self, picture: Pixels8, setting: float | None) -> bytes:
        return files.encode(Picture(rgb=picture), self._codec, self._rates[setting], self._machine).data

    def decode(self, data: bytes) -> Pixels8:
        return files.decode(data, files.Given(self._codec), self._machine).rgb

    def identity(self) -> dict[str, Any]:
        kind = self._machine.device.partition(":")[0]
        more = {} if kind == "cpu" else {"device": kind}  # the bytes are the same; the last digits of pixels need not be
        more |= {"unit": IDS} if self._by_length else {}
        more |= {"pictures": self._codec.pictures_fingerprint.hex()} if isinstance(self._codec, TokenCodec) else {}
        return {"kind": "model", "fingerprint": self._codec.fingerprint.hex(), "numerics": "stable"} | more

    def contents(self, data: bytes) -> Contents:
        file = unpack(data, max_pixels=MAX_SIDE**2)
        with torch.inference_mode():
            parts = self._parts(file)
            estimated = sum(float(self._codec.estimate(part)) for part in parts)
        if not isinstance(self._codec, TokenCodec):
            return Contents(estimated_bits=estimated)
        (part,) = parts
        codes = _codes(self._codec, part)
        return Contents(estimated_bits=estimated, raw_bits=sum(len(c.ids) * math.log2(c.size) for c in codes.values()), codes=codes)

    def _parts(self, file: TkdFile) -> list[Symbols]:
        """The symbols of the whole picture, or of each tile."""
        size, tiling, layers = (file.header.height, file.header.width), tileplan.plan_of(file), layerplan.plan_of(file)
        if layers is not None and isinstance(self._codec, PrefixCodec):
            return [self._codec.read_layers(layers, file.payloads, size)]
        if tiling is None:
            return [self._codec.read([file.payload], size)]
        tiles = tiling.tiles(size)
        return [self._codec.read([payload], tiles.box(number).size) for number, payload in enumerate(file.payloads)]


def _codes(codec: TokenCodec, symbols: Symbols) -> dict[str, Codes]:
    """By stream, and number where several codebooks share it."""
    return {
        f"{name}[{k}]" if len(stream.vocab) > 1 else name: Codes(ids=_there(codec, symbols, name, k), size=size)
        for name, stream in codec.tokenizer.blank(symbols.size).streams.items()
        for k, size in enumerate(stream.vocab)
    }


def _there(codec: TokenCodec, symbols: Symbols, name: str, k: int) -> Int[np.ndarray, " n"]:
    """Without what stands behind a prefix."""
    ids = symbols.values[name][0, k].flatten().cpu().numpy()
    return ids[: int(symbols.level)] if isinstance(codec, PrefixCodec) else ids


@dataclass(frozen=True, kw_only=True)
class Named:
    """A contestant by name, small enough to travel to another process.

    ``qualities``: of models of variable rate; ``lengths``: instead of them where ids go from coarse to fine, if any are given.
    ``points``: at most so many settings, if it is given.
    """

    name: str
    baseline: bool
    qualities: tuple[float, ...] = ()
    lengths: tuple[int, ...] = ()
    points: int | None = None

    def make(self, device: str = "cpu") -> Contestant:
        """Loads what is needed; ``device``: of models. Raises InputError, MissingExtra, ModelNotFound."""
        made = Baseline(self.name) if self.baseline else Model(self.name, self.qualities, self.lengths, device)
        if self.points is not None:
            made.settings = spread(made.settings, self.points)
        return made

"""Models of the zoo as contestants, and contestants by name."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from tokodec import files
from tokodec.api import Symbols
from tokodec.catalogue import model_info, resolve
from tokodec.codecs.token import TokenCodec
from tokodec.entropy.container import MAX_SIDE, TkdFile, unpack
from tokodec.entropy.tileplan import plan_of
from tokodec.errors import InputError
from tokodec.eval.baselines import BASELINES, Baseline
from tokodec.eval.contestant import Codes, Contents, Contestant, Pixels8
from tokodec.media.picture import Picture
from tokodec.rate import Quality

__all__ = ["BASELINES", "Baseline", "Contestant", "Model", "Named", "Pixels8"]


class Model(Contestant):
    """A codec or a discrete tokenizer of ours in stable numerics: .tkd files, read back as anyone would.

    ``name``: of the zoo, or of weights elsewhere, ``dir:FOLDER``, which are shown under that name. ``device``: as torch names it.
    """

    def __init__(self, name: str, qualities: Sequence[float], device: str = "cpu") -> None:
        self._machine = files.Machine(device=device)
        elsewhere = ":" in name
        self.name = name if elsewhere else resolve(name)
        info = model_info(self._machine.codec(name).name if elsewhere else name)
        if info.kind not in files.FILE_KINDS:
            raise InputError(f"{name} is a {info.kind} model, which makes no files")
        self.settings = tuple(qualities) if info.variable_rate else (None,)
        self._codec = self._machine.codec(self.name)

    def encode(self, picture: Pixels8, setting: float | None) -> bytes:
        return files.encode(Picture(rgb=picture), self._codec, Quality(setting), self._machine).data

    def decode(self, data: bytes) -> Pixels8:
        return files.decode(data, files.Given(self._codec), self._machine).rgb

    def identity(self) -> dict[str, Any]:
        kind = self._machine.device.partition(":")[0]
        elsewhere = {} if kind == "cpu" else {"device": kind}  # the bytes are the same; the last digits of pixels need not be
        return {"kind": "model", "fingerprint": self._codec.fingerprint.hex(), "numerics": "stable"} | elsewhere

    def contents(self, data: bytes) -> Contents:
        file = unpack(data, max_pixels=MAX_SIDE**2)
        with torch.inference_mode():
            parts = self._parts(file)
            estimated = sum(float(self._codec.estimate(part)) for part in parts)
        if not isinstance(self._codec, TokenCodec):
            return Contents(estimated_bits=estimated)
        (part,) = parts
        return Contents(
            estimated_bits=estimated, raw_bits=float(self._codec.tokenizer.blank(part.size).bits), codes=_codes(self._codec, part)
        )

    def _parts(self, file: TkdFile) -> list[Symbols]:
        """The symbols of the whole picture, or of each tile."""
        size, plan = (file.header.height, file.header.width), plan_of(file)
        if plan is None:
            return [self._codec.read([file.payload], size)]
        tiles = plan.tiles(size)
        return [self._codec.read([payload], tiles.box(number).size) for number, payload in enumerate(file.payloads)]


def _codes(codec: TokenCodec, symbols: Symbols) -> dict[str, Codes]:
    """By stream, and number where several codebooks share it."""
    return {
        f"{name}[{k}]" if len(stream.vocab) > 1 else name: Codes(ids=symbols.values[name][0, k].flatten().numpy(), size=size)
        for name, stream in codec.tokenizer.blank(symbols.size).streams.items()
        for k, size in enumerate(stream.vocab)
    }


@dataclass(frozen=True, kw_only=True)
class Named:
    """A contestant by name, small enough to travel to another process. ``qualities``: of models of variable rate."""

    name: str
    baseline: bool
    qualities: tuple[float, ...] = ()

    def make(self, device: str = "cpu") -> Contestant:
        """Loads what is needed; ``device``: of models. Raises InputError, MissingExtra, ModelNotFound."""
        return Baseline(self.name) if self.baseline else Model(self.name, self.qualities, device)

"""Where models run, how, and what a picture may take."""

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache

import torch

from tokodec.api import Codec, DiscreteTokenizer
from tokodec.catalogue import resolve
from tokodec.codecs.prefix import codec_of
from tokodec.codecs.token import TokenCodec
from tokodec.codecs.variable_rate import VariableRateCodec
from tokodec.entropy.tileplan import Tiles
from tokodec.errors import InputError, OutOfMemory
from tokodec.media.limits import DEFAULT_MAX_PIXELS, check_size, physical_memory
from tokodec.pretrained import store

_TILED_BYTES = 12
"""Of each pixel of a picture in tiles: the picture itself, and what its file formats take; measured at 48 megapixels, rounded up."""


def need(width: int, height: int, bytes_per_pixel: int, stride: int) -> int:
    """Bytes of memory that a picture takes in a model that fills it up to multiples of ``stride``."""
    filled = [-(-side // stride) * stride for side in (width, height)]
    return filled[0] * filled[1] * bytes_per_pixel


@dataclass(frozen=True, kw_only=True)
class Machine:
    """Where models run, how, and what a picture may take.

    ``device``: as torch names it, or ``auto``. ``numerics``: ``stable`` or ``fast``. ``max_memory`` in bytes. ``jobs``: tiles of a
    large picture that are coded at a time.
    """

    device: str = "cpu"
    numerics: str = "stable"
    max_pixels: int = DEFAULT_MAX_PIXELS
    max_memory: int = field(default_factory=physical_memory)
    jobs: int = 1

    def codec(self, name: str) -> Codec:
        """The codec of that name; of a discrete tokenizer, the one that writes its ids. Names of the zoo are loaded once a process.

        Raises ModelNotFound, WeightsMismatch, and InputError for a model that makes no files and for an unknown device.
        """
        if ":" in name or "/" in name:
            return _load(name, device_of(self.device), self.numerics)
        return _kept(resolve(name), device_of(self.device), self.numerics)

    def tokenizer(self, name: str) -> DiscreteTokenizer:
        """The discrete tokenizer of that name. Raises what :meth:`codec` raises, and InputError for another kind of model."""
        return self.token_codec(name).tokenizer

    def token_codec(self, name: str) -> TokenCodec:
        """The codec that writes its ids. Raises the same."""
        codec = self.codec(name)
        if not isinstance(codec, TokenCodec):
            raise InputError(f"{name} is no discrete tokenizer: see tokodec models list --kind discrete")
        return codec

    def check(self, width: int, height: int, bytes_per_pixel: int, stride: int = 1) -> None:
        """For a model that fills pictures up to multiples of ``stride``.

        Raises UnsupportedInput for more pixels than allowed and OutOfMemory for more than fit, both before any is allocated.
        """
        check_size(width, height, self.max_pixels)
        self._check(width, height, need(width, height, bytes_per_pixel, stride))

    def check_tiled(self, tiles: Tiles, codec: VariableRateCodec) -> None:
        """The same for a picture in tiles: few of them are in memory at a time."""
        check_size(tiles.width, tiles.height, self.max_pixels)
        self._check(tiles.width, tiles.height, self.need_tiled(tiles, codec))

    def need_tiled(self, tiles: Tiles, codec: VariableRateCodec) -> int:
        """Bytes of memory that a picture in tiles takes."""
        window = min(tiles.side, max(tiles.width, tiles.height)) + 2 * max(codec.reach) + codec.stride
        return tiles.width * tiles.height * _TILED_BYTES + self.jobs * window * window * codec.bytes_per_pixel

    def _check(self, width: int, height: int, needed: int) -> None:
        if needed > self.max_memory:
            limit = self.max_memory / 1e9
            raise OutOfMemory(
                f"{width} x {height} pixels need about {needed / 1e9:.1f} GB of memory; the limit is {limit:.1f} GB (max_memory)"
            )


@lru_cache(maxsize=4)
def _kept(name: str, device: torch.device, numerics: str) -> Codec:
    return _load(name, device, numerics)


def _load(name: str, device: torch.device, numerics: str) -> Codec:
    model = store.load(name, device=device, numerics=numerics)
    if isinstance(model, DiscreteTokenizer):
        return codec_of(model)
    if not isinstance(model, Codec):
        raise InputError(f"{name} is neither a codec nor a discrete tokenizer: it makes no .tkd files")
    return model


def device_of(name: str) -> torch.device:
    """The device of that name; ``auto`` is CUDA where there is one. Raises InputError for one that cannot be used."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise InputError(f"the device {name!r} cannot be used here: {str(error).splitlines()[0]}") from None
    return device


@contextmanager
def memory_told() -> Generator[None]:
    """Out of memory in torch and numpy as our own error."""
    try:
        yield
    except MemoryError as error:
        raise OutOfMemory("not enough memory for this picture") from error
    except RuntimeError as error:
        if isinstance(error, torch.OutOfMemoryError) or "allocate memory" in str(error) or "not enough memory" in str(error):
            raise OutOfMemory("not enough memory for this picture") from error
        raise

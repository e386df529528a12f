"""A probe of exactness for ``tokodec doctor --numerics``: one picture, coded in several ways on this machine."""

from collections.abc import Generator
from contextlib import contextmanager

import torch
from torch import Tensor

from tokodec import catalogue
from tokodec.api import Codec
from tokodec.files import FILE_KINDS
from tokodec.machine import Machine
from tokodec.numerics import PROFILES
from tokodec.zoo import MODELS


def probe() -> dict[str, str]:
    """``exact`` or what differs, for each model that makes files and whose weights are in the package."""
    names = [name for name, info in catalogue.zoo().items() if info.kind in FILE_KINDS and info.bytes and _draws(name)]
    with torch.inference_mode():
        return {name: _differences(name) or "exact" for name in names}


def _draws(name: str) -> bool:
    """Whether pictures go in and come out."""
    return MODELS[name].input == "rgb" and not MODELS[name].gives


def _differences(name: str) -> str:
    """Ways of reading that give other symbols than those that were written."""
    x = _picture()
    quality = 0.7 if catalogue.model_info(name).variable_rate else None
    wrong: list[str] = []
    for written in PROFILES:
        writer = Machine(numerics=written).codec(name)
        symbols = writer.symbols(x, quality)
        data, expected = writer.write(symbols), symbols.crc32()
        for threads in sorted({1, torch.get_num_threads()}):
            for read in PROFILES:
                with _threads(threads):
                    if not _same(Machine(numerics=read).codec(name), data, expected):
                        wrong.append(f"{written} read by {read} with {threads} threads")
    return "; ".join(wrong)


def _same(codec: Codec, data: list[bytes], expected: list[int]) -> bool:
    return codec.read(data, (96, 160)).crc32() == expected


def _picture() -> Tensor:
    """Waves and some noise, (1, 3, 96, 160)."""
    noise = torch.rand(1, 3, 96, 160, generator=torch.Generator().manual_seed(0))
    waves = torch.sin(torch.arange(160) / 7) * torch.cos(torch.arange(96) / 11)[:, None]
    return (0.5 + 0.3 * waves + 0.2 * (noise - 0.5)).clamp(0, 1)


@contextmanager
def _threads(count: int) -> Generator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)

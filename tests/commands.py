"""What the tests of the command share."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

import tokodec
from tokodec.entropy.container import pack, unpack

TINY = ("-m", "hyperprior_vr_test")


class Told:
    """What one run of the command gave."""

    def __init__(self, code: int, out: bytes, err: str) -> None:
        self.code, self.out, self.err = code, out, err

    @property
    def rows(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out.decode().splitlines()]


def draw(path: Path | str, height: int = 40, width: int = 56, channels: int = 3) -> Path:
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    x, y = np.arange(width)[:, None], np.arange(height)[:, None, None]
    pixels = (128 + 60 * np.sin(x / 9 + np.arange(channels)) * np.cos(y / 7)).astype(np.uint8)
    Image.fromarray(pixels.squeeze()).save(path)
    return path


def opened(path: str) -> Image.Image:
    image = Image.open(path)
    image.load()
    return image


def compressed(path: Path | str, **header: Any) -> Path:
    file = unpack(tokodec.compress(np.full((20, 30, 3), 90, np.uint8), model=TINY[1]))
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pack(replace(file, header=replace(file.header, **header))))
    return path


def names(folder: Path) -> set[str]:
    return {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}

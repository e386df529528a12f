"""Reads the numbers out of dlib's files of networks, without dlib.

A file is a stream: whole numbers of a length byte and that many bytes, little end first; strings with their length in front; tensors
as a version, four sides and floats. A layer begins with its name. Here names are looked for one after the other, each from the end
of the tensor before it, so that no float is taken for a name; everything between is of training and left alone.
Source of the layout: dlib 19/20, ``dlib/serialize.h``, ``dnn/layers.h``, ``dnn/tensor.h``.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from tokodec.errors import CorruptFile

_TENSOR_VERSION = 2
_NAMES = {b"\x01\x05con_4": 0, b"\x01\x07affine_": 0, b"\x01\x04fc_2": 2}
"""Names as they stand in the file, and how many numbers come before the tensor."""


@dataclass(frozen=True, kw_only=True)
class Layer:
    """``kind``: con_4, affine_ or fc_2. ``values``: as they lie. ``shape``: filters, rows, columns, strides and padding of a con_4."""

    kind: str
    values: Float[Tensor, " n"]
    shape: tuple[int, ...]


def read_dlib(path: Path) -> list[Layer]:
    """Layers that have numbers, from the picture to the end. Raises CorruptFile."""
    data, position, layers = path.read_bytes(), 0, list[Layer]()
    try:
        while (found := _next(data, position)) is not None:
            layer, position = _layer(data, *found)
            layers.append(layer)
    except (IndexError, ValueError) as error:
        raise CorruptFile(f"{path} is no network of dlib's: {error}") from None
    if not layers:
        raise CorruptFile(f"{path} is no network of dlib's: it has no layers")
    return layers


def _next(data: bytes, start: int) -> tuple[bytes, int] | None:
    places = [(data.find(name, start), name) for name in _NAMES]
    place, name = min(((p, n) for p, n in places if p >= 0), default=(-1, b""))
    return (name, place + len(name)) if place >= 0 else None


def _layer(data: bytes, name: bytes, position: int) -> tuple[Layer, int]:
    for _ in range(_NAMES[name]):
        _, position = _number(data, position)
    version, position = _number(data, position)
    sides: list[int] = []
    for _ in range(4):
        side, position = _number(data, position)
        sides.append(side)
    count = int(np.prod(sides))
    if version != _TENSOR_VERSION or min(sides) < 1 or position + 4 * count > len(data):
        raise ValueError(f"a tensor of version {version} and sides {sides}")
    values = torch.from_numpy(np.frombuffer(data, "<f4", count, position).copy())
    position += 4 * count
    shape: list[int] = []
    for _ in range(7 if name.endswith(b"con_4") else 0):
        number, position = _number(data, position)
        shape.append(number)
    return Layer(kind=name[2:].decode(), values=values, shape=tuple(shape)), position


def _number(data: bytes, position: int) -> tuple[int, int]:
    size = data[position] & 0x0F
    value = int.from_bytes(data[position + 1 : position + 1 + size], "little")
    return (-value if data[position] & 0x80 else value), position + 1 + size

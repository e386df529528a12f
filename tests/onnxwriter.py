"""Writes ONNX files of plain networks, so that tests of their reader need no package for them."""

import struct
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

Setting = int | float | str | tuple[int, ...]


def varint(value: int) -> bytes:
    value &= (1 << 64) - 1
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def field(number: int, value: int | bytes | str | float) -> bytes:
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    if isinstance(value, float):
        return varint(number << 3 | 5) + struct.pack("<f", value)
    data = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(data)) + data


def tensor(name: str, values: np.ndarray) -> bytes:
    kind = {"float32": 1, "int64": 7}[str(values.dtype)]
    return b"".join(field(1, n) for n in values.shape) + field(2, kind) + field(8, name) + field(9, values.tobytes())


def setting(name: str, value: Setting) -> bytes:
    head = field(1, name)
    match value:
        case int():
            return head + field(3, value) + field(20, 2)
        case float():
            return head + field(2, value) + field(20, 1)
        case str():
            return head + field(4, value) + field(20, 3)
        case _:
            return head + b"".join(field(8, n) for n in value) + field(20, 7)


def node(kind: str, inputs: Sequence[str], output: str, settings: Mapping[str, Setting] | None = None) -> bytes:
    data = b"".join(field(1, name) for name in inputs) + field(2, output) + field(4, kind)
    return data + b"".join(field(5, setting(*item)) for item in (settings or {}).items())


def write(path: Path, nodes: Sequence[bytes], constants: Mapping[str, np.ndarray], output: str, notes: Mapping[str, str]) -> Path:
    graph = b"".join(field(1, n) for n in nodes) + b"".join(field(5, tensor(*item)) for item in constants.items())
    graph += field(11, field(1, "x")) + field(12, field(1, output))
    model = field(1, 10) + field(7, graph)
    model += b"".join(field(14, field(1, key) + field(2, value)) for key, value in notes.items())
    path.write_bytes(model)
    return path

"""Reads ONNX files: tensors, nodes and notes, without the packages onnx or protobuf, and without running anything.

Source: the message definitions of ONNX (onnx.proto3, field numbers) and the wire format of protocol buffers. What a network that
only computes needs is read: one graph, no graphs inside of nodes, no tensors in other files.
"""

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tokodec.errors import CorruptFile

Fields = dict[int, list[Any]]
"""Of a message, by field number, in order: an int, the bytes of a submessage, or the raw bytes of a fixed number."""

_DTYPES: Mapping[int, str] = {1: "<f4", 6: "<i4", 7: "<i8", 11: "<f8"}
"""Element types by number: float, int32, int64, double."""


@dataclass(frozen=True, kw_only=True)
class Node:
    """One operation: names of what goes in and comes out; an empty name is an input that is left out."""

    kind: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    settings: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Graph:
    """Nodes in the order of computation, the constants they use, names of inputs and outputs, and the notes of the file."""

    nodes: tuple[Node, ...]
    constants: Mapping[str, Tensor]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    notes: Mapping[str, str]


def read_onnx(path: Path) -> Graph:
    """The graph in a file. Raises CorruptFile for a file that is none, or that needs what is not read here."""
    try:
        model = _fields(path.read_bytes())
        graph = _fields(model[7][0])
        constants = dict(_tensor(raw) for raw in graph.get(5, []))
        return Graph(
            nodes=tuple(_node(raw) for raw in graph.get(1, [])),
            constants=constants,
            inputs=tuple(name for name in map(_named, graph.get(11, [])) if name not in constants),
            outputs=tuple(map(_named, graph.get(12, []))),
            notes={_text(entry[1][0]): _text(entry[2][0]) for entry in map(_fields, model.get(14, []))},
        )
    except (IndexError, KeyError, ValueError, struct.error) as error:
        raise CorruptFile(f"{path} is no ONNX file of a plain network: {type(error).__name__} {error}") from None


def _fields(data: bytes) -> Fields:
    found: Fields = {}
    for number, value in _walk(data):
        found.setdefault(number, []).append(value)
    return found


def _walk(data: bytes) -> Iterator[tuple[int, Any]]:
    position = 0
    while position < len(data):
        key, position = _varint(data, position)
        match key & 7:
            case 0:
                value, position = _varint(data, position)
            case 2:
                size, position = _varint(data, position)
                value, position = _cut(data, position, size)
            case 1:
                value, position = _cut(data, position, 8)
            case 5:
                value, position = _cut(data, position, 4)
            case kind:
                raise ValueError(f"wire type {kind}")
        yield key >> 3, value


def _cut(data: bytes, start: int, size: int) -> tuple[bytes, int]:
    if start + size > len(data):
        raise ValueError("cut short")
    return data[start : start + size], start + size


def _varint(data: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while shift < 64:
        byte = data[position]
        position += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, position
        shift += 7
    raise ValueError("a number without an end")


def _signed(value: int) -> int:
    return value - (1 << 64) if value >> 63 else value


def _integers(values: list[Any]) -> tuple[int, ...]:
    """A repeated field, packed or not."""
    found: list[int] = []
    for value in values:
        if isinstance(value, int):
            found.append(value)
            continue
        position = 0
        while position < len(value):
            number, position = _varint(value, position)
            found.append(number)
    return tuple(map(_signed, found))


def _floats(values: list[bytes]) -> tuple[float, ...]:
    data = b"".join(values)
    return struct.unpack(f"<{len(data) // 4}f", data)


def _text(data: bytes) -> str:
    return data.decode("utf-8")


def _named(data: bytes) -> str:
    return _text(_fields(data)[1][0])


def _node(data: bytes) -> Node:
    fields = _fields(data)
    inputs, outputs = (tuple(map(_text, fields.get(number, []))) for number in (1, 2))
    return Node(kind=_text(fields[4][0]), inputs=inputs, outputs=outputs, settings=dict(map(_setting, fields.get(5, []))))


def _setting(data: bytes) -> tuple[str, Any]:
    """Name and value of an attribute: by its type, 1 float, 2 int, 3 string, 4 tensor, 6 floats, 7 ints."""
    fields = _fields(data)
    name = _text(fields[1][0])
    match fields[20][0]:
        case 1:
            return name, _floats(fields[2])[0]
        case 2:
            return name, _signed(fields.get(3, [0])[0])
        case 3:
            return name, _text(fields[4][0])
        case 4:
            return name, _tensor(fields[5][0])[1]
        case 6:
            return name, _floats(fields.get(7, []))
        case 7:
            return name, _integers(fields.get(8, []))
        case kind:
            raise ValueError(f"attribute {name} of type {kind}")


def _tensor(data: bytes) -> tuple[str, Tensor]:
    fields = _fields(data)
    name = _text(fields[8][0]) if 8 in fields else ""
    kind, shape = fields[2][0], _integers(fields.get(1, []))
    if kind not in _DTYPES or 13 in fields:
        raise ValueError(f"tensor {name} of type {kind}, or outside of the file")
    if 9 in fields:
        values = np.frombuffer(fields[9][0], _DTYPES[kind])
    elif kind == 1:
        values = np.array(_floats(fields.get(4, [])), "<f4")
    else:
        values = np.array(_integers(fields.get(7 if kind == 7 else 5, [])), _DTYPES[kind])
    return name, torch.from_numpy(values.reshape(shape).copy())

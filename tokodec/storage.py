"""Tensors and what is to be said of them as the bytes of one safetensors file: numbers and JSON, never code."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from tokodec.errors import CorruptFile, InputError, NoInput

_KEY = "tokodec"

FINGERPRINT_BYTES = 8


def pack(tensors: Mapping[str, Tensor], meta: Mapping[str, Any]) -> bytes:
    """The bytes of a file."""
    return save({name: t.detach().cpu().contiguous() for name, t in tensors.items()}, {_KEY: json.dumps(meta)})


def unpack(data: bytes) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors and what was said of them. Raises CorruptFile. Memory and time are linear in the bytes present."""
    try:
        tensors = load(data)
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
        meta = json.loads(header["__metadata__"][_KEY])
    except (SafetensorError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise CorruptFile(f"this is no safetensors file of tokodec, or it is damaged ({str(error).splitlines()[0][:100]})") from None
    if not isinstance(meta, dict):
        raise CorruptFile("the file is damaged: what it says of itself is no table")
    return tensors, meta


def fingerprint(start: bytes, tensors: Mapping[str, Tensor]) -> bytes:
    """The first bytes of a SHA-256 of ``start`` and then of tensors: names, types, shapes and values, in the order they come in."""
    digest = hashlib.sha256(start)
    for name, tensor in tensors.items():
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.digest()[:FINGERPRINT_BYTES]


def read(path: Path) -> bytes:
    """All bytes of a file. Raises NoInput when there is none."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise NoInput(f"{path}: {error.strerror or error}") from None


def compact(ids: Tensor, size: int) -> Tensor:
    """Ids in ``range(size)`` in two bytes each, or four where two do not do. Raises InputError for ids out of range, which would wrap."""
    if ids.numel() and not 0 <= int(ids.min()) <= int(ids.max()) < size:
        raise InputError(f"ids are 0 to {size - 1}; these reach from {int(ids.min())} to {int(ids.max())}")
    return ids.to(torch.uint16 if size <= 1 << 16 else torch.uint32)

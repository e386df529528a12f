"""Weights, pictures and digests by formula: what reference figures were made from and are recorded as."""

import hashlib
import math
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

GAINS = {"weight", "gamma", "scale", "g", "alpha", "lambda"}


def drawn(seed: int, shape: Sequence[int]) -> Tensor:
    """Standard normal float32 numbers of numpy's old generator."""
    return torch.from_numpy(np.random.RandomState(seed).standard_normal(tuple(shape)).astype(np.float32))


def seed(key: str) -> int:
    """Of the numbers of a key of the authors."""
    return zlib.crc32(key.encode())


def weight(key: str, shape: Sequence[int]) -> Tensor:
    """The tensor of a key of the authors."""
    r = drawn(seed(key), shape)
    last = key.rpartition(".")[2]
    if last == "running_var":
        return 1 + 0.1 * r.abs()
    if len(shape) > 1:
        return r / np.float32(math.sqrt(math.prod(shape[1:])))
    return 1 + 0.1 * r if last in GAINS else 0.1 * r


def picture(height: int, width: int | None = None, *, batch: int = 1, low: float = -1.0, high: float = 1.0, channels: int = 3) -> Tensor:
    """Pictures of waves and a little noise in [low, high]."""
    width = width or height
    y, x = np.meshgrid(np.arange(height) / height, np.arange(width) / width, indexing="ij")
    planes = [_plane(x, y, i, k) for i in range(batch) for k in range(channels)]
    unit = torch.from_numpy(np.stack(planes).astype(np.float32)).view(batch, channels, height, width)
    return unit * (high - low) + low


def _plane(x: np.ndarray, y: np.ndarray, i: int, k: int) -> np.ndarray:
    waves = 0.25 * np.sin(2 * np.pi * ((2 + k + i) * x + (1 + k) * y)) + 0.15 * np.cos(2 * np.pi * ((5 + k) * x * y + (3 + i) * y))
    return np.clip(0.5 + waves + 0.05 * np.random.RandomState(100 * i + k).standard_normal(x.shape), 0, 1)


def digest(tensor: Tensor) -> dict[str, Any]:
    """What is recorded of a tensor."""
    flat = tensor.detach().flatten()
    if not flat.is_floating_point():
        whole = flat.to(torch.int64)
        return {
            "shape": list(tensor.shape),
            "first32": whole[:32].tolist(),
            "unique": len(whole.unique()),
            "min": int(whole.min()),
            "max": int(whole.max()),
            "sha256_int64": sha256(whole),
        }
    wide = flat.double()
    return {
        "shape": list(tensor.shape),
        "mean": float(wide.mean()),
        "std": float(wide.std()) if len(wide) > 1 else 0.0,
        "absmean": float(wide.abs().mean()),
        "first8": wide[:8].tolist(),
        "strided16": wide[torch.linspace(0, len(wide) - 1, 16).long()].tolist(),
    }


def sha256(ids: Tensor) -> str:
    """Of ids as little-endian int64."""
    return hashlib.sha256(ids.flatten().to(torch.int64).numpy().astype("<i8").tobytes()).hexdigest()


def differences(recorded: Mapping[str, Any], found: Mapping[str, Any], tolerance: float) -> list[str]:
    """Which figures of a digest differ: floats by more than ``tolerance`` times (absolute mean + deviation), the rest at all."""
    room = tolerance * (abs(recorded.get("absmean", 0.0)) + recorded.get("std", 0.0))
    wrong: list[str] = []
    for name, figure in recorded.items():
        if name == "dtype":
            continue
        there = found.get(name)
        if isinstance(figure, float) or (isinstance(figure, list) and name in ("first8", "strided16")):
            a, b = np.atleast_1d(np.asarray(figure, np.float64)), np.atleast_1d(np.asarray(there, np.float64))
            # Lists are recorded with six decimals.
            if a.shape != b.shape or not bool((np.abs(a - b) <= room + (0 if isinstance(figure, float) else 5e-7)).all()):
                wrong.append(f"{name}: {figure} recorded, {there} found")
        elif figure != there:
            wrong.append(f"{name}: {figure} recorded, {there} found")
    return wrong

"""Tensors on disk: one safetensors file, replaced in one rename, so that a kill at any moment leaves a whole one."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import safe_open
from torch import Tensor

from tokodec import storage


def write(path: Path, tensors: Mapping[str, Tensor], meta: Mapping[str, Any]) -> None:
    """Replace ``path``; ``meta`` goes into the header as JSON.

    The temporary name is always the same, unlike that of ``write_whole``: a run that is killed often leaves one, not many.
    """
    data = storage.pack(tensors, meta)
    temporary = path.with_name(path.name + ".part")
    with temporary.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def read(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors and what was said beside them."""
    with safe_open(path, "pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  a safetensors handle is no dict
        return tensors, json.loads(file.metadata()["tokodec"])

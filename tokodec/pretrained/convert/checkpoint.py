"""Reading what other projects save: tensors by name, never code."""

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from tokodec.errors import InputError, ModelNotFound


def read_checkpoint(path: Path) -> dict[str, Tensor]:
    """The state dict in a file of safetensors or of torch, also where it is ``state_dict`` of a training checkpoint.

    The moving average, where a checkpoint has one as ``ema_state_dict``.

    Raises ModelNotFound for a file that cannot be read, and InputError for one that holds something else.
    """
    try:
        found = load_file(path) if path.suffix == ".safetensors" else _load(path)
    except OSError as error:
        raise ModelNotFound(f"{path} cannot be read ({error.strerror or error})") from None
    except Exception as error:  # noqa: BLE001  whatever a file that is none makes of the parsers
        reason = str(error).partition("\n")[0]
        raise InputError(f"{path} holds no weights that can be read without running code ({reason:.120})") from None
    for key in ("ema_state_dict", "state_dict", "model", "model_state_dict", "net"):
        if isinstance(found, Mapping) and isinstance(found.get(key), Mapping):
            found = found[key]
    if not isinstance(found, Mapping) or not found or not all(isinstance(v, Tensor) for v in found.values()):
        raise InputError(f"{path} holds no state dict: tensors by name")
    return {str(name): tensor for name, tensor in found.items()}


def _load(path: Path) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that a file is old is no news
        return torch.load(path, map_location="cpu", weights_only=True)

"""Reading what other projects save: tensors by name, never code.

Checkpoints of training often hold more than tensors: settings, callbacks, counters, objects of packages that are not here. Such
objects are read as :class:`Unknown`, which does nothing, and left alone; what is wanted are the tensors.
"""

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor
from torch.serialization import get_unsafe_globals_in_checkpoint, safe_globals

from tokodec.errors import InputError, ModelNotFound

_KEYS = ("ema", "ema_state_dict", "state_dict", "model", "model_state_dict", "net")
"""Where training checkpoints keep weights; moving averages first."""


class Unknown:
    """Stands for any object of a checkpoint that is no tensor. Takes whatever it is given and does nothing with it."""

    def __new__(cls, *_arguments: object) -> "Unknown":
        return super().__new__(cls)

    def __init__(self, *_arguments: object) -> None: ...

    def __setstate__(self, _state: object) -> None: ...


def read_checkpoint(path: Path) -> dict[str, Tensor]:
    """The state dict in a file of safetensors or of torch, also where it lies in a training checkpoint, averaged weights first.

    Raises ModelNotFound for a file that cannot be read, and InputError for one that holds something else.
    """
    try:
        found = load_file(path) if path.suffix == ".safetensors" else _load(path)
    except OSError as error:
        raise ModelNotFound(f"{path} cannot be read ({error.strerror or error})") from None
    except Exception as error:  # noqa: BLE001  whatever a file that is none makes of the parsers
        reason = str(error).partition("\n")[0]
        raise InputError(f"{path} holds no weights that can be read without running code ({reason:.120})") from None
    for key in _KEYS:
        if isinstance(found, Mapping) and isinstance(found.get(key), Mapping) and found[key]:
            found = found[key]
    if not isinstance(found, Mapping) or not found or not all(isinstance(v, Tensor) for v in found.values()):
        raise InputError(f"{path} holds no state dict: tensors by name")
    return {str(name): tensor for name, tensor in found.items()}


def _load(path: Path) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that a file is old is no news
        with safe_globals([(Unknown, name) for name in _unknown(path)]):
            return torch.load(path, map_location="cpu", weights_only=True)


def _unknown(path: Path) -> list[str]:
    """Full names of what a file would import beside tensors. Nothing of it is imported; old files do not tell, and are refused."""
    try:
        return get_unsafe_globals_in_checkpoint(path)
    except ValueError:
        return []

"""Reading what other projects save: tensors by name, never code.

Checkpoints of training often hold more than tensors: settings, callbacks, counters, objects of packages that are not here. Such
objects are read as :class:`Unknown`, which does nothing, and left alone; what is wanted are the tensors. TorchScript archives hold
modules with their code: the modules are read as :class:`Unknown` too, the code not at all.
"""

import io
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import torch
from safetensors.torch import load_file
from torch import Tensor
from torch.serialization import get_unsafe_globals_in_checkpoint, safe_globals

from tokodec.errors import InputError, ModelNotFound

_KEYS = ("ema", "ema_state_dict", "state_dict", "model", "model_state_dict", "net")
"""Where training checkpoints keep weights; moving averages first."""


class Unknown:
    """Stands for any object of a checkpoint that is no tensor. Takes whatever it is given and does nothing with it but keep its state."""

    state: object = None

    def __new__(cls, *_arguments: object) -> "Unknown":
        return super().__new__(cls)

    def __init__(self, *_arguments: object) -> None: ...

    def __setstate__(self, state: object) -> None:
        self.state = state

    def tensors(self, prefix: str = "") -> Iterator[tuple[str, Tensor]]:
        """Those of a module and the modules in it, by the names of a state dict."""
        for name, value in self.state.items() if isinstance(self.state, Mapping) else ():
            if isinstance(value, Tensor):
                yield f"{prefix}{name}", value
            elif isinstance(value, Unknown):
                yield from value.tensors(f"{prefix}{name}.")


def read_checkpoint(path: Path) -> dict[str, Tensor]:
    """The state dict in a file of safetensors or of torch, also where it lies in a training checkpoint, averaged weights first.

    Raises ModelNotFound for a file that cannot be read, and InputError for one that holds something else.
    """
    try:
        found = load_file(path) if path.suffix == ".safetensors" else _load(path)
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError, PermissionError) as error:
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
    with warnings.catch_warnings(), _without_code(path) as file:
        warnings.simplefilter("ignore")  # that a file is old is no news
        with safe_globals([(Unknown, name) for name in _unknown(file)]):
            file.seek(0)
            found = torch.load(file, map_location="cpu", weights_only=True)
    return dict(found.tensors()) if isinstance(found, Unknown) else found


def _without_code(path: Path) -> IO[bytes]:
    """The file; of a TorchScript archive what a file of tensors would hold of it."""
    if not zipfile.is_zipfile(path):
        return path.open("rb")
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        if not any(name.endswith("/constants.pkl") for name in names):
            return path.open("rb")
        memory = io.BytesIO()
        with zipfile.ZipFile(memory, "w") as tensors:
            for name in names:
                if name.partition("/")[2].startswith(("data/", "data.pkl", "version", "byteorder")):
                    tensors.writestr(name, archive.read(name))
    memory.seek(0)
    return memory


def _unknown(file: IO[bytes]) -> list[str]:
    """Full names of what a file would import beside tensors. Nothing of it is imported; old files do not tell, and are refused."""
    try:
        return get_unsafe_globals_in_checkpoint(file)
    except ValueError:
        return []

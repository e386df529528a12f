"""Weights that were pulled: where they lie, what is remembered of them, and reading them back. No network, no torch.

``models/NAME/`` in the cache holds ``model.safetensors``, converted, and ``source.json``, which tells what it was made of.
"""

import hashlib
import json
import os
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from tokodec import licences
from tokodec.atomic import write_whole
from tokodec.entry import Origin
from tokodec.errors import ModelNotFound, WeightsMismatch


@dataclass(frozen=True, kw_only=True)
class Source:
    """What pulled weights were made of. ``sha256``: of the authors' file; ``converted_sha256``: of what became of it."""

    repo: str
    file: str
    commit: str
    sha256: str
    licence: str
    converted_sha256: str


def cache() -> Path:
    """The folder for what can be had again: ``TOKODEC_HOME``, else ``XDG_CACHE_HOME/tokodec``, else ``~/.cache/tokodec``."""
    own, general = os.environ.get("TOKODEC_HOME"), os.environ.get("XDG_CACHE_HOME")
    if own:
        return Path(own).expanduser()
    return (Path(general) if general and Path(general).is_absolute() else Path.home() / ".cache") / "tokodec"


def home(name: str) -> Path:
    """The folder of one model in the cache. ``name``: in full."""
    return cache() / "models" / name


def weights(name: str) -> Path:
    """The converted weights of a model."""
    return home(name) / "model.safetensors"


def remembered(name: str) -> Source | None:
    """What an earlier pull made its weights of; None where there was none. Raises WeightsMismatch where its note is damaged."""
    path = home(name) / "source.json"
    try:
        found = json.loads(path.read_bytes())
        known = {field.name for field in fields(Source)}
        if isinstance(found, dict) and found.keys() == known and all(isinstance(value, str) for value in found.values()):
            return Source(**found)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, RecursionError):
        pass
    raise WeightsMismatch(f"{path} is damaged: remove it, then tokodec models pull {name}")


def remember(name: str, source: Source) -> None:
    """Note what the weights of a model were made of. Raises TokodecError where the disk does not allow it."""
    write_whole(home(name) / "source.json", (json.dumps(asdict(source), indent=2) + "\n").encode())


def sha256(path: Path) -> str:
    """Of a file, which need not fit into memory."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def intact(name: str, source: Source) -> bool:
    """Whether the converted weights are those that were written."""
    try:
        return sha256(weights(name)) == source.converted_sha256
    except OSError:
        return False


def read(name: str, origin: Origin | None) -> bytes:
    """The pulled weights of a model, checksum verified.

    Raises ModelNotFound, saying how to have them, WeightsMismatch for damaged ones, and LicenceRefused where the licence policy of
    the environment does not allow them.
    """
    source = remembered(name)
    if source is None:
        raise ModelNotFound(_advice(name, origin))
    licences.check(name, source.licence)
    try:
        data = weights(name).read_bytes()
    except OSError:
        raise ModelNotFound(f"the pulled weights of {name} are gone: tokodec models pull {name}") from None
    if hashlib.sha256(data).hexdigest() != source.converted_sha256:
        raise WeightsMismatch(
            f"the pulled weights of {name} are damaged: their checksum is not the remembered one; tokodec models pull {name}"
        )
    return data


def _advice(name: str, origin: Origin | None) -> str:
    if origin is None:
        return f"no weights for {name} yet: train it with its recipe, then load dir:FOLDER"
    if not origin.repo:
        return f"the weights of {name} are not here: its card tells where {origin.file} is; then tokodec models convert {name} FILE"
    return f"the weights of {name} are not here: tokodec models pull {name}"

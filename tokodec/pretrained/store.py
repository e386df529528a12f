"""Weights files: one safetensors file is a whole model, its name and configuration in the header.

A file may also hold only what differs from another model of the zoo, its ``base``, which the header names: another decoder of the same
ids is half as large that way.

Floating parameters are stored as the architecture says (``stored``: 16 bits for ours, 32 for converted ones), exact tables as the
integers they are. The checksum in the ledger is verified
before anything is parsed, keys are strict, and only architectures of the zoo can be named: a file never runs code.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from tokodec import storage
from tokodec.api import Autoencoder, DiscreteTokenizer
from tokodec.catalogue import folder, ledger
from tokodec.errors import CorruptFile, InputError, ModelNotFound, WeightsMismatch
from tokodec.numerics import PROFILES
from tokodec.pretrained import compressai, pulled
from tokodec.pretrained.tensors import write
from tokodec.zoo import MODELS, newest


@dataclass(frozen=True, kw_only=True)
class WeightsFile:
    """What a weights file holds. ``tensors`` are as stored; ``fingerprint`` identifies what they decode."""

    model: str
    config: Mapping[str, Any]
    tensors: dict[str, Tensor]
    fingerprint: bytes


def load(name: str, *, device: str | torch.device = "cpu", numerics: str = "stable") -> Autoencoder[Any]:
    """A model with its weights, in eval mode.

    ``name``: one of ``list_models()`` (those without weights in the package once ``models pull`` has been there),
    ``hf:org/repo@revision``, ``dir:FOLDER`` (a folder or file that ``save`` or a training run
    wrote), or ``compressai/NAME-QUALITY`` (:mod:`tokodec.pretrained.compressai`). ``numerics``: ``stable`` (float32, deterministic)
    or ``fast`` (bfloat16 transforms).
    The model carries ``name`` and ``fingerprint`` (8 bytes). Raises ModelNotFound, WeightsMismatch, InputError.
    """
    if numerics not in PROFILES:
        raise InputError(f"there is no numerics profile {numerics!r}; there are {', '.join(PROFILES)}")
    if name.startswith(compressai.PREFIX):
        return _ready(compressai.load_compressai(name), device, numerics)
    weights = read_weights(name)
    entry = MODELS[newest(weights.model, MODELS)]
    model = entry.create(weights.config)
    assert isinstance(model, Autoencoder)
    _fill(model, weights.tensors)
    model.name, model.fingerprint, model.takes = weights.model, weights.fingerprint, entry.input
    return _ready(model, device, numerics)


def _ready(model: Autoencoder[Any], device: str | torch.device, numerics: str) -> Autoencoder[Any]:
    model.numerics = PROFILES[numerics]()
    return model.to(torch.device(device)).to(memory_format=model.layout).eval().requires_grad_(False)


def save(model: nn.Module, path: Path, *, name: str, base: str = "") -> None:
    """Write ``model`` as one file. ``name`` is the entry of the zoo that it is; ``base`` one whose weights need not be said again."""
    stored, derived = (model.stored, model.derived()) if isinstance(model, Autoencoder) else (torch.float16, set[str]())
    kept = {key: t for key, t in model.state_dict().items() if key not in derived}
    tensors = {key: (t.to(stored) if t.is_floating_point() and key in _parameters(model) else t) for key, t in kept.items()}
    meta = {"model": name, "config": asdict(model.config)}  # type: ignore[call-overload]
    if base:
        below = read_weights(base)
        meta |= {"base": below.model, "base_fingerprint": below.fingerprint.hex()}
        tensors = {key: t for key, t in tensors.items() if key not in below.tensors or not torch.equal(t, below.tensors[key])}
    write(path, tensors, meta)


def read_weights(name: str) -> WeightsFile:
    """The weights that a name stands for (see :func:`load`), checksum verified where the ledger has one."""
    data = _bytes_of(name)
    try:
        tensors, meta = storage.unpack(data)
        model, config = str(meta["model"]), dict(meta["config"])
    except (CorruptFile, KeyError, ValueError, TypeError) as error:
        raise WeightsMismatch(f"the weights of {name} are not a tokodec weights file ({error})") from None
    tensors = {**_below(meta, name), **tensors}
    return WeightsFile(model=model, config=config, tensors=tensors, fingerprint=_fingerprint(model, config, tensors))


def _below(meta: Mapping[str, Any], name: str) -> dict[str, Tensor]:
    """What the base of a weights file says, if it has one."""
    if "base" not in meta:
        return {}
    base = read_weights(newest(str(meta["base"]), MODELS))
    wanted = meta.get("base_fingerprint")
    if base.fingerprint.hex() != wanted:
        raise WeightsMismatch(f"the weights of {name} belong to other weights of {base.model}, of fingerprint {wanted}")
    return base.tensors


def _bytes_of(name: str) -> bytes:
    if name.startswith("dir:"):
        return _read(_in_folder(Path(name.removeprefix("dir:"))), name)
    if name.startswith("hf:"):
        return _read(_from_hub(name.removeprefix("hf:")), name)
    if "/" in name or name.endswith(".safetensors"):
        raise InputError(f"{name!r} looks like a path: say dir:{name}")
    full = newest(name, MODELS)
    entry = MODELS[full]
    if entry.weights is None:
        return pulled.read(full, entry.origin)
    data = _read(folder("pretrained") / entry.weights.file, name)
    row = ledger().get(entry.weights.file)
    if row is None or hashlib.sha256(data).hexdigest() != row.sha256:
        raise WeightsMismatch(f"the weights of {name} are damaged: their checksum is not the ledger's; install tokodec again")
    return data


def _in_folder(path: Path) -> Path:
    return path / "model.safetensors" if path.is_dir() else path


def _read(path: Path, name: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        raise ModelNotFound(f"the weights of {name} are not here ({path.name} cannot be read)") from None


def _from_hub(place: str) -> Path:
    from huggingface_hub import hf_hub_download  # noqa: PLC0415  slow to import, and needed for hf: names alone
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError  # noqa: PLC0415

    repo, _, revision = place.partition("@")
    try:
        return Path(hf_hub_download(repo, "model.safetensors", revision=revision or None))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        raise ModelNotFound(f"hf:{place} cannot be had: {str(error).splitlines()[0]}") from None


def _fingerprint(model: str, config: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> bytes:
    """A hash of what decides the symbols and pictures: family, configuration, and every tensor as stored.

    Of a discrete tokenizer, what decides its ids: files and tokens stay readable when it is given a better decoder.
    """
    entry = MODELS[newest(model, MODELS)]
    decides = entry.build.decides_ids if issubclass(entry.build, DiscreteTokenizer) else _everything
    settings = {key: value for key, value in config.items() if decides(key)}
    start = json.dumps([entry.family, settings], sort_keys=True).encode()
    return storage.fingerprint(start, {key: tensors[key] for key in sorted(filter(decides, tensors))})


def _everything(_key: str) -> bool:
    return True


def _parameters(model: nn.Module) -> set[str]:
    return {name for name, _ in model.named_parameters()}


def _fill(model: Autoencoder[Any], tensors: Mapping[str, Tensor]) -> None:
    """Copy tensors in; any key that is missing, unexpected or of another shape is an error that lists them."""
    own = model.state_dict()
    missing = own.keys() - tensors.keys()
    if model.optional() <= missing:
        missing -= model.optional()
    problems = [f"unexpected {key}" for key in tensors if key not in own]
    if not problems:
        try:
            model.load_state_dict({**own, **tensors})  # shapes are each module's own affair: some take the length that comes
        except RuntimeError as error:
            problems = [line.strip() for line in str(error).splitlines()[1:]]
    problems += [f"missing {key}" for key in sorted(missing - model.derived())]
    if missing and not problems:
        model.recover()
    if problems:
        raise WeightsMismatch(f"the weights do not fit: {'; '.join(problems[:12])}{' ...' if len(problems) > 12 else ''}")
